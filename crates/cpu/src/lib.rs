//! CPU models and features of x86, as libvirt's CPU map names them.
//!
//! The map is a directory of XML files that libvirt installs (`/usr/share/libvirt/cpu_map`): every feature
//! with the CPUID or MSR bits it stands for, every model with its features. [`CpuMap`] reads it;
//! [`CpuMap::decode`] finds the model that describes a processor with the fewest additional features,
//! [`CpuMap::compare`] checks whether a host can run a guest CPU, [`CpuMap::baseline`] finds a CPU that
//! several hosts have.
//!
//! This crate is pure: the caller reads the files and the CPUID of its host.
//!
//! ```
//! use oxivirt_cpu::{CpuMap, CpuData};
//!
//! let files = |name: &str| -> Result<String, std::io::Error> {
//!     Ok(match name {
//!         "index.xml" => "<cpus><arch name='x86'><include filename='f.xml'/>\
//!                         <include filename='m.xml'/></arch></cpus>",
//!         "f.xml" => "<cpus><feature name='sse2'><cpuid eax_in='1' edx='0x04000000'/></feature>\
//!                     <feature name='avx'><cpuid eax_in='1' ecx='0x10000000'/></feature></cpus>",
//!         _ => "<cpus><model name='small'><decode host='on' guest='on'/>\
//!               <feature name='sse2'/></model></cpus>",
//!     }
//!     .to_owned())
//! };
//! let map = CpuMap::load(files)?;
//! let mut host = CpuData::default();
//! assert!(map.add_feature(&mut host, "sse2") && map.add_feature(&mut host, "avx"));
//! let cpu = map.decode(&host, &Default::default()).unwrap();
//! assert_eq!(cpu.model, "small");
//! assert_eq!(cpu.features[0].name, "avx");
//! # Ok::<(), oxivirt_cpu::MapError>(())
//! ```
//!
//! `examples/baseline.rs` finds the CPU that two hosts have in common.

mod compare;
mod data;
mod decode;
mod map;
mod xml;

pub use compare::Comparison;
pub use data::{CpuData, Register, Signature};
pub use decode::{Decode, GuestCpu, KnownModel, Policy, PolicyFeature, Purpose};
pub use map::{CpuMap, MapError};
