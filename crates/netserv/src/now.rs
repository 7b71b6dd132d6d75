//! The time, as a value.

use std::time::Duration;

/// The time at which something is handled, on two clocks.
///
/// Deadlines in memory are of the boot clock, which no one sets; files have Unix time, which survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// `CLOCK_BOOTTIME`: since the host was started, with the time it was suspended.
    pub boot: Duration,
    /// `CLOCK_REALTIME` when the current second of `boot` began, in seconds.
    pub unix: u64,
}

impl Now {
    /// A time.
    #[must_use]
    pub const fn new(boot: Duration, unix: u64) -> Self {
        Self { boot, unix }
    }

    /// The Unix time of a deadline, in seconds. It does not depend on when it is asked.
    #[must_use]
    pub const fn unix_of(self, deadline: Duration) -> u64 {
        match deadline.as_secs().checked_sub(self.boot.as_secs()) {
            Some(left) => self.unix.saturating_add(left),
            None => {
                self.unix.saturating_sub(self.boot.as_secs().saturating_sub(deadline.as_secs()))
            }
        }
    }

    /// The deadline of a Unix time in seconds; the beginning of the boot clock for times before it.
    #[must_use]
    pub const fn deadline_of(self, unix: u64) -> Duration {
        let boot = self.boot.as_secs();
        Duration::from_secs(match unix.checked_sub(self.unix) {
            Some(left) => boot.saturating_add(left),
            None => boot.saturating_sub(self.unix.saturating_sub(unix)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_translate() {
        let now = Now::new(Duration::from_secs(50), 1000);
        for deadline in [0, 49, 50, 51, 3650] {
            let deadline = Duration::from_secs(deadline);
            assert_eq!(now.deadline_of(now.unix_of(deadline)), deadline);
        }
        assert_eq!(now.deadline_of(1), Duration::ZERO);
        let later = Now::new(Duration::from_millis(52_900), 1002);
        let deadline = Duration::from_millis(60_300);
        assert_eq!(later.unix_of(deadline), now.unix_of(deadline));
    }
}
