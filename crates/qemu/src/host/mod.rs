//! The host that guests run on: processors, memory, topology, and what its emulators can do.
//!
//! [`Host`] answers the calls of the API that are about the host. Everything it knows is read from `/proc`,
//! `/sys` and `/usr` below a root directory, so a test can have a host of its own.

mod document;
mod firmware;
mod processor;
mod procfs;
mod sysinfo;
mod topology;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError};

use async_trait::async_trait;
use oxivirt::{
    CpuMap as OnlineMap, CpuStats, DomainCapabilitiesQuery, Error, ErrorCode, ErrorDomain,
    HostDriver, NodeInfo, Result, SecurityModel,
};
use oxivirt_conf::domain::VirtType;
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_cpu::{CpuMap, Decode, GuestCpu, Purpose};

pub(crate) use procfs::{format_ranges, ranges};

use crate::capabilities::{DomainCapabilities, HostSupport};
use crate::emulators::Emulators;

pub use document::HostCapabilities;

use document::Details;
use firmware::Choice;
use processor::ThisProcessor;
use topology::{Cell, Topology};

/// Where a CPU map may be: libvirt's, which its package `libvirt-common` installs, or a copy that an
/// administrator or a package put beside the daemon's own files.
const MAP_DIRS: [&str; 2] = ["usr/share/libvirt/cpu_map", "usr/share/oxivirt/cpu_map"];

/// Most processors of a KVM guest (`KVM_MAX_VCPUS` of x86 in Linux since 5.16).
const KVM_MAX_VCPUS: u32 = 1024;
/// Most processors of a guest of no particular kind, as libvirt reports it.
const PLAIN_MAX_VCPUS: u32 = 16;

/// Architectures of guests that the host offers, in the order of the document.
const GUEST_ARCHES: &[&str] = &["i686", "x86_64"];

/// Architectures that libvirt has a name for (`virArch`, src/util/virarch.h).
const ARCHES: &[&str] = &[
    "aarch64",
    "alpha",
    "armv6l",
    "armv7b",
    "armv7l",
    "cris",
    "i686",
    "ia64",
    "itanium",
    "lm32",
    "loongarch64",
    "m68k",
    "microblaze",
    "microblazeel",
    "mips",
    "mips64",
    "mips64el",
    "mipsel",
    "or32",
    "parisc",
    "parisc64",
    "ppc",
    "ppc64",
    "ppc64le",
    "ppcemb",
    "riscv32",
    "riscv64",
    "s390",
    "s390x",
    "sh4",
    "sh4eb",
    "sparc",
    "sparc64",
    "unicore32",
    "x86_64",
    "xtensa",
    "xtensaeb",
];

/// Where a host is and who its guests run as.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Root of `/proc`, `/sys` and `/usr`.
    pub root: PathBuf,
    /// The emulators.
    pub emulators: Arc<dyn Emulators>,
    /// User and group of guests, if the driver may change them.
    pub dac: Option<(u32, u32)>,
}

/// The calls about a host.
#[derive(Debug)]
pub struct Host {
    options: HostOptions,
    uuid: OnceLock<String>,
    map: OnceLock<Option<Arc<CpuMap>>>,
    /// The last documents of [`HostDriver::domain_capabilities`]; clients ask for the same several times.
    documents: std::sync::Mutex<Vec<Document>>,
}

/// Documents that are kept.
const DOCUMENTS_MAX: usize = 8;

#[derive(Debug)]
struct Document {
    emulator: Arc<EmulatorCapabilities>,
    machine: String,
    virt_type: VirtType,
    text: String,
}

impl Host {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(options: HostOptions) -> Self {
        Self {
            options,
            uuid: OnceLock::new(),
            map: OnceLock::new(),
            documents: std::sync::Mutex::default(),
        }
    }

    /// The names of processors, if the host has them.
    #[must_use]
    pub fn processor_map(&self) -> Option<&CpuMap> {
        self.loaded_map().as_deref()
    }

    /// The same, to be kept.
    pub(crate) fn shared_processor_map(&self) -> Option<Arc<CpuMap>> {
        self.loaded_map().clone()
    }

    fn loaded_map(&self) -> &Option<Arc<CpuMap>> {
        self.map.get_or_init(|| {
            let dirs = MAP_DIRS.iter().map(|dir| self.options.root.join(dir));
            let dir = dirs.into_iter().find(|dir| dir.join("index.xml").is_file())?;
            match CpuMap::load(|name| fs::read_to_string(dir.join(name))) {
                Ok(map) => Some(Arc::new(map)),
                Err(error) => {
                    tracing::warn!(dir = %dir.display(), %error, "cannot use the CPU map");
                    None
                }
            }
        })
    }

    /// The host's UUID: of the firmware, else of the machine id, else a random one until the next start.
    ///
    /// libvirt 11.3.0: `virGetHostUUID`, src/util/viruuid.c
    fn uuid(&self) -> &str {
        self.uuid.get_or_init(|| {
            let read = |name: &str| {
                let text = procfs::line(&self.options.root.join(name))?;
                let uuid = oxivirt::parse_uuid(text.trim())?;
                // Firmware that has none says so in these ways.
                (!uuid.is_nil() && !uuid.is_max()).then(|| uuid.to_string())
            };
            read("sys/class/dmi/id/product_uuid")
                .or_else(|| read("etc/machine-id"))
                .unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.options.root.join(name)
    }

    fn cpuinfo(&self) -> String {
        procfs::line(&self.path("proc/cpuinfo")).unwrap_or_default()
    }

    fn topology(&self) -> Topology {
        Topology::read(&self.options.root)
    }

    /// The processor as a model with additions, for which the map is needed.
    fn processor(&self) -> Option<GuestCpu> {
        let map = self.processor_map()?;
        let data = processor::data(&ThisProcessor::new(&self.options.root), map)?;
        map.decode(&data, &Decode { purpose: Purpose::Host, ..Decode::default() })
    }

    fn has_iommu(&self) -> bool {
        fs::read_dir(self.path("sys/kernel/iommu_groups")).is_ok_and(|mut dir| dir.next().is_some())
    }

    async fn emulators(&self) -> Vec<(&'static str, Arc<EmulatorCapabilities>)> {
        let mut found = Vec::new();
        for arch in GUEST_ARCHES {
            let Some(program) = self.options.emulators.program(arch) else { continue };
            match self.options.emulators.capabilities(&program).await {
                Ok(emulator) => found.push((*arch, emulator)),
                // One that does not work does not hide the rest.
                Err(error) => tracing::warn!(program = %program.display(), %error, "no emulator"),
            }
        }
        found
    }

    fn cells(&self, given: i32, count: usize) -> Result<Vec<Cell>> {
        let cells = self.topology().cells;
        let last = cells.last().map_or(0, |cell| cell.id);
        let start = u32::try_from(given).ok().filter(|start| *start <= last);
        let Some(start) = start else {
            let text = format!("start cell {given} out of range (0-{last})");
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE, text));
        };
        Ok(cells.into_iter().filter(|cell| cell.id >= start).take(count).collect())
    }

    fn describe(
        &self,
        emulator: Arc<EmulatorCapabilities>,
        arch: &str,
        machine: String,
        virt_type: VirtType,
    ) -> String {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let known = documents.iter().find(|known| {
            Arc::ptr_eq(&known.emulator, &emulator)
                && known.machine == machine
                && known.virt_type == virt_type
        });
        if let Some(known) = known {
            return known.text.clone();
        }
        let installed = firmware::installed(&self.options.root);
        let firmware = Choice::of(&installed, arch, &machine);
        let kinds: Vec<&str> = firmware.kinds.iter().copied().collect();
        let host = HostSupport {
            cpu_map: self.processor_map(),
            vcpu_limit: Some(KVM_MAX_VCPUS),
            physical_bits: physical_bits(&self.cpuinfo()),
            firmware_kinds: &kinds,
            loaders: &firmware.loaders,
            secure_boot: firmware.secure_boot,
            vfio: self.path("dev/vfio/vfio").exists() && self.has_iommu(),
            // Guests with an emulated TPM cannot be started.
            tpm_versions: &[],
            sev_guests: (0, 0),
        };
        let text = DomainCapabilities {
            emulator: &emulator,
            arch,
            machine: &machine,
            virt_type,
            host: &host,
        }
        .format();
        if documents.len() >= DOCUMENTS_MAX {
            documents.remove(0);
        }
        documents.push(Document { emulator, machine, virt_type, text: text.clone() });
        text
    }
}

/// Bits of a physical address in `cpuinfo`.
fn physical_bits(cpuinfo: &str) -> Option<u32> {
    procfs::processor(cpuinfo, "address sizes")?.split_whitespace().next()?.parse().ok()
}

fn invalid(text: String) -> Error {
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, text)
}

#[async_trait]
impl HostDriver for Host {
    async fn capabilities(&self) -> Result<String> {
        let emulators = self.emulators().await;
        let cpuinfo = self.cpuinfo();
        let number = |name| procfs::processor(&cpuinfo, name)?.parse::<u32>().ok();
        let microcode = procfs::processor(&cpuinfo, "microcode")
            .and_then(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok());
        let signature = || Some((number("cpu family")?, number("model")?, number("stepping")?));
        let (topology, cpu) = (self.topology(), self.processor());
        let document = HostCapabilities {
            arch: std::env::consts::ARCH,
            details: Some(Details {
                uuid: self.uuid().to_owned(),
                cpu: cpu.as_ref(),
                microcode,
                signature: signature(),
                physical_bits: physical_bits(&cpuinfo),
                iommu: self.has_iommu(),
                topology: &topology,
                dac: self.options.dac,
            }),
            guests: emulators.iter().map(|(arch, emulator)| (*arch, &**emulator)).collect(),
        };
        Ok(document.format())
    }

    /// Errors: emulator missing, [`ErrorCode::SYSTEM_ERROR`]; anything else that does not exist,
    /// [`ErrorCode::INVALID_ARG`].
    ///
    /// libvirt 11.3.0: `qemuConnectGetDomainCapabilities`, src/qemu/qemu_driver.c
    async fn domain_capabilities(&self, query: &DomainCapabilitiesQuery<'_>) -> Result<String> {
        let wanted = match query.arch {
            None => None,
            Some(arch) if ARCHES.contains(&arch) => Some(arch),
            Some(arch) => return Err(invalid(format!("unknown architecture: {arch}"))),
        };
        let virt_type = query
            .virt_type
            .map(|word| {
                let known = [VirtType::Qemu, VirtType::Kvm, VirtType::Hvf];
                let found = known.into_iter().find(|virt_type| virt_type.as_str() == word);
                found.ok_or_else(|| invalid(format!("unknown virttype: {word}")))
            })
            .transpose()?;
        let program = match (query.emulator, wanted) {
            (Some(path), _) => PathBuf::from(path),
            (None, arch) => {
                let arch = arch.unwrap_or(std::env::consts::ARCH);
                self.options.emulators.program(arch).ok_or_else(|| {
                    invalid(format!("unable to find any emulator to serve '{arch}' architecture"))
                })?
            }
        };
        let emulator = self.options.emulators.capabilities(&program).await?;
        let arch = wanted.unwrap_or(&emulator.arch).to_owned();
        if arch != emulator.arch {
            return Err(invalid(format!(
                "architecture from emulator '{}' doesn't match given architecture '{arch}'",
                emulator.arch
            )));
        }
        let fastest = if emulator.has("kvm") { VirtType::Kvm } else { VirtType::Qemu };
        let virt_type = virt_type.unwrap_or(fastest);
        let name = program.display();
        if !emulator.runs(virt_type) {
            let text = format!(
                "the accel '{}' is not supported by '{name}' on this host",
                virt_type.as_str()
            );
            return Err(invalid(text));
        }
        let machine = match query.machine {
            Some(machine) => emulator.canonical_machine(virt_type, machine).ok_or_else(|| {
                invalid(format!("the machine '{machine}' is not supported by emulator '{name}'"))
            })?,
            None => emulator.preferred_machine(virt_type).unwrap_or_default(),
        };
        Ok(self.describe(emulator, &arch, machine, virt_type))
    }

    async fn cpu_model_names(&self, arch: &str) -> Result<Vec<String>> {
        if !ARCHES.contains(&arch) {
            let text = format!("cannot find architecture {arch}");
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::CPU, text));
        }
        let map = self.processor_map().filter(|_| matches!(arch, "x86_64" | "i686"));
        let names = map.map(|map| map.model_names().map(str::to_owned).collect());
        Ok(names.unwrap_or_default())
    }

    async fn sysinfo(&self) -> Result<String> {
        sysinfo::document(&self.options.root).ok_or_else(|| {
            let text = "Host SMBIOS information is not available";
            Error::new(ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::QEMU, text)
        })
    }

    /// libvirt 11.3.0: `qemuConnectGetMaxVcpus`, src/qemu/qemu_driver.c
    async fn max_vcpus(&self, domain_type: Option<&str>) -> Result<u32> {
        match domain_type.map(str::to_ascii_lowercase).as_deref() {
            None | Some("qemu") => Ok(PLAIN_MAX_VCPUS),
            Some("kvm") => Ok(KVM_MAX_VCPUS),
            Some(_) => Err(invalid(format!("unknown type '{}'", domain_type.unwrap_or_default()))),
        }
    }

    async fn node_info(&self) -> Result<NodeInfo> {
        let cpuinfo = self.cpuinfo();
        let mhz = procfs::processor(&cpuinfo, "cpu MHz").and_then(|mhz| mhz.split('.').next());
        let meminfo = procfs::line(&self.path("proc/meminfo")).unwrap_or_default();
        let shape = self.topology().shape();
        Ok(NodeInfo {
            model: std::env::consts::ARCH.to_owned(),
            memory_kib: procfs::memory(&meminfo, "MemTotal").unwrap_or(0),
            cpus: shape.cpus,
            mhz: mhz.and_then(|mhz| mhz.parse().ok()).unwrap_or(0),
            nodes: shape.nodes,
            sockets: shape.sockets,
            cores: shape.cores,
            threads: shape.threads,
        })
    }

    async fn cpu_map(&self) -> Result<OnlineMap> {
        Ok(OnlineMap { online: self.topology().online })
    }

    async fn cpu_stats(&self, cpu: Option<u32>) -> Result<CpuStats> {
        let stat = read(&self.path("proc/stat"))?;
        procfs::times(&stat, cpu).ok_or_else(|| {
            let text = "Invalid cpuNum in virHostCPUGetStatsLinux";
            Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, text)
        })
    }

    async fn memory_stats(&self, cell: Option<u32>) -> Result<Vec<(String, u64)>> {
        let path = match cell {
            None => self.path("proc/meminfo"),
            Some(cell) => self.path(&format!("sys/devices/system/node/node{cell}/meminfo")),
        };
        let Ok(meminfo) = fs::read_to_string(&path) else {
            let text = "cellNum in virHostMemGetStats must be less than or equal to 0";
            return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, text));
        };
        let fields = [
            ("total", "MemTotal"),
            ("free", "MemFree"),
            ("buffers", "Buffers"),
            ("cached", "Cached"),
        ];
        let value = |(name, kernel): (&str, &str)| {
            Some((name.to_owned(), procfs::memory(&meminfo, kernel)?))
        };
        Ok(fields.into_iter().filter_map(value).collect())
    }

    async fn free_memory(&self) -> Result<u64> {
        let meminfo = read(&self.path("proc/meminfo"))?;
        Ok(procfs::memory(&meminfo, "MemFree").unwrap_or(0).saturating_mul(1024))
    }

    async fn cells_free_memory(&self, start: i32, max: i32) -> Result<Vec<u64>> {
        let cells = self.cells(start, usize::try_from(max).unwrap_or(0))?;
        Ok(cells.iter().map(|cell| cell.free_kib.saturating_mul(1024)).collect())
    }

    async fn free_pages(&self, sizes: &[u32], start: i32, count: u32) -> Result<Vec<u64>> {
        let cells = self.cells(start, usize::try_from(count).unwrap_or(usize::MAX))?;
        let mut found = Vec::new();
        for cell in &cells {
            for size in sizes {
                let pages = cell.pages.get(&u64::from(*size)).ok_or_else(|| {
                    let text = format!("page size {size} is not available on node {}", cell.id);
                    Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::NONE, text)
                })?;
                found.push(pages.free);
            }
        }
        Ok(found)
    }

    /// The first model that is not `dac`, of which there is none.
    async fn security_model(&self) -> Result<SecurityModel> {
        Ok(SecurityModel { model: String::from("none"), doi: String::from("0") })
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| {
        Error::io(ErrorDomain::NONE, &source, format!("cannot open {}", path.display()))
    })
}

#[cfg(test)]
mod tests;
