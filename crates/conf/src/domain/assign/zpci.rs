//! Identities of PCI functions on s390.

use std::collections::BTreeSet;

use super::super::DomainError;
use super::super::address::{Address, Zpci};
use super::super::device::Devices;
use super::super::runtime;
use crate::element::Hex;

/// User-defined numbers are above zero.
const UIDS: std::ops::RangeInclusive<u64> = 1..=0xffff;
const FIDS: std::ops::RangeInclusive<u64> = 0..=0xffff_ffff;

/// Gives functions the numbers that their documents leave open.
///
/// libvirt 11.3.0: `virDomainZPCIAddressReserveAddr`, src/conf/domain_addr.c
pub(super) fn assign(devices: &mut Devices) -> Result<(), DomainError> {
    let mut zpcis = functions(devices);
    let mut uids = BTreeSet::new();
    let mut fids = BTreeSet::new();
    for zpci in zpcis.iter().filter_map(|zpci| zpci.as_ref()) {
        if let Some(uid) = zpci.uid.filter(|uid| !uids.insert(uid.0)) {
            return Err(reserved("uid", uid.0));
        }
        if let Some(fid) = zpci.fid.filter(|fid| !fids.insert(fid.0)) {
            return Err(reserved("fid", fid.0));
        }
    }
    // What has one of the numbers gets the other first.
    let (mut half, mut none): (Vec<_>, Vec<_>) = zpcis
        .iter_mut()
        .partition(|zpci| zpci.is_some_and(|it| it.uid.is_some() || it.fid.is_some()));
    for zpci in half.iter_mut().chain(&mut none) {
        let zpci = zpci.get_or_insert_default();
        if zpci.uid.is_none() {
            zpci.uid = Some(Hex(free(&mut uids, UIDS, "uid")?));
        }
        if zpci.fid.is_none() {
            zpci.fid = Some(Hex(free(&mut fids, FIDS, "fid")?));
        }
    }
    Ok(())
}

fn reserved(which: &str, number: u64) -> DomainError {
    DomainError::Internal(format!("zPCI {which} {number:o} is already reserved"))
}

fn free(
    taken: &mut BTreeSet<u64>,
    mut range: std::ops::RangeInclusive<u64>,
    which: &str,
) -> Result<u64, DomainError> {
    let number = range.find(|number| !taken.contains(number));
    let number =
        number.ok_or_else(|| DomainError::Internal(format!("There are no more free {which}s")))?;
    taken.insert(number);
    Ok(number)
}

/// The identity of every function, in the order of the devices.
fn functions(devices: &mut Devices) -> Vec<&mut Option<Zpci>> {
    let mut zpcis = Vec::new();
    for info in runtime::infos(devices) {
        if let Some(Address::Pci(pci)) = &mut info.address
            && !pci.is_empty()
        {
            zpcis.push(&mut pci.zpci);
        }
    }
    zpcis
}
