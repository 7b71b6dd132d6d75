//! The two clocks.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Now;

/// What both clocks show.
pub(super) fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let unix = clock_gettime(ClockId::Realtime);
    let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or_default();
    let nanos = u32::try_from(boot.tv_nsec).unwrap_or_default();
    // The seconds of the two clocks begin at different times.
    let has_begun = i64::from(unix.tv_nsec < boot.tv_nsec);
    let unix = unix.tv_sec.saturating_sub(has_begun);
    Now::new(Duration::new(seconds(boot.tv_sec), nanos), seconds(unix))
}
