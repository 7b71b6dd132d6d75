//! Sets of numbers as documents write them: `0-3,8,^2`.

use super::DomainError;

/// The highest number a set can hold, which bounds what a document can make libvirt do.
const MAX: u32 = 16_383;

/// The canonical form of a set: sorted, ranges joined, exclusions carried out.
///
/// # Errors
/// [`DomainError::Xml`] if the text is no set.
///
/// libvirt 11.3.0: `virBitmapParse` and `virBitmapFormat`, src/util/virbitmap.c
pub(crate) fn canonical(text: &str) -> Result<String, DomainError> {
    let numbers = parse(text)
        .ok_or_else(|| DomainError::Argument(format!("Failed to parse bitmap '{text}'")))?;
    Ok(format(&numbers))
}

/// The numbers in ascending order.
pub(crate) fn parse(text: &str) -> Option<Vec<u32>> {
    let mut numbers = std::collections::BTreeSet::new();
    for part in text.split(',') {
        let part = part.trim();
        let (excluded, part) = match part.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, part),
        };
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.trim().parse().ok()?;
        let last: u32 = last.trim().parse().ok()?;
        if last < first || last > MAX {
            return None;
        }
        if excluded {
            numbers.remove(&first);
        } else {
            numbers.extend(first..=last);
        }
    }
    Some(numbers.into_iter().collect())
}

/// Writes a set.
pub(crate) fn format(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let ranges: Vec<String> = ranges
        .into_iter()
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        )
        .collect();
    ranges.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(canonical(text).ok().as_deref(), expect, "{text:?}");
    }

    #[test]
    fn sets() {
        check("0", Some("0"));
        check("3,1,2", Some("1-3"));
        check("1-4,^3,8-20,525", Some("1-2,4,8-20,525"));
        check(" 0 - 1 , 3", Some("0-1,3"));
        check("4-1", None);
        check("a", None);
        check("0-99999999", None);
        check("", None);
    }
}
