//! Which numbers of a range are free: a bitmap with a summary, so that the next free one is found without a scan.

/// Numbers from 0 to its size, each free or taken.
#[derive(Debug, Clone)]
pub struct FreeMap {
    size: u32,
    n_free: u32,
    /// A bit per number: 1 is free.
    words: Vec<u64>,
    /// A bit per word: 1 if one of its numbers is free.
    summary: Vec<u64>,
}

impl FreeMap {
    /// All of `size` numbers are free.
    #[must_use]
    pub fn new(size: u32) -> Self {
        let n_words = words(size);
        let mut map = Self {
            size,
            n_free: size,
            words: vec![u64::MAX; n_words],
            summary: vec![u64::MAX; n_words.div_ceil(64)],
        };
        // Bits behind the end are never free.
        trim(&mut map.words, usize::try_from(size).unwrap_or(usize::MAX));
        trim(&mut map.summary, n_words);
        map
    }

    /// How many are free.
    #[must_use]
    pub const fn n_free(&self) -> u32 {
        self.n_free
    }

    /// How many there are.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Whether a number is free; one behind the end never is.
    #[must_use]
    pub fn is_free(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Makes a number free or takes it.
    pub fn set(&mut self, number: u32, is_free: bool) {
        if number >= self.size || self.is_free(number) == is_free {
            return;
        }
        let (at, bit) = place(number);
        let Some(word) = self.words.get_mut(at) else { return };
        *word ^= bit;
        let has_free = *word != 0;
        let (above, above_bit) = place(u32::try_from(at).unwrap_or(u32::MAX));
        if let Some(above) = self.summary.get_mut(above) {
            *above = if has_free { *above | above_bit } else { *above & !above_bit };
        }
        self.n_free =
            if is_free { self.n_free.saturating_add(1) } else { self.n_free.saturating_sub(1) };
    }

    /// The first free number from `start` upwards, then from 0.
    #[must_use]
    pub fn next_free(&self, start: u32) -> Option<u32> {
        self.from(start).or_else(|| self.from(0))
    }

    fn from(&self, start: u32) -> Option<u32> {
        let (at, _) = place(start);
        let behind = u64::MAX << (start % 64);
        let here = self.words.get(at)? & behind;
        if here != 0 {
            return number(at, here);
        }
        let word = next_word(&self.summary, at.checked_add(1)?)?;
        number(word, *self.words.get(word)?)
    }
}

/// The first word from `start` whose bit in the summary is set.
fn next_word(summary: &[u64], start: usize) -> Option<usize> {
    let first = start / 64;
    let behind = u64::MAX << (start % 64);
    for (at, word) in summary.iter().enumerate().skip(first) {
        let word = if at == first { word & behind } else { *word };
        if word != 0 {
            return usize::try_from(number(at, word)?).ok();
        }
    }
    None
}

/// The number of the lowest bit of a word.
fn number(word: usize, bits: u64) -> Option<u32> {
    u32::try_from(word).ok()?.checked_mul(64)?.checked_add(bits.trailing_zeros())
}

fn words(size: u32) -> usize {
    usize::try_from(size.div_ceil(64)).unwrap_or(usize::MAX)
}

fn place(number: u32) -> (usize, u64) {
    (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64))
}

/// Clears the bits from `size` upwards.
fn trim(words: &mut [u64], size: usize) {
    let kept = size % 64;
    if kept != 0
        && let Some(last) = words.last_mut()
    {
        *last &= (1 << kept) - 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_at_the_edges_of_words() {
        for size in [0, 1, 63, 64, 65, 4095, 4096, 4097, 65_536] {
            let mut map = FreeMap::new(size);
            for number in 0..size {
                assert_eq!(map.next_free(number), Some(number), "of {size}");
            }
            assert_eq!(map.n_free(), size);
            for number in 0..size {
                map.set(number, false);
            }
            assert_eq!((map.next_free(0), map.n_free()), (None, 0));
        }
    }

    proptest! {
        /// The same as a set of numbers.
        #[test]
        fn agrees_with_a_set(
            size in 1_u32..5000,
            steps in proptest::collection::vec((0_u32..5100, proptest::bool::ANY), 0..300),
        ) {
            let mut map = FreeMap::new(size);
            let mut model: BTreeSet<u32> = (0..size).collect();
            for (number, is_free) in steps {
                map.set(number, is_free);
                if is_free && number < size {
                    model.insert(number);
                } else {
                    model.remove(&number);
                }
                let next = model.range(number..).next().or_else(|| model.first()).copied();
                prop_assert_eq!(map.next_free(number), next);
                prop_assert_eq!(map.n_free(), u32::try_from(model.len()).unwrap());
            }
        }
    }
}
