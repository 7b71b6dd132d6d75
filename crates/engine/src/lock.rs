//! The order of a driver's asynchronous locks.
//!
//! 1. [`Rank::Identities`]: while names and UUIDs are assigned.
//! 2. [`Rank::Operation`]: while an operation changes an object. Who takes several takes them in the
//!    order of [`crate::Registry::all`].
//! 3. [`Rank::Settings`]: while settings of the whole host change.
//!
//! A task takes a lock only while it holds locks of the same or a lower rank. Debug builds check that in
//! tasks that run below [`checked`]. Synchronous locks (views, maps) are held for single statements and
//! never across an `await` (clippy: `await_holding_lock`).

use std::cell::Cell;

use tokio::sync::{Mutex, MutexGuard};

/// Place in the order; smaller ranks are taken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Names and UUIDs of a registry.
    Identities,
    /// One object.
    Operation,
    /// Settings of the whole host.
    Settings,
}

const N_RANKS: usize = 3;

tokio::task_local! {
    /// How many locks of each rank the task holds.
    static HELD: [Cell<u32>; N_RANKS];
}

/// Runs a task whose lock order is checked in debug builds.
pub async fn checked<T>(task: impl Future<Output = T>) -> T {
    HELD.scope(Default::default(), task).await
}

/// A lock with a place in the order.
#[derive(Debug)]
pub struct OrderedMutex {
    rank: Rank,
    mutex: Mutex<()>,
}

/// Holds a lock.
#[derive(Debug)]
pub struct Guard<'a> {
    rank: Rank,
    _guard: MutexGuard<'a, ()>,
}

impl OrderedMutex {
    /// A free lock.
    #[must_use]
    pub fn new(rank: Rank) -> Self {
        Self { rank, mutex: Mutex::new(()) }
    }

    /// Waits for the lock.
    ///
    /// # Panics
    /// In debug builds, if the task holds a lock of a higher rank.
    pub async fn lock(&self) -> Guard<'_> {
        debug_assert!(
            !holds_above(self.rank),
            "a lock of a higher rank than {:?} is held",
            self.rank
        );
        let guard = self.mutex.lock().await;
        Guard::new(self.rank, guard)
    }

    /// The lock, `None` if it is held. Cannot deadlock, so the order is not checked.
    #[must_use]
    pub fn try_lock(&self) -> Option<Guard<'_>> {
        self.mutex.try_lock().ok().map(|guard| Guard::new(self.rank, guard))
    }
}

impl<'a> Guard<'a> {
    fn new(rank: Rank, guard: MutexGuard<'a, ()>) -> Self {
        count(rank, 1);
        Self { rank, _guard: guard }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        count(self.rank, -1);
    }
}

const fn index(rank: Rank) -> usize {
    match rank {
        Rank::Identities => 0,
        Rank::Operation => 1,
        Rank::Settings => 2,
    }
}

/// Outside of checked tasks nothing is counted.
fn count(rank: Rank, change: i32) {
    let counted = HELD.try_with(|held| {
        if let Some(cell) = held.get(index(rank)) {
            cell.set(cell.get().saturating_add_signed(change));
        }
    });
    counted.unwrap_or_default();
}

fn holds_above(rank: Rank) -> bool {
    let above =
        |held: &[Cell<u32>; N_RANKS]| held.iter().skip(index(rank) + 1).any(|cell| cell.get() > 0);
    HELD.try_with(above).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_written_order_is_accepted() {
        checked(async {
            let (identities, operation) =
                (OrderedMutex::new(Rank::Identities), OrderedMutex::new(Rank::Operation));
            let settings = OrderedMutex::new(Rank::Settings);
            let first = identities.lock().await;
            let second = operation.lock().await;
            drop(first);
            drop(settings.lock().await);
            drop(second);
            drop(identities.lock().await);
        })
        .await;
    }

    #[tokio::test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a lock of a higher rank than Identities is held")]
    async fn another_order_is_refused() {
        checked(async {
            let (identities, operation) =
                (OrderedMutex::new(Rank::Identities), OrderedMutex::new(Rank::Operation));
            let _second = operation.lock().await;
            let _first = identities.lock().await;
        })
        .await;
    }
}
