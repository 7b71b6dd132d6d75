//! The processor of this host.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use oxivirt_cpu::{CpuData, CpuMap, Register, Signature};

/// Reads what a processor says of itself.
pub(super) trait Registers {
    /// EAX, EBX, ECX and EDX of a CPUID leaf.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];
    /// A model-specific register, if it can be read.
    fn msr(&self, index: u32) -> Option<u64>;
}

/// The processor that executes this.
#[derive(Debug)]
pub(super) struct ThisProcessor {
    /// `/dev/cpu/0/msr`, if the module is loaded.
    msr: Option<File>,
}

impl ThisProcessor {
    pub(super) fn new(root: &Path) -> Self {
        Self { msr: File::open(root.join("dev/cpu/0/msr")).ok() }
    }
}

impl Registers for ThisProcessor {
    #[cfg(target_arch = "x86_64")]
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let found = raw_cpuid::native_cpuid::cpuid_count(leaf, subleaf);
        [found.eax, found.ebx, found.ecx, found.edx]
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn cpuid(&self, _: u32, _: u32) -> [u32; 4] {
        [0; 4]
    }

    fn msr(&self, index: u32) -> Option<u64> {
        let mut value = [0; 8];
        self.msr.as_ref()?.read_exact_at(&mut value, u64::from(index)).ok()?;
        Some(u64::from_le_bytes(value))
    }
}

/// Leaf of the largest leaf and the vendor.
const BASIC: u32 = 0;
/// Leaf of the largest extended leaf.
const EXTENDED: u32 = 0x8000_0000;

/// The bits of a processor in all registers that the map has features in; nothing if there is no CPUID.
///
/// libvirt 11.3.0: `virCPUx86GetHost`, src/cpu/cpu_x86.c
pub(super) fn data(processor: &impl Registers, map: &CpuMap) -> Option<CpuData> {
    let [max, ebx, ecx, edx] = processor.cpuid(BASIC, 0);
    if max == 0 {
        return None;
    }
    let [max_extended, ..] = processor.cpuid(EXTENDED, 0);
    let bytes = [ebx, edx, ecx].iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut data = CpuData::default();
    data.vendor = String::from_utf8(bytes).ok();
    let [version, ..] = processor.cpuid(1, 0);
    data.signature = signature(version);
    let registers: BTreeSet<Register> = map.registers().collect();
    for register in registers {
        match register {
            Register::Cpuid { leaf, subleaf } => {
                let is_there = if leaf >= EXTENDED { leaf <= max_extended } else { leaf <= max };
                if is_there {
                    data.add_words(register, processor.cpuid(leaf, subleaf));
                }
            }
            Register::Msr { index } => {
                if let Some(value) = processor.msr(index) {
                    let half = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
                    data.add_words(register, [half(value), 0, 0, half(value >> 32)]);
                }
            }
        }
    }
    Some(data)
}

/// Family, model and stepping of EAX of leaf 1.
const fn signature(eax: u32) -> Signature {
    let (base, extended) = ((eax >> 8) & 0xf, (eax >> 20) & 0xff);
    Signature {
        family: if base == 0xf { base + extended } else { base },
        model: ((eax >> 4) & 0xf) | (((eax >> 16) & 0xf) << 4),
        stepping: eax & 0xf,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Recorded;

    impl Registers for Recorded {
        fn cpuid(&self, leaf: u32, _: u32) -> [u32; 4] {
            match leaf {
                BASIC => [1, 0x756e_6547, 0x6c65_746e, 0x4965_6e69],
                1 => [0x000c_06f2, 0, 0b101, 0],
                EXTENDED => [0, 0, 0, 0],
                _ => [u32::MAX; 4],
            }
        }

        fn msr(&self, index: u32) -> Option<u64> {
            (index == 0x10a).then_some(0x1_0000_0004)
        }
    }

    #[test]
    fn registers_of_the_map_are_read() {
        let map = CpuMap::load(|name| {
            Ok(match name {
                "index.xml" => "<cpus><arch name='x86'><include filename='f.xml'/></arch></cpus>",
                _ => {
                    "<cpus><feature name='a'><cpuid eax_in='1' ecx='0x1'/></feature>\
                      <feature name='b'><cpuid eax_in='1' ecx='0x2'/></feature>\
                      <feature name='c'><msr index='0x10a' eax='0x4'/></feature>\
                      <feature name='d'><msr index='0x10b' eax='0x4'/></feature>\
                      <feature name='e'><cpuid eax_in='7' ebx='0x1'/></feature>\
                      <feature name='f'><cpuid eax_in='0x80000001' ecx='0x1'/></feature>\
                      <model name='m'/></cpus>"
                }
            }
            .to_owned())
        })
        .unwrap();
        let data = data(&Recorded, &map).unwrap();
        assert_eq!(data.vendor.as_deref(), Some("GenuineIntel"));
        assert_eq!(data.signature, Signature { family: 6, model: 207, stepping: 2 });
        assert_eq!(map.features_of(&data).collect::<Vec<_>>(), ["a", "c"]);
    }
}
