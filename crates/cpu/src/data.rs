//! What a processor has, as bits.

use std::collections::BTreeMap;

/// Where the bits of a feature are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    /// A CPUID leaf; the words are EAX, EBX, ECX, EDX.
    Cpuid {
        /// The leaf, EAX on input.
        leaf: u32,
        /// The subleaf, ECX on input.
        subleaf: u32,
    },
    /// A model-specific register; the words are its lower half, 0, 0, its upper half.
    Msr {
        /// Its number.
        index: u32,
    },
}

/// Feature bits with the vendor and the signature of a processor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuData {
    /// Vendor string of CPUID leaf 0, `GenuineIntel` for example.
    pub vendor: Option<String>,
    /// Family, model and stepping.
    pub signature: Signature,
    words: BTreeMap<Register, [u32; 4]>,
}

/// Family, model and stepping of a processor (CPUID leaf 1, EAX), extended parts added in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signature {
    /// Family.
    pub family: u32,
    /// Model.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
}

impl CpuData {
    /// Sets bits.
    pub fn add_words(&mut self, register: Register, words: [u32; 4]) {
        let present = self.words.entry(register).or_default();
        for (present, word) in present.iter_mut().zip(words) {
            *present |= word;
        }
    }

    /// Sets all bits of `other`; vendor and signature stay.
    pub fn add(&mut self, other: &Self) {
        for (&register, &words) in &other.words {
            self.add_words(register, words);
        }
    }

    /// Clears all bits of `other`; vendor and signature stay.
    pub fn subtract(&mut self, other: &Self) {
        for (register, words) in &other.words {
            if let Some(present) = self.words.get_mut(register) {
                for (present, word) in present.iter_mut().zip(words) {
                    *present &= !word;
                }
            }
        }
        self.words.retain(|_, words| *words != [0; 4]);
    }

    /// Keeps the bits that `other` has too; vendor and signature stay.
    pub fn intersect(&mut self, other: &Self) {
        for (register, present) in &mut self.words {
            let words = other.words.get(register).copied().unwrap_or_default();
            for (present, word) in present.iter_mut().zip(words) {
                *present &= word;
            }
        }
        self.words.retain(|_, words| *words != [0; 4]);
    }

    /// Whether all bits of `other` are set here; true if it has none.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.words.iter().all(|(register, words)| {
            let present = self.words.get(register).copied().unwrap_or_default();
            present.iter().zip(words).all(|(present, word)| present & word == *word)
        })
    }

    /// The registers in which bits are set.
    pub fn registers(&self) -> impl Iterator<Item = Register> {
        self.words.keys().copied()
    }

    /// Whether no bit is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.values().all(|words| *words == [0; 4])
    }
}
