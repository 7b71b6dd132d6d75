//! The calls of libvirt's protocol whose family has no driver here, by family.
//!
//! They are rejected in the name of their function, as libvirt's daemon without that driver does:
//! clients derive from the answer what the daemon cannot do. The rows of a family go to a list of
//! [`protocol`](super) with its driver.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

mod domain;
mod interface;
mod node_device;
mod nwfilter;
mod secret;

use oxivirt::ErrorDomain;

/// Number, public function, and the least size of the arguments in bytes.
type Row = (i32, &'static str, usize);

/// A family without driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The hypervisor driver.
    Domain,
    /// Secrets.
    Secret,
    /// Devices of the host.
    NodeDevice,
    /// Links of the host.
    Interface,
    /// Network filters.
    NwFilter,
}

impl Family {
    const ALL: [Self; 5] =
        [Self::Domain, Self::Secret, Self::NodeDevice, Self::Interface, Self::NwFilter];

    /// Domain of errors about the family.
    #[must_use]
    pub const fn domain(self) -> ErrorDomain {
        match self {
            Self::Domain => ErrorDomain::DOMAIN,
            Self::Secret => ErrorDomain::SECRET,
            Self::NodeDevice => ErrorDomain::NODEDEV,
            Self::Interface => ErrorDomain::INTERFACE,
            Self::NwFilter => ErrorDomain::NWFILTER,
        }
    }

    const fn rows(self) -> &'static [Row] {
        match self {
            Self::Domain => domain::ROWS,
            Self::Secret => secret::ROWS,
            Self::NodeDevice => node_device::ROWS,
            Self::Interface => interface::ROWS,
            Self::NwFilter => nwfilter::ROWS,
        }
    }
}

/// A call that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnservedProcedure {
    /// The family it belongs to.
    pub family: Family,
    /// The public function behind it.
    pub api: &'static str,
    /// Least size of its arguments in bytes.
    pub min_len: usize,
}

/// The unserved call with this number.
#[must_use]
pub fn find(number: i32) -> Option<UnservedProcedure> {
    Family::ALL.into_iter().find_map(|family| {
        let rows = family.rows();
        let at = rows.binary_search_by_key(&number, |row| row.0).ok()?;
        let (_, api, min_len) = *rows.get(at)?;
        Some(UnservedProcedure { family, api, min_len })
    })
}

/// Numbers of all unserved calls.
#[cfg(test)]
pub(super) fn numbers() -> impl Iterator<Item = i32> {
    Family::ALL.into_iter().flat_map(Family::rows).map(|row| row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_in_each_family() {
        for family in Family::ALL {
            assert!(family.rows().is_sorted_by(|a, b| a.0 < b.0), "{family:?}");
        }
        let found = find(53).unwrap();
        assert_eq!((found.family, found.api), (Family::Domain, "virDomainCoreDump"));
        assert_eq!(find(75), None, "served");
        assert_eq!(find(39), None);
    }
}
