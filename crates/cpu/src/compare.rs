//! Hosts and guests against each other.

use crate::data::CpuData;
use crate::decode::{Decode, GuestCpu, Policy};
use crate::map::CpuMap;

/// What a host can do with a CPU (`virCPUCompareResult`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The host lacks features.
    Incompatible = 0,
    /// The host has exactly these features.
    Identical = 1,
    /// The host has these features and more.
    Superset = 2,
}

impl CpuMap {
    /// The bits of a CPU; `None` if its model or a feature is unknown.
    #[must_use]
    pub fn data_of(&self, cpu: &GuestCpu) -> Option<CpuData> {
        let mut data = self.model(&cpu.model)?.data.clone();
        for feature in &cpu.features {
            let bits = &self.feature(&feature.name)?.data;
            match feature.policy {
                Policy::Require => data.add(bits),
                Policy::Disable => data.subtract(bits),
            }
        }
        Some(data)
    }

    /// Compares a host with a CPU. A CPU that is unknown here is incompatible.
    ///
    /// libvirt: `virCPUCompare`
    #[must_use]
    pub fn compare(&self, host: &CpuData, cpu: &GuestCpu) -> Comparison {
        let is_of_vendor = match (self.vendor_of(host), &cpu.vendor) {
            (host, Some(vendor)) => host == Some(vendor),
            (_, None) => true,
        };
        let Some(wanted) = self.data_of(cpu).filter(|_| is_of_vendor) else {
            return Comparison::Incompatible;
        };
        match (host.contains(&wanted), wanted.contains(host)) {
            (false, _) => Comparison::Incompatible,
            (true, true) => Comparison::Identical,
            (true, false) => Comparison::Superset,
        }
    }

    /// A CPU that all processors can run: what they have in common. `None` without a processor, or if no
    /// model fits.
    ///
    /// libvirt: `virCPUBaseline`
    #[must_use]
    pub fn baseline(&self, processors: &[CpuData], how: &Decode) -> Option<GuestCpu> {
        let (first, others) = processors.split_first()?;
        let mut common = first.clone();
        for other in others {
            common.intersect(other);
            if other.vendor != common.vendor {
                common.vendor = None;
            }
            if other.signature != common.signature {
                common.signature = crate::Signature::default();
            }
        }
        self.decode(&common, how)
    }
}
