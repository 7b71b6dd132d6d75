//! Reconciling objects with their desired state when something else changes the host.
//!
//! Notifications are only triggers: state is always read again. They are collected for a moment
//! ([`Timing::debounce`]) and handled in one pass, however many there were. Passes keep a minimum
//! interval; if passes keep finding something to repair, the interval grows, so that neither an attack
//! nor another program with other intentions makes the driver spin.

use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::Instant;

/// How fast passes follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long notifications are collected before a pass.
    pub debounce: Duration,
    /// The interval between passes.
    pub min_interval: Duration,
    /// Passes in a row that had to repair something, after which the interval grows.
    pub burst: u32,
    /// Passes closer to each other than this are in a row.
    pub window: Duration,
    /// The interval does not grow beyond this.
    pub max_backoff: Duration,
}

impl Timing {
    /// 20 ms, 50 ms, 20 passes, 1 s, 2 s.
    pub const DEFAULT: Self = Self {
        debounce: Duration::from_millis(20),
        min_interval: Duration::from_millis(50),
        burst: 20,
        window: Duration::from_secs(1),
        max_backoff: Duration::from_secs(2),
    };
}

/// What a driver does in the loop.
pub trait Reconciler: Send {
    /// What may have changed.
    type Notification: Send;
    /// What has to be inspected.
    type Dirty: Default + Send;

    /// Notes which objects a notification concerns.
    fn note(&mut self, notification: Self::Notification, dirty: &mut Self::Dirty);

    /// Whether nothing has to be inspected.
    fn is_clean(&self, dirty: &Self::Dirty) -> bool;

    /// Inspects and repairs; `None` ends the loop.
    fn pass(
        &mut self,
        dirty: Self::Dirty,
    ) -> impl Future<Output = Option<Pass<Self::Dirty>>> + Send;
}

/// The result of a pass.
#[derive(Debug, Default)]
pub struct Pass<D> {
    /// Whether something was not as it should be.
    pub has_repaired: bool,
    /// What has to be inspected again, for example objects that an operation was working on.
    pub retry: D,
}

/// Runs until the notifications end or a pass ends it.
pub async fn run<R: Reconciler>(
    mut reconciler: R,
    mut notifications: impl Stream<Item = R::Notification> + Unpin + Send,
    timing: Timing,
) {
    let mut backoff = Backoff::new(timing);
    let mut dirty = R::Dirty::default();
    loop {
        while reconciler.is_clean(&dirty) {
            let Some(notification) = notifications.next().await else { return };
            reconciler.note(notification, &mut dirty);
        }
        tokio::time::sleep(timing.debounce).await;
        while let Some(Some(notification)) = notifications.next().now_or_never() {
            reconciler.note(notification, &mut dirty);
        }
        let Some(pass) = reconciler.pass(std::mem::take(&mut dirty)).await else { return };
        dirty = pass.retry;
        tokio::time::sleep(backoff.after(pass.has_repaired, Instant::now())).await;
    }
}

/// The interval to the next pass.
#[derive(Debug)]
struct Backoff {
    timing: Timing,
    /// Passes in a row that had to repair something.
    in_a_row: u32,
    last: Option<Instant>,
}

impl Backoff {
    const fn new(timing: Timing) -> Self {
        Self { timing, in_a_row: 0, last: None }
    }

    fn after(&mut self, has_repaired: bool, now: Instant) -> Duration {
        let Timing { min_interval, burst, window, max_backoff, .. } = self.timing;
        let is_in_row = self.last.is_some_and(|last| now.duration_since(last) < window);
        if has_repaired {
            self.in_a_row = if is_in_row { self.in_a_row.saturating_add(1) } else { 1 };
            self.last = Some(now);
        }
        let beyond = if is_in_row { self.in_a_row.saturating_sub(burst) } else { 0 };
        if has_repaired && beyond == 1 {
            let (n_passes, max_interval_ms) = (self.in_a_row, max_backoff.as_millis());
            tracing::warn!(
                n_passes,
                max_interval_ms,
                "slowing down repairs: something keeps changing what the driver repairs"
            );
        }
        (min_interval * 2_u32.saturating_pow(beyond.min(10))).min(max_backoff)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    /// Notes what each pass inspected; has something to repair in the first `n_repairs`.
    struct Toy<'a> {
        passes: &'a mut Vec<(Vec<u32>, Duration)>,
        started: Instant,
        n_repairs: usize,
    }

    impl Reconciler for Toy<'_> {
        type Notification = u32;
        type Dirty = Vec<u32>;

        fn note(&mut self, notification: u32, dirty: &mut Vec<u32>) {
            if notification > 0 {
                dirty.push(notification);
            }
        }

        fn is_clean(&self, dirty: &Vec<u32>) -> bool {
            dirty.is_empty()
        }

        async fn pass(&mut self, dirty: Vec<u32>) -> Option<Pass<Vec<u32>>> {
            self.passes.push((dirty.clone(), self.started.elapsed()));
            let has_repaired = self.passes.len() <= self.n_repairs;
            let retry = if has_repaired { dirty } else { Vec::new() };
            Some(Pass { has_repaired, retry })
        }
    }

    async fn passes(notifications: &[u32], n_repairs: usize) -> Vec<(Vec<u32>, Duration)> {
        let mut passes = Vec::new();
        let toy = Toy { passes: &mut passes, started: Instant::now(), n_repairs };
        let timing = Timing { burst: 2, ..Timing::DEFAULT };
        run(toy, stream::iter(notifications.to_vec()), timing).await;
        passes
    }

    #[tokio::test(start_paused = true)]
    async fn one_pass_for_all_notifications_at_hand() {
        let found = passes(&[0, 1, 2, 0, 3], 0).await;
        assert_eq!(found, [(vec![1, 2, 3], Duration::from_millis(20))]);
        assert_eq!(passes(&[0, 0], 0).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_interval_grows_up_to_its_limit_while_repairs_go_on() {
        let found = passes(&[7], 9).await;
        let times: Vec<_> = found.iter().map(|(_, time)| time.as_millis()).collect();
        let intervals: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Debounce and interval; two passes are the burst.
        assert_eq!(intervals, [70, 70, 120, 220, 420, 820, 1620, 70, 70]);
    }
}
