//! Families of machines, identified by name and architecture.

use super::DomainDef;

/// What kind of machine a guest has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineKind {
    /// The PC with a PCI bus (`pc`, `pc-i440fx-…`).
    I440fx,
    /// The PC with PCI Express (`q35`).
    Q35,
    /// The PC without PCI.
    IsaPc,
    /// `microvm`
    Microvm,
    /// ARM, RISC-V and LoongArch `virt`.
    Virt,
    /// POWER `pseries`.
    Pseries,
    /// s390 `s390-ccw-virtio`.
    S390,
    /// Any other with a conventional PCI bus: ARM `versatilepb`, what POWER, SPARC, Alpha and SuperH have.
    Board,
    /// Any other.
    Other,
}

impl MachineKind {
    /// The kind of a guest's machine.
    #[must_use]
    pub fn of(def: &DomainDef) -> Self {
        let kind = def.os.as_ref().and_then(|os| os.kind.as_ref());
        let machine = kind.and_then(|kind| kind.machine.as_deref()).unwrap_or_default();
        let arch = kind.and_then(|kind| kind.arch.as_deref()).unwrap_or_default();
        let is = |name: &str| {
            machine.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        match arch {
            "x86_64" | "i686" if machine == "q35" || machine.starts_with("pc-q35") => Self::Q35,
            "x86_64" | "i686" if machine == "isapc" => Self::IsaPc,
            "x86_64" | "i686" if is("microvm") => Self::Microvm,
            "x86_64" | "i686" if is("pc") => Self::I440fx,
            "s390x" if is("s390-ccw") || machine.starts_with("s390-ccw") => Self::S390,
            "ppc64" | "ppc64le" if is("pseries") => Self::Pseries,
            "aarch64" | "armv7l" | "riscv64" | "riscv32" | "loongarch64" if is("virt") => {
                Self::Virt
            }
            "aarch64" | "armv7l" | "armv6l" if machine == "versatilepb" => Self::Board,
            "ppc" | "ppcemb" | "ppc64" | "ppc64le" | "sparc" | "sparc64" | "alpha" | "sh4"
            | "sh4eb" => Self::Board,
            _ => Self::Other,
        }
    }

    /// Whether it is a PC.
    #[must_use]
    pub const fn is_x86(self) -> bool {
        matches!(self, Self::I440fx | Self::Q35 | Self::IsaPc | Self::Microvm)
    }

    /// Whether its first bus is PCI Express.
    #[must_use]
    pub const fn has_pcie_root(self) -> bool {
        matches!(self, Self::Q35 | Self::Virt)
    }

    /// Whether its first bus is conventional PCI.
    #[must_use]
    pub const fn has_pci_root(self) -> bool {
        matches!(self, Self::I440fx | Self::Pseries | Self::Board)
    }
}
