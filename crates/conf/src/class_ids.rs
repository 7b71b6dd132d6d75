//! Sets of traffic class ids, as ranges.

use std::collections::BTreeMap;
use std::fmt;

/// Class ids in use, kept as ranges: a document of a few bytes can name millions.
///
/// Read and printed as `0-2,40`.
///
/// libvirt 11.3.0: `virBitmapParseUnlimited`, `virBitmapFormat`, src/util/virbitmap.c
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassIds {
    /// First to last id of each range; ranges neither overlap nor touch.
    ranges: BTreeMap<u32, u32>,
}

impl ClassIds {
    /// Whether an id is in use.
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        self.ranges.range(..=id).next_back().is_some_and(|(_, &last)| id <= last)
    }

    /// Takes an id.
    pub fn insert(&mut self, id: u32) {
        self.insert_range(id, id);
    }

    /// Takes all ids from `first` to `last`.
    pub fn insert_range(&mut self, first: u32, last: u32) {
        let (mut first, mut last) = (first, last);
        // Whatever overlaps or touches is merged; the ranges before the first that does are left.
        let reach = last.saturating_add(1);
        while let Some((&start, &end)) = self.ranges.range(..=reach).next_back() {
            if end.saturating_add(1) < first {
                break;
            }
            self.ranges.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.ranges.insert(first, last);
    }

    /// Gives an id back.
    pub fn remove(&mut self, id: u32) {
        let Some((&first, &last)) = self.ranges.range(..=id).next_back() else {
            return;
        };
        if id > last {
            return;
        }
        self.ranges.remove(&first);
        if first < id {
            self.ranges.insert(first, id - 1);
        }
        if id < last {
            self.ranges.insert(id + 1, last);
        }
    }

    /// The lowest id that is free.
    #[must_use]
    pub fn lowest_free(&self) -> u32 {
        match self.ranges.first_key_value() {
            Some((0, &last)) => last.saturating_add(1),
            _ => 0,
        }
    }

    /// Reads numbers, ranges and exclusions (`^N`), which take effect from left to right.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut ids = Self::default();
        for item in text.split(',') {
            let item = item.trim_matches(' ');
            if let Some(excluded) = item.strip_prefix('^') {
                ids.remove(number(excluded)?);
                continue;
            }
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let (first, last) = (number(first.trim_end())?, number(last.trim_start())?);
            if first > last {
                return None;
            }
            ids.insert_range(first, last);
        }
        Some(ids)
    }
}

fn number(text: &str) -> Option<u32> {
    // FromStr takes a sign, which has no place here.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl FromIterator<u32> for ClassIds {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut set = Self::default();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

impl fmt::Display for ClassIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let printed = ClassIds::parse(text).map(|ids| ids.to_string());
        assert_eq!(printed.as_deref(), expect, "{text:?}");
    }

    #[test]
    fn spellings() {
        check("0-2", Some("0-2"));
        check("0-2,40", Some("0-2,40"));
        check("0-2,^1, 5", Some("0,2,5"));
        check("5,4,3-3", Some("3-5"));
        check("0-4294967295,^0", Some("1-4294967295"));
        check("^7", Some(""));
        check("2-1", None);
        check("x", None);
        check("", None);
        check("1,,2", None);
        check("+1", None);
        check("4294967296", None);
    }

    proptest! {
        #[test]
        fn a_set_of_numbers(ops in proptest::collection::vec((any::<bool>(), 0_u32..40), 0..60)) {
            let (mut ids, mut model) = (ClassIds::default(), BTreeSet::new());
            for (add, id) in ops {
                if add {
                    ids.insert(id);
                    model.insert(id);
                } else {
                    ids.remove(id);
                    model.remove(&id);
                }
            }
            prop_assert_eq!(&ids, &model.iter().copied().collect());
            prop_assert!((0..42).all(|id| ids.contains(id) == model.contains(&id)));
            prop_assert_eq!(Some(ids.lowest_free()), (0..).find(|id| !model.contains(id)));
            if !model.is_empty() {
                prop_assert_eq!(ClassIds::parse(&ids.to_string()), Some(ids));
            }
        }
    }
}
