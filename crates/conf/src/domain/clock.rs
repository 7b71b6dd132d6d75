//! `<clock>`, `<pm>`, `<perf>` and what happens at the end of a guest's life.

use crate::element::elements;
use crate::keyword::{YesNo, words};

words! {
    /// What the guest's clock is relative to.
    pub enum ClockOffset {
        Utc = "utc",
        LocalTime = "localtime",
        Variable = "variable",
        Timezone = "timezone",
        Absolute = "absolute",
    }

    /// What a variable clock is relative to.
    pub enum ClockBasis {
        Utc = "utc",
        LocalTime = "localtime",
    }

    /// What to do when a guest stops or reboots.
    pub enum LifecycleAction {
        Destroy = "destroy",
        Restart = "restart",
        RenameRestart = "rename-restart",
        Preserve = "preserve",
    }

    /// What to do when a guest crashes.
    pub enum CrashAction {
        Destroy = "destroy",
        Restart = "restart",
        RenameRestart = "rename-restart",
        Preserve = "preserve",
        CoredumpDestroy = "coredump-destroy",
        CoredumpRestart = "coredump-restart",
    }

    /// What to do when a lock is lost.
    pub enum LockFailureAction {
        Poweroff = "poweroff",
        Restart = "restart",
        Pause = "pause",
        Ignore = "ignore",
    }

    /// A timer.
    pub enum TimerName {
        Platform = "platform",
        Pit = "pit",
        Rtc = "rtc",
        Hpet = "hpet",
        Tsc = "tsc",
        KvmClock = "kvmclock",
        HypervClock = "hypervclock",
        ArmvTimer = "armvtimer",
    }

    /// What to do with ticks that were missed.
    pub enum TickPolicy {
        Delay = "delay",
        Catchup = "catchup",
        Merge = "merge",
        Discard = "discard",
    }
}

elements! {
    /// `<clock>`
    pub struct Clock {
        attr offset: Option<ClockOffset> = "offset",
        attr adjustment: Option<String> = "adjustment",
        attr basis: Option<ClockBasis> = "basis",
        attr timezone: Option<String> = "timezone",
        attr start: Option<i64> = "start",
        list timers: Vec<Timer> = "timer",
    }

    /// `<timer>`
    pub struct Timer {
        attr name: Option<TimerName> = "name",
        attr present: Option<YesNo> = "present",
        attr tick_policy: Option<TickPolicy> = "tickpolicy",
        attr track: Option<String> = "track",
        attr frequency: Option<u64> = "frequency",
        attr mode: Option<String> = "mode",
        child catchup: Option<TimerCatchup> = "catchup",
    }

    /// How missed ticks are caught up with.
    pub struct TimerCatchup {
        attr threshold: Option<u64> = "threshold",
        attr slew: Option<u64> = "slew",
        attr limit: Option<u64> = "limit",
    }

    /// `<pm>`
    pub struct PowerManagement {
        child suspend_to_mem: Option<PowerState> = "suspend-to-mem",
        child suspend_to_disk: Option<PowerState> = "suspend-to-disk",
    }

    /// Whether a sleep state is offered.
    pub struct PowerState {
        attr enabled: Option<YesNo> = "enabled",
    }

    /// `<perf>`
    pub struct Perf {
        list events: Vec<PerfEvent> = "event",
    }

    /// A performance event.
    pub struct PerfEvent {
        attr name: Option<String> = "name",
        attr enabled: Option<YesNo> = "enabled",
    }
}
