//! Numbers and flags of the calls about storage pools and volumes.
//!
//! libvirt: include/libvirt/libvirt-storage.h

use bitflags::bitflags;

use crate::domain::numbered;

numbered! {
    /// State of a pool (`virStoragePoolState`).
    StoragePoolState {
        /// It is not started.
        Inactive = 0,
        /// It is being built.
        Building = 1,
        /// It is started.
        Running = 2,
        /// It is started and has lost redundancy.
        Degraded = 3,
        /// It is started and cannot be used.
        Inaccessible = 4,
    }

    /// What a volume is on the host (`virStorageVolType`).
    StorageVolType {
        /// A file.
        File = 0,
        /// A block device.
        Block = 1,
        /// A directory.
        Dir = 2,
        /// Reached by a network protocol.
        Network = 3,
        /// A directory reached by a network protocol.
        NetDir = 4,
        /// A ploop image.
        Ploop = 5,
    }

    /// How a volume is overwritten (`virStorageVolWipeAlgorithm`).
    WipeAlgorithm {
        /// With zeros, once.
        Zero = 0,
        /// The NNSA's pattern.
        Nnsa = 1,
        /// The DoD's pattern.
        Dod = 2,
        /// The BSI's pattern.
        Bsi = 3,
        /// Gutmann's 35 passes.
        Gutmann = 4,
        /// Schneier's seven passes.
        Schneier = 5,
        /// Pfitzner's seven passes.
        Pfitzner7 = 6,
        /// Pfitzner's 33 passes.
        Pfitzner33 = 7,
        /// Random data, once.
        Random = 8,
        /// The device discards its data.
        Trim = 9,
    }

    /// Kinds of events of pools (`virStoragePoolEventID`).
    StoragePoolEventId {
        /// A pool was defined, started and so on.
        Lifecycle = 0,
        /// The volumes of a pool were read again.
        Refresh = 1,
    }

    /// Steps in the life of a pool (`virStoragePoolEventLifecycleType`).
    StoragePoolLifecycle {
        /// Its definition was stored.
        Defined = 0,
        /// Its definition was removed.
        Undefined = 1,
        /// It was started.
        Started = 2,
        /// It was stopped.
        Stopped = 3,
        /// It was built.
        Created = 4,
        /// What it was built of was removed.
        Deleted = 5,
    }
}

macro_rules! flags {
    ($($(#[$($doc:tt)*])* $name:ident { $($(#[$($bit_doc:tt)*])* $bit:ident = $value:expr,)* })*) => {
        bitflags! {$(
            $(#[$($doc)*])*
            #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
            pub struct $name: u32 {
                $($(#[$($bit_doc)*])* const $bit = $value;)*
            }
        )*}
    };
}

flags! {
    /// Which pools to list (`virConnectListAllStoragePoolsFlags`). Within a group any flag suffices, a
    /// group without a flag does not filter.
    StoragePoolListFlags {
        /// Not started.
        INACTIVE = 1,
        /// Started.
        ACTIVE = 1 << 1,
        /// With a stored definition.
        PERSISTENT = 1 << 2,
        /// Without a stored definition.
        TRANSIENT = 1 << 3,
        /// Started with the host.
        AUTOSTART = 1 << 4,
        /// Not started with the host.
        NO_AUTOSTART = 1 << 5,
        /// A directory.
        DIR = 1 << 6,
        /// A file system.
        FS = 1 << 7,
        /// A file system of a server.
        NETFS = 1 << 8,
        /// An LVM volume group.
        LOGICAL = 1 << 9,
        /// A disk with partitions.
        DISK = 1 << 10,
        /// Units of an iSCSI target.
        ISCSI = 1 << 11,
        /// Units of a SCSI adapter.
        SCSI = 1 << 12,
        /// Multipath devices.
        MPATH = 1 << 13,
        /// A Ceph pool.
        RBD = 1 << 14,
        /// A Sheepdog cluster.
        SHEEPDOG = 1 << 15,
        /// A Gluster volume.
        GLUSTER = 1 << 16,
        /// A ZFS dataset.
        ZFS = 1 << 17,
        /// A Virtuozzo storage cluster.
        VSTORAGE = 1 << 18,
        /// Units of an iSCSI target, without the kernel.
        ISCSI_DIRECT = 1 << 19,
    }

    /// How to define a pool (`virStoragePoolDefineFlags`).
    StoragePoolDefineFlags {
        /// Check the document against the schema first.
        VALIDATE = 1,
    }

    /// How to start a pool (`virStoragePoolCreateFlags`).
    StoragePoolCreateFlags {
        /// Build it first.
        WITH_BUILD = 1,
        /// Build it first, over what is there.
        WITH_BUILD_OVERWRITE = 1 << 1,
        /// Build it first, unless something is there.
        WITH_BUILD_NO_OVERWRITE = 1 << 2,
    }

    /// How to build a pool (`virStoragePoolBuildFlags`).
    StoragePoolBuildFlags {
        /// Repair what is damaged.
        REPAIR = 1,
        /// Extend it.
        RESIZE = 1 << 1,
        /// Fail if something is there.
        NO_OVERWRITE = 1 << 2,
        /// Remove what is there.
        OVERWRITE = 1 << 3,
    }

    /// How to remove what a pool was built of (`virStoragePoolDeleteFlags`).
    StoragePoolDeleteFlags {
        /// Overwrite the data with zeros.
        ZEROED = 1,
    }

    /// Which XML to print (`virStorageXMLFlags`).
    StorageXmlFlags {
        /// The stored definition.
        INACTIVE = 1,
    }

    /// How to create a volume (`virStorageVolCreateFlags`).
    StorageVolCreateFlags {
        /// Allocate the tables of the format.
        PREALLOC_METADATA = 1,
        /// Share the blocks of the volume that is copied.
        REFLINK = 1 << 1,
        /// Check the document against the schema first.
        VALIDATE = 1 << 2,
    }

    /// How to delete a volume (`virStorageVolDeleteFlags`).
    StorageVolDeleteFlags {
        /// Overwrite the data with zeros.
        ZEROED = 1,
        /// Delete its snapshots too.
        WITH_SNAPSHOTS = 1 << 1,
    }

    /// How to resize a volume (`virStorageVolResizeFlags`).
    StorageVolResizeFlags {
        /// Allocate what is added.
        ALLOCATE = 1,
        /// The size is a difference.
        DELTA = 1 << 1,
        /// It may become smaller.
        SHRINK = 1 << 2,
    }

    /// How data of a volume is transferred (`virStorageVolUploadFlags`, `virStorageVolDownloadFlags`).
    StorageVolTransferFlags {
        /// Holes are transferred as such.
        SPARSE_STREAM = 1,
    }

    /// Which size of a volume is reported as allocation (`virStorageVolInfoFlags`).
    StorageVolInfoFlags {
        /// The physical size in place of the allocation.
        GET_PHYSICAL = 1,
    }
}
