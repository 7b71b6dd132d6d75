//! The size of a network's DHCP pool: how many addresses its DHCP server can lease.

use std::net::IpAddr;

use oxivirt_xml::{self as xml, Blanks, Element};

/// Number of distinct addresses that the DHCP server of the network `text` can lease: those of its ranges, IPv4
/// and IPv6, and reserved addresses outside the ranges. 0 if the network has no DHCP server or is malformed.
pub(crate) fn size(text: &str) -> u128 {
    let Ok(root) = xml::parse(text, Blanks::Drop) else { return 0 };
    let servers = || root.children("ip").filter_map(|ip| ip.child("dhcp"));
    let ranges = servers().flat_map(|dhcp| dhcp.children("range")).filter_map(range);
    let reserved = servers().flat_map(|dhcp| dhcp.children("host")).filter_map(reservation);
    let mut intervals: Vec<Interval> = ranges.chain(reserved).collect();
    intervals.sort_unstable();
    union_size(&intervals)
}

/// First and last address of one family; the family keeps `::1` apart from `0.0.0.1`.
type Interval = (Family, u128, u128);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

fn number(text: &str) -> Option<(Family, u128)> {
    Some(match text.parse().ok()? {
        IpAddr::V4(address) => (Family::V4, u32::from(address).into()),
        IpAddr::V6(address) => (Family::V6, address.into()),
    })
}

fn range(range: &Element<'_>) -> Option<Interval> {
    let (family, start) = number(range.attribute("start")?)?;
    let (end_family, end) = number(range.attribute("end")?)?;
    (family == end_family && start <= end).then_some((family, start, end))
}

fn reservation(host: &Element<'_>) -> Option<Interval> {
    let (family, address) = number(host.attribute("ip")?)?;
    Some((family, address, address))
}

/// Number of addresses in sorted intervals, each counted once.
fn union_size(intervals: &[Interval]) -> u128 {
    let mut size: u128 = 0;
    let mut last: Option<(Family, u128)> = None;
    for &(family, start, end) in intervals {
        let first_new = match last {
            Some((known, covered)) if known == family && covered >= start => {
                covered.saturating_add(1)
            }
            _ => start,
        };
        if let Some(beyond_first) = end.checked_sub(first_new) {
            size = size.saturating_add(beyond_first).saturating_add(1);
            last = Some((family, end));
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ips: &str, expect: u128) {
        assert_eq!(size(&format!("<network>{ips}</network>")), expect, "{ips}");
    }

    #[test]
    fn ranges_of_both_families_add_up() {
        check("", 0);
        check("<ip/>", 0);
        check("<ip><dhcp><range start='10.0.0.2' end='10.0.0.9'/></dhcp></ip>", 8);
        check(
            "<ip><dhcp><range start='10.0.0.2' end='10.0.0.9'/><range start='10.0.0.20' end='10.0.0.21'/></dhcp></ip>\
             <ip family='ipv6'><dhcp><range start='fd00::1' end='fd00::f'/></dhcp></ip>",
            8 + 2 + 15,
        );
    }

    #[test]
    fn reservations_count_once() {
        let hosts =
            "<host mac='m' ip='10.0.0.5'/><host mac='n' ip='10.0.1.1'/><host mac='o' name='x'/>";
        check(&format!("<ip><dhcp>{hosts}</dhcp></ip>"), 2);
        check(&format!("<ip><dhcp><range start='10.0.0.2' end='10.0.0.9'/>{hosts}</dhcp></ip>"), 9);
        check("<ip family='ipv6'><dhcp><host id='0:1' ip='fd00::7'/></dhcp></ip>", 1);
    }

    #[test]
    fn overlapping_and_malformed_ranges() {
        check(
            "<ip><dhcp><range start='10.0.0.2' end='10.0.0.9'/><range start='10.0.0.5' end='10.0.0.12'/></dhcp></ip>",
            11,
        );
        check(
            "<ip><dhcp><range start='10.0.0.9' end='10.0.0.2'/><range start='x' end='y'/></dhcp></ip>",
            0,
        );
        check("<ip><dhcp><range start='0.0.0.1' end='0.0.0.1'/><host ip='::1'/></dhcp></ip>", 2);
    }
}
