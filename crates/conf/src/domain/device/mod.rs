//! `<devices>`: one module per kind.

pub mod chardev;
pub mod controller;
pub mod disk;
pub mod filesystem;
pub mod graphics;
pub mod hostdev;
pub mod input;
pub mod interface;
pub mod memballoon;
pub mod memory;
pub mod other;
pub mod rng;
pub mod sound;
pub mod source;
pub mod tpm;
pub mod video;
pub mod watchdog;

use crate::element::elements;
use crate::keyword::OnOff;

use chardev::{CharDevice, RedirFilter, Redirdev, Smartcard};
use controller::Controller;
use disk::Disk;
use filesystem::Filesystem;
use graphics::Graphics;
use hostdev::Hostdev;
use input::Input;
use interface::Interface;
use memballoon::Memballoon;
use memory::MemoryDevice;
use other::{Crypto, Hub, Iommu, Lease, NvramDevice, Panic, Pstore, Shmem, Vsock};
use rng::Rng;
use sound::{Audio, Sound};
use tpm::Tpm;
use video::Video;
use watchdog::Watchdog;

elements! {
    /// `<devices>`, in the order of output
    pub struct Devices {
        text emulator: Option<String> = "emulator",
        list disks: Vec<Disk> = "disk",
        list controllers: Vec<Controller> = "controller",
        list leases: Vec<Lease> = "lease",
        list filesystems: Vec<Filesystem> = "filesystem",
        list interfaces: Vec<Interface> = "interface",
        list smartcards: Vec<Smartcard> = "smartcard",
        list serials: Vec<CharDevice> = "serial",
        list parallels: Vec<CharDevice> = "parallel",
        list consoles: Vec<CharDevice> = "console",
        list channels: Vec<CharDevice> = "channel",
        list inputs: Vec<Input> = "input",
        list tpms: Vec<Tpm> = "tpm",
        list graphics: Vec<Graphics> = "graphics",
        list sounds: Vec<Sound> = "sound",
        list audios: Vec<Audio> = "audio",
        list videos: Vec<Video> = "video",
        list hostdevs: Vec<Hostdev> = "hostdev",
        list redirdevs: Vec<Redirdev> = "redirdev",
        present redirfilter: Option<RedirFilter> = "redirfilter",
        list hubs: Vec<Hub> = "hub",
        list watchdogs: Vec<Watchdog> = "watchdog",
        list memballoons: Vec<Memballoon> = "memballoon",
        list rngs: Vec<Rng> = "rng",
        present nvram: Option<NvramDevice> = "nvram",
        list panics: Vec<Panic> = "panic",
        list shmems: Vec<Shmem> = "shmem",
        list memories: Vec<MemoryDevice> = "memory",
        child iommu: Option<Iommu> = "iommu",
        child vsock: Option<Vsock> = "vsock",
        list cryptos: Vec<Crypto> = "crypto",
        child pstore: Option<Pstore> = "pstore",
    }

    /// `<driver>` of a virtio device that has nothing else
    pub struct VirtioDriver {
        attr iommu: Option<OnOff> = "iommu",
        attr ats: Option<OnOff> = "ats",
        attr packed: Option<OnOff> = "packed",
        attr page_per_vq: Option<OnOff> = "page_per_vq",
    }

    /// `<iothreads>` of a `<driver>`
    pub struct IoThreadMap {
        list threads: Vec<IoThreadMapping> = "iothread",
    }

    /// An I/O thread and the queues it serves.
    pub struct IoThreadMapping {
        attr id: Option<u32> = "id",
        list queues: Vec<IoThreadQueue> = "queue",
    }

    /// A queue.
    pub struct IoThreadQueue {
        attr id: Option<u32> = "id",
    }
}
