//! The crash test of guests: whatever call the driver is killed at, its next opening has the guest, or nothing
//! is left of it.
//!
//! [`Bench`] is a host with a guest that has a disk, a card on a network and a display. [`Bench::kill`] kills
//! the driver at one kill point of an operation, opens it again and looks at everything that a guest has on
//! its host: process, tap, place on the network, control group, owner of the disk, files.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::guests::Guests;
use crate::inject::calls::Call;
use crate::process::{PATIENCE, wait_until};

const NETWORK: &str = include_str!("../data/networks/default.xml");
/// The network's name.
const DEFAULT: &str = "default";
const NAME: &str = "crash";
/// States (`virDomainState`).
const RUNNING: &str = "1";
const SHUTOFF: &str = "5";
/// Flag of lists: guests that run.
const ACTIVE: &str = "1";

/// A guest that switches itself off when its power button is pressed, as the first sector of its disk.
///
/// It enables the event of the button in `PM1_EN`, writes a letter to its serial port and looks at `PM1_STS`
/// until the button is pressed; then it writes "soft off" to `PM1_CNT` (ACPI 6.5, 4.8.3; the ports are those
/// that SeaBIOS gives q35).
const SECTOR: [u8; 34] = [
    0xfa, // cli
    0xba, 0x02, 0x06, // mov dx, 0x602
    0xb8, 0x00, 0x01, // mov ax, 0x100
    0xef, // out dx, ax
    0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xb0, b'R', // mov al, 'R'
    0xee, // out dx, al
    0xba, 0x00, 0x06, // mov dx, 0x600
    0xed, // again: in ax, dx
    0xf6, 0xc4, 0x01, // test ah, 1
    0x74, 0xfa, // jz again
    0xba, 0x04, 0x06, // mov dx, 0x604
    0xb8, 0x00, 0x20, // mov ax, 0x2000
    0xef, // out dx, ax
    0xfa, // off: cli
    0xf4, // hlt
    0xeb, 0xfd, // jmp off + 1
];
/// Size of the disk in bytes.
const DISK: usize = 1 << 20;

/// What the driver is killed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Starting a guest.
    Start,
    /// Ending one that runs.
    Destroy,
    /// Pressing the power button of one that runs, until it is off.
    Shutdown,
    /// Opening the driver after it was killed at this point of a start.
    RecoverStart(usize),
}

impl Operation {
    /// The operations whose kill points are of interest by themselves.
    pub const ALL: [Self; 3] = [Self::Start, Self::Destroy, Self::Shutdown];

    /// The lines that the driver reads.
    const fn calls(self) -> &'static [&'static str] {
        match self {
            Self::Start => &["start crash 0"],
            Self::Destroy => &["destroy crash 0"],
            Self::Shutdown => &["shutdown crash", "until crash 5"],
            Self::RecoverStart(_) => &["list crash 0"],
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start => f.write_str("start of a guest"),
            Self::Destroy => f.write_str("destroy of a guest"),
            Self::Shutdown => f.write_str("shutdown of a guest"),
            Self::RecoverStart(at) => write!(f, "recovery from a kill at {at} of start"),
        }
    }
}

/// What became of one kill.
#[derive(Debug)]
pub enum Kill {
    /// All is well.
    Survived(State),
    /// Something was wrong afterwards.
    Exception {
        /// Where it was killed.
        call: Option<Call>,
        /// What was wrong.
        error: Error,
    },
    /// The operation has fewer kill points.
    BeyondTheEnd,
}

/// What there is of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs and has all that belongs to it.
    Up,
    /// Only its definition and its disk are there.
    Down,
}

/// A host with a guest whose driver is to be killed.
#[derive(Debug)]
pub struct Bench {
    host: Guests,
    disk: PathBuf,
    /// User and group that the disk belongs to while no guest runs.
    owner: (u32, u32),
}

impl Bench {
    /// A fresh host on which the guest is defined and has run once.
    ///
    /// # Errors
    /// The guest cannot be started and destroyed.
    pub fn new() -> Result<Self> {
        let mut host = Guests::with_cgroups()?;
        host.call("net-define", DEFAULT, NETWORK)?;
        host.call("net-start", DEFAULT, "")?;
        let disk = host.path("disk.img");
        let mut content = SECTOR.to_vec();
        content.resize(510, 0);
        content.extend([0x55, 0xaa]);
        content.resize(DISK, 0);
        #[expect(clippy::disallowed_methods, reason = "no reader yet")]
        std::fs::write(&disk, content).map_err(Error::file(&disk))?;
        let owner = owner(&disk)?;
        let serial = host.path("serial");
        host.call("define", NAME, &document(&disk, &serial))?;
        let mut bench = Self { host, disk, owner };
        bench.host.call("start", NAME, "0")?;
        bench.expect(State::Up, "an undisturbed start")?;
        bench.destroy()?;
        bench.host.close();
        Ok(bench)
    }

    /// Kills the driver at kill point `at` (from 1) of an operation, and looks at what follows.
    ///
    /// Leaves the guest down and the driver closed; after an exception the bench is not to be used again.
    ///
    /// # Errors
    /// The test itself could not be carried out.
    pub fn kill(&mut self, operation: Operation, at: usize) -> Result<Kill> {
        match operation {
            Operation::Start => {}
            Operation::Destroy | Operation::Shutdown => self.prepare(operation)?,
            Operation::RecoverStart(first) => {
                if !self.host.inject(first, Operation::Start.calls())?.killed {
                    self.host.open()?;
                    self.destroy()?;
                    self.host.close();
                    return Ok(Kill::BeyondTheEnd);
                }
            }
        }
        let traced = self.host.inject(at, operation.calls())?;
        if !traced.killed && !traced.exit().success() {
            let error = Error::Wrong(format!("{operation} ended with {}", traced.exit()));
            return Ok(Kill::Exception { call: None, error });
        }
        match self.recovered() {
            Ok(_) if !traced.killed => Ok(Kill::BeyondTheEnd),
            Ok(state) => Ok(Kill::Survived(state)),
            Err(error) => Ok(Kill::Exception { call: traced.calls.last().cloned(), error }),
        }
    }

    /// Starts the guest; one that is to be switched off has to be there.
    fn prepare(&mut self, operation: Operation) -> Result<()> {
        let serial = self.host.path("serial");
        self.host.open()?;
        if serial.exists() {
            std::fs::remove_file(&serial).map_err(Error::file(&serial))?;
        }
        self.host.call("start", NAME, "0")?;
        if operation == Operation::Shutdown {
            wait_until("the guest is there", || {
                Ok(std::fs::read(&serial).is_ok_and(|text| text.contains(&b'R')))
            })?;
        }
        self.host.close();
        Ok(())
    }

    /// Opens the driver again: the guest is whole or gone, and can be started and ended again.
    fn recovered(&mut self) -> Result<State> {
        self.host.open()?;
        let state = self.settled()?;
        if state == State::Down {
            self.host.call("start", NAME, "0")?;
            self.expect(State::Up, "a new start")?;
        }
        self.destroy()?;
        self.host.close();
        Ok(state)
    }

    fn destroy(&mut self) -> Result<()> {
        match self.host.call("destroy", NAME, "0") {
            // It may have been ending since before the driver was killed.
            Err(Error::Refused { number: 55, .. }) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        self.expect(State::Down, "a destroy")
    }

    /// Waits until the guest is whole or gone.
    fn settled(&mut self) -> Result<State> {
        let end = Instant::now() + PATIENCE;
        loop {
            let state = match self.host.call("list", NAME, ACTIVE)?.as_str() {
                NAME => State::Up,
                _ => State::Down,
            };
            let wrong = self.wrong(state)?;
            if wrong.is_empty() {
                return Ok(state);
            }
            // Processes end some time after the signal, and the driver finds guests again beside other things.
            if Instant::now() > end {
                let text = format!("after the driver was opened again, not {state:?}: {wrong:?}");
                return Err(Error::Wrong(text));
            }
        }
    }

    fn expect(&mut self, state: State, after: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let wrong = self.wrong(state)?;
            if wrong.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Error::Wrong(format!("after {after}, not {state:?}: {wrong:?}")));
            }
        }
    }

    /// What of the host is not as it should be.
    fn wrong(&mut self, state: State) -> Result<Vec<String>> {
        let has_groups = self.host.has_groups();
        let is_up = state == State::Up;
        let one = usize::from(is_up);
        let mut wrong = Vec::new();
        let mut check = |what: &str, found: String, expected: String| {
            if found != expected {
                wrong.push(format!("{what}: {found}, not {expected}"));
            }
        };
        let now = self.host.call("state", NAME, "")?;
        let now = now.split(' ').next().unwrap_or_default().to_owned();
        check("state", now, if is_up { RUNNING } else { SHUTOFF }.to_owned());
        let ports = self.host.call("net-ports", DEFAULT, "")?;
        check("places on the network", ports, one.to_string());
        let n_emulators = self.host.emulators()?.len();
        check("processes", n_emulators.to_string(), one.to_string());
        let links = self.host.netns().sh("ls /sys/class/net/virbr0/brif")?;
        check("taps on the bridge", links.lines().count().to_string(), one.to_string());
        let groups = self.host.groups().len();
        check("control groups", groups.to_string(), (one * usize::from(has_groups)).to_string());
        if !is_up {
            let (found, expected) = (owner(&self.disk)?, self.owner);
            check("owner of the disk", format!("{found:?}"), format!("{expected:?}"));
            check("attributes of the disk", attributes(&self.disk)?, String::new());
            check("traces", self.host.traces()?.join(", "), String::new());
        }
        Ok(wrong)
    }
}

fn document(disk: &Path, serial: &Path) -> String {
    let (disk, serial) = (disk.display(), serial.display());
    // Its firmware is through in a second on an emulated processor, also where KVM is slow at it.
    format!(
        "<domain type='qemu'><name>{NAME}</name><memory unit='MiB'>32</memory>\
         <os><type machine='q35'>hvm</type></os><features><acpi/></features><devices>\
         <disk type='file'><driver name='qemu' type='raw'/><source file='{disk}'/>\
         <target dev='vda' bus='virtio'/></disk><interface type='network'>\
         <source network='{DEFAULT}'/><model type='virtio'/><rom enabled='no'/></interface>\
         <serial type='file'><source path='{serial}'/></serial><graphics type='vnc'/>\
         </devices></domain>"
    )
}

/// Whether guests can have the host's processor.
pub(crate) fn has_kvm() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

fn owner(path: &Path) -> Result<(u32, u32)> {
    let meta = path.metadata().map_err(Error::file(path))?;
    Ok((meta.uid(), meta.gid()))
}

/// The names of extended attributes that a driver gives to files of guests.
fn attributes(path: &Path) -> Result<String> {
    let mut names = vec![0_u8; 4096];
    let length = rustix::fs::listxattr(path, &mut names[..])
        .map_err(|error| Error::file(path)(std::io::Error::from(error)))?;
    let names = names[..length].split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let given = names.filter(|name| name.contains("libvirt") || name.contains("oxivirt"));
    Ok(given.collect::<Vec<_>>().join(", "))
}
