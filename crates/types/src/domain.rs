//! Numbers and flags of the domain calls.
//!
//! libvirt: include/libvirt/libvirt-domain.h

use bitflags::bitflags;

macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A number without a name here.
            Unknown(i32),
        }

        impl $name {
            /// The value with this number.
            #[must_use]
            pub const fn from_number(number: i32) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }

            /// Its number.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Unknown(number) => number,
                }
            }
        }
    )*};
}

pub(crate) use numbered;

numbered! {
    /// State of a domain (`virDomainState`).
    DomainState {
        /// The driver reports none.
        NoState = 0,
        /// Its CPUs run.
        Running = 1,
        /// It waits for a resource.
        Blocked = 2,
        /// Its CPUs are stopped.
        Paused = 3,
        /// The guest is shutting down.
        Shutdown = 4,
        /// It does not run.
        Shutoff = 5,
        /// It crashed and is kept for examination.
        Crashed = 6,
        /// The guest suspended itself to memory.
        PmSuspended = 7,
    }

    /// Why a domain runs (`virDomainRunningReason`).
    RunningReason {
        /// Not known.
        Unspecified = 0,
        /// It was started.
        Booted = 1,
        /// It arrived by migration.
        Migrated = 2,
        /// It was restored from a saved state.
        Restored = 3,
        /// It was restored from a snapshot.
        FromSnapshot = 4,
        /// It was resumed.
        Unpaused = 5,
        /// Its migration was cancelled.
        MigrationCanceled = 6,
        /// Saving it failed.
        SaveCanceled = 7,
        /// The guest woke up.
        Wakeup = 8,
        /// It was resumed after a crash.
        Crashed = 9,
    }

    /// Why a domain is paused (`virDomainPausedReason`).
    PausedReason {
        /// Not known.
        Unspecified = 0,
        /// A client asked for it.
        User = 1,
        /// It is being migrated.
        Migration = 2,
        /// It is being saved.
        Save = 3,
        /// Its memory is being dumped.
        Dump = 4,
        /// A disk failed.
        IoError = 5,
        /// Its watchdog fired.
        Watchdog = 6,
        /// It was restored from a snapshot of a paused domain.
        FromSnapshot = 7,
        /// The guest has shut down and the process is about to end.
        ShuttingDown = 8,
        /// A snapshot is being made.
        Snapshot = 9,
        /// The guest crashed.
        Crashed = 10,
        /// It is being started.
        StartingUp = 11,
    }

    /// Why a domain does not run (`virDomainShutoffReason`).
    ShutoffReason {
        /// It has not run since the driver was opened.
        Unspecified = 0,
        /// The guest shut down.
        Shutdown = 1,
        /// A client destroyed it.
        Destroyed = 2,
        /// Its process ended unexpectedly.
        Crashed = 3,
        /// It was migrated to another host.
        Migrated = 4,
        /// Its state was saved.
        Saved = 5,
        /// It could not be started.
        Failed = 6,
        /// It was restored from a snapshot of a domain that did not run.
        FromSnapshot = 7,
        /// The daemon lost it.
        Daemon = 8,
    }

    /// Kind of a lifecycle event (`virDomainEventType`).
    DomainLifecycleEvent {
        /// A definition was stored.
        Defined = 0,
        /// The definition was removed.
        Undefined = 1,
        /// It was started.
        Started = 2,
        /// Its CPUs were stopped.
        Suspended = 3,
        /// Its CPUs run again.
        Resumed = 4,
        /// Its process ended.
        Stopped = 5,
        /// The guest has shut down; the process may still exist.
        Shutdown = 6,
        /// The guest suspended itself.
        PmSuspended = 7,
        /// The guest crashed.
        Crashed = 8,
    }

    /// Kind of domain events that a registration receives (`virDomainEventID`).
    DomainEventId {
        /// Defined, started, stopped and so on.
        Lifecycle = 0,
        /// The guest was reset.
        Reboot = 1,
        /// The guest changed its clock.
        RtcChange = 2,
        /// The watchdog fired.
        Watchdog = 3,
        /// A disk failed.
        IoError = 4,
        /// A client of the graphics server came or went.
        Graphics = 5,
        /// A disk failed, with the reason.
        IoErrorReason = 6,
        /// The monitor failed.
        ControlError = 7,
        /// A block job changed its state.
        BlockJob = 8,
        /// A disk's source changed at the start.
        DiskChange = 9,
        /// The tray of a drive moved.
        TrayChange = 10,
        /// The guest woke up.
        PmWakeup = 11,
        /// The guest suspended itself to memory.
        PmSuspend = 12,
        /// The balloon changed the guest's memory.
        BalloonChange = 13,
        /// The guest suspended itself to disk.
        PmSuspendDisk = 14,
        /// A device was removed.
        DeviceRemoved = 15,
        /// A block job changed its state; the disk is named by its target.
        BlockJob2 = 16,
        /// Tunable parameters changed.
        Tunable = 17,
        /// The guest agent connected or disconnected.
        AgentLifecycle = 18,
        /// A device was added.
        DeviceAdded = 19,
        /// A migration began another iteration.
        MigrationIteration = 20,
        /// A job of the domain ended.
        JobCompleted = 21,
        /// The guest refused to release a device.
        DeviceRemovalFailed = 22,
        /// Metadata changed.
        MetadataChange = 23,
        /// A write exceeded the threshold of a disk.
        BlockThreshold = 24,
        /// Memory failed.
        MemoryFailure = 25,
        /// A memory device changed its size.
        MemoryDeviceSizeChange = 26,
        /// The guest changed the MAC address of an interface.
        NicMacChange = 27,
    }

    /// Where interface addresses come from (`virDomainInterfaceAddressesSource`).
    AddressSource {
        /// Leases of the virtual network.
        Lease = 0,
        /// The guest agent.
        Agent = 1,
        /// The host's neighbour table.
        Arp = 2,
    }
}

bitflags! {
    /// Which domains to list (`virConnectListAllDomainsFlags`). Within a group any flag suffices, a group
    /// without a flag does not filter.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainListFlags: u32 {
        /// Running or paused.
        const ACTIVE = 1;
        /// Not running.
        const INACTIVE = 1 << 1;
        /// With a stored definition.
        const PERSISTENT = 1 << 2;
        /// Without a stored definition.
        const TRANSIENT = 1 << 3;
        /// In the state running.
        const RUNNING = 1 << 4;
        /// In the state paused.
        const PAUSED = 1 << 5;
        /// In the state shutoff.
        const SHUTOFF = 1 << 6;
        /// In any other state.
        const OTHER = 1 << 7;
        /// With a managed save image.
        const MANAGED_SAVE = 1 << 8;
        /// Without a managed save image.
        const NO_MANAGED_SAVE = 1 << 9;
        /// Started with the host.
        const AUTOSTART = 1 << 10;
        /// Not started with the host.
        const NO_AUTOSTART = 1 << 11;
        /// With snapshots.
        const HAS_SNAPSHOT = 1 << 12;
        /// Without snapshots.
        const NO_SNAPSHOT = 1 << 13;
        /// With checkpoints.
        const HAS_CHECKPOINT = 1 << 14;
        /// Without checkpoints.
        const NO_CHECKPOINT = 1 << 15;
        const _ = !0;
    }

    /// How a domain is defined (`virDomainDefineFlags`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainDefineFlags: u32 {
        /// The document is checked against the schema.
        const VALIDATE = 1;
        const _ = !0;
    }

    /// How a domain is started (`virDomainCreateFlags`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainCreateFlags: u32 {
        /// Its CPUs stay stopped.
        const PAUSED = 1;
        /// It is destroyed with the connection.
        const AUTODESTROY = 1 << 1;
        /// A saved state is read without the page cache.
        const BYPASS_CACHE = 1 << 2;
        /// A managed save image is discarded.
        const FORCE_BOOT = 1 << 3;
        /// The document is checked against the schema.
        const VALIDATE = 1 << 4;
        /// The firmware's variables are reset.
        const RESET_NVRAM = 1 << 5;
        const _ = !0;
    }

    /// How a domain is destroyed (`virDomainDestroyFlagsValues`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainDestroyFlags: u32 {
        /// Its process is asked to end and never killed.
        const GRACEFUL = 1;
        /// Its logs are removed.
        const REMOVE_LOGS = 1 << 1;
        const _ = !0;
    }

    /// How a guest is asked to shut down or reboot (`virDomainShutdownFlagValues`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainShutdownFlags: u32 {
        /// By the ACPI power button.
        const ACPI_POWER_BUTTON = 1;
        /// By the guest agent.
        const GUEST_AGENT = 1 << 1;
        /// By initctl, in containers.
        const INITCTL = 1 << 2;
        /// By a signal, in containers.
        const SIGNAL = 1 << 3;
        /// By a request of the hypervisor.
        const PARAVIRT = 1 << 4;
        const _ = !0;
    }

    /// What goes with a definition (`virDomainUndefineFlagsValues`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainUndefineFlags: u32 {
        /// The managed save image.
        const MANAGED_SAVE = 1;
        /// Metadata of snapshots.
        const SNAPSHOTS_METADATA = 1 << 1;
        /// The firmware's variables.
        const NVRAM = 1 << 2;
        /// The firmware's variables stay.
        const KEEP_NVRAM = 1 << 3;
        /// Metadata of checkpoints.
        const CHECKPOINTS_METADATA = 1 << 4;
        /// State of the emulated TPM.
        const TPM = 1 << 5;
        /// State of the emulated TPM stays.
        const KEEP_TPM = 1 << 6;
        const _ = !0;
    }

    /// Which document of a domain is returned (`virDomainXMLFlags`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainXmlFlags: u32 {
        /// With passwords; needs a connection that may change things.
        const SECURE = 1;
        /// The definition of the next start.
        const INACTIVE = 1 << 1;
        /// The CPU as the host would provide it.
        const UPDATE_CPU = 1 << 2;
        /// A document that older versions accept.
        const MIGRATABLE = 1 << 3;
        const _ = !0;
    }

    /// Running domain, stored definition, or both (`virDomainModificationImpact`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainAffectFlags: u32 {
        /// The running domain.
        const LIVE = 1;
        /// The stored definition.
        const CONFIG = 1 << 1;
        const _ = !0;
    }

    /// Which figures of domains are returned together (`virDomainStatsTypes`); none asks for all.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainStatsGroups: u32 {
        /// State and its reason.
        const STATE = 1;
        /// CPU time of the whole domain.
        const CPU_TOTAL = 1 << 1;
        /// Memory.
        const BALLOON = 1 << 2;
        /// Virtual CPUs.
        const VCPU = 1 << 3;
        /// Network interfaces.
        const INTERFACE = 1 << 4;
        /// Disks.
        const BLOCK = 1 << 5;
        /// Hardware counters.
        const PERF = 1 << 6;
        /// Threads for disks.
        const IOTHREAD = 1 << 7;
        /// Bandwidth of memory.
        const MEMORY = 1 << 8;
        /// How fast memory is written.
        const DIRTYRATE = 1 << 9;
        /// What the hypervisor counts.
        const VM = 1 << 10;
        const _ = !0;
    }

    /// Of which domains, and how, figures are returned (`virConnectGetAllDomainStatsFlags`). The low bits
    /// are those of [`DomainListFlags`].
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainStatsFlags: u32 {
        /// What would have to be waited for is left out.
        const NOWAIT = 1 << 29;
        /// Backing files have figures of their own.
        const BACKING = 1 << 30;
        /// A group that is not known is an error.
        const ENFORCE_STATS = 1 << 31;
        const _ = !0;
    }

    /// Which virtual CPUs are counted or set (`virDomainVcpuFlags`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainVcpuFlags: u32 {
        /// Those of the running domain.
        const LIVE = 1;
        /// Those of the stored definition.
        const CONFIG = 1 << 1;
        /// Those that it may have at most.
        const MAXIMUM = 1 << 2;
        /// Those that the guest uses, by its agent.
        const GUEST = 1 << 3;
        /// Those that are added can be removed again.
        const HOTPLUGGABLE = 1 << 4;
        const _ = !0;
    }

    /// Which memory is set (`virDomainMemoryModFlags`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainMemoryFlags: u32 {
        /// That of the running domain.
        const LIVE = 1;
        /// That of the stored definition.
        const CONFIG = 1 << 1;
        /// That which it may have at most.
        const MAXIMUM = 1 << 2;
        const _ = !0;
    }

    /// How a device is changed (`virDomainDeviceModifyFlags`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainDeviceFlags: u32 {
        /// In the running domain.
        const LIVE = 1;
        /// In the stored definition.
        const CONFIG = 1 << 1;
        /// Even if the guest has locked it, a CD in its drive for example.
        const FORCE = 1 << 2;
        const _ = !0;
    }

    /// What a guest's agent is asked about (`virDomainGuestInfoTypes`); none asks for all it can say.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct DomainGuestInfoTypes: u32 {
        /// Users that are logged in.
        const USERS = 1;
        /// The operating system.
        const OS = 1 << 1;
        /// The time zone.
        const TIMEZONE = 1 << 2;
        /// The host name.
        const HOSTNAME = 1 << 3;
        /// File systems.
        const FILESYSTEM = 1 << 4;
        /// Disks.
        const DISKS = 1 << 5;
        /// Network interfaces.
        const INTERFACES = 1 << 6;
        /// Load averages.
        const LOAD = 1 << 7;
        const _ = !0;
    }

    /// How a console is opened (`virDomainConsoleFlags`).
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct ConsoleFlags: u32 {
        /// Another client's session is ended.
        const FORCE = 1;
        /// Only if the driver can exclude other sessions.
        const SAFE = 1 << 1;
        const _ = !0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_and_bits_stay() {
        assert_eq!(DomainState::from_number(5), DomainState::Shutoff);
        assert_eq!(DomainState::from_number(99).number(), 99);
        let flags = DomainCreateFlags::from_bits_retain(0x8000_0001);
        assert!(flags.contains(DomainCreateFlags::PAUSED));
        assert_eq!((flags - DomainCreateFlags::PAUSED).bits(), 0x8000_0000);
    }
}
