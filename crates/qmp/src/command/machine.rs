//! The machine: run state, power, memory, migration capabilities.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Empty, commands};
use crate::word::words;

commands! {
    /// Whether the CPUs run, and why not.
    QueryStatus = "query-status" -> Status {}

    /// Lets the CPUs run.
    Cont = "cont" -> Empty {}

    /// Stops the CPUs.
    Stop = "stop" -> Empty {}

    /// Presses the power button.
    SystemPowerdown = "system_powerdown" -> Empty {}

    /// Resets the machine.
    SystemReset = "system_reset" -> Empty {}

    /// Wakes the guest from S3.
    SystemWakeup = "system_wakeup" -> Empty {}

    /// Sends a non-maskable interrupt.
    InjectNmi = "inject-nmi" -> Empty {}

    /// Sets what QEMU does on reboot, shutdown, panic and watchdog.
    SetAction = "set-action" -> Empty {
        /// `reset` or `shutdown`.
        #[serde(skip_serializing_if = "Option::is_none")]
        reboot: Option<String>,
        /// `poweroff` or `pause`.
        #[serde(skip_serializing_if = "Option::is_none")]
        shutdown: Option<String>,
        /// `pause`, `shutdown`, `exit-failure` or `none`.
        #[serde(skip_serializing_if = "Option::is_none")]
        panic: Option<String>,
        /// `reset`, `shutdown`, `poweroff`, `pause`, `debug`, `none` or `inject-nmi`.
        #[serde(skip_serializing_if = "Option::is_none")]
        watchdog: Option<String>,
    }

    /// Machine types.
    QueryMachines = "query-machines" -> Vec<MachineInfo> {}

    /// I/O threads.
    QueryIothreads = "query-iothreads" -> Vec<IothreadInfo> {}

    /// Asks the guest to shrink or grow.
    Balloon = "balloon" -> Empty {
        /// Bytes that the guest is to have.
        value: u64,
    }

    /// What the balloon has reached; `DeviceNotActive` without one.
    QueryBalloon = "query-balloon" -> BalloonInfo {}

    /// Memory of the machine.
    QueryMemorySizeSummary = "query-memory-size-summary" -> MemorySize {}

    /// Memory devices.
    QueryMemoryDevices = "query-memory-devices" -> Vec<Value> {}

    /// How fast the guest writes to its memory, as far as that was measured.
    QueryDirtyRate = "query-dirty-rate" -> DirtyRate {}

    /// What migration can do.
    QueryMigrateCapabilities = "query-migrate-capabilities" -> Vec<MigrateCapability> {}

    /// Sets what migration does. libvirt enables `events` at every start.
    MigrateSetCapabilities = "migrate-set-capabilities" -> Empty {
        /// The capabilities to change.
        capabilities: Vec<MigrateCapability>,
    }

    /// How migration goes.
    QueryMigrate = "query-migrate" -> Value {}

    /// Begins an outgoing migration.
    Migrate = "migrate" -> Empty {
        /// Where to, such as `fd:migrate`.
        uri: String,
    }

    /// Ends an outgoing migration.
    MigrateCancel = "migrate_cancel" -> Empty {}

    /// Begins an incoming migration of a QEMU started with `-incoming defer`.
    MigrateIncoming = "migrate-incoming" -> Empty {
        /// Where from, such as `fd:migrate`.
        uri: String,
    }
}

words! {
    /// Run state of the machine (`RunState`).
    RunState {
        /// A debugger stopped it.
        Debug = "debug",
        /// It waits for an incoming migration, or is one.
        Inmigrate = "inmigrate",
        /// An internal error prevents it from running.
        InternalError = "internal-error",
        /// An input/output error stopped it.
        IoError = "io-error",
        /// The monitor stopped it.
        Paused = "paused",
        /// It was stopped after an outgoing migration.
        Postmigrate = "postmigrate",
        /// It has not run yet (`-S`).
        Prelaunch = "prelaunch",
        /// It was stopped for an outgoing migration.
        FinishMigrate = "finish-migrate",
        /// A snapshot is being restored.
        RestoreVm = "restore-vm",
        /// It runs.
        Running = "running",
        /// A snapshot is being saved.
        SaveVm = "save-vm",
        /// The guest has shut down, and `-no-shutdown` keeps QEMU.
        Shutdown = "shutdown",
        /// The guest is in S3.
        Suspended = "suspended",
        /// A watchdog stopped it.
        Watchdog = "watchdog",
        /// The guest panicked.
        GuestPanicked = "guest-panicked",
        /// A colo migration runs.
        Colo = "colo",
    }
}

/// Reply to [`QueryStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The CPUs run.
    pub running: bool,
    /// Run state.
    pub status: RunState,
}

/// A machine type.
#[expect(clippy::struct_excessive_bools, reason = "as QEMU returns it")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MachineInfo {
    /// Its name, such as `pc-q35-10.0`.
    pub name: String,
    /// Another name of it, such as `q35`.
    pub alias: Option<String>,
    /// QEMU uses it if none is given.
    #[serde(default)]
    pub is_default: bool,
    /// Most CPUs.
    pub cpu_max: u64,
    /// CPUs can be plugged in.
    #[serde(default)]
    pub hotpluggable_cpus: bool,
    /// NUMA nodes can have memory objects.
    #[serde(default)]
    pub numa_mem_supported: bool,
    /// It will be removed.
    #[serde(default)]
    pub deprecated: bool,
    /// CPU type if none is given.
    pub default_cpu_type: Option<String>,
    /// Id of its main memory, such as `pc.ram`.
    pub default_ram_id: Option<String>,
    /// It can have ACPI tables.
    pub acpi: Option<bool>,
}

/// An I/O thread.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IothreadInfo {
    /// Its id.
    pub id: String,
    /// Its thread on the host.
    pub thread_id: i64,
    /// Longest polling time in nanoseconds.
    #[serde(default)]
    pub poll_max_ns: i64,
    /// Growth of the polling time.
    #[serde(default)]
    pub poll_grow: i64,
    /// Shrinkage of the polling time.
    #[serde(default)]
    pub poll_shrink: i64,
}

/// Reply to [`QueryBalloon`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct BalloonInfo {
    /// Bytes that the guest has.
    pub actual: u64,
}

/// Reply to [`QueryMemorySizeSummary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemorySize {
    /// Bytes from the start.
    pub base_memory: u64,
    /// Bytes plugged in.
    pub plugged_memory: Option<u64>,
}

/// A capability of migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrateCapability {
    /// Its name.
    pub capability: String,
    /// Whether it is enabled.
    pub state: bool,
}

/// Reply to [`QueryDirtyRate`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DirtyRate {
    /// `unstarted`, `measuring`, `measured`.
    pub status: String,
    /// When the measurement began, in seconds since the host's start.
    #[serde(default)]
    pub start_time: i64,
    /// How long it takes, in seconds.
    #[serde(default)]
    pub calc_time: i64,
    /// How it is made.
    pub mode: Option<String>,
    /// Its result in MB a second.
    pub dirty_rate: Option<i64>,
}
