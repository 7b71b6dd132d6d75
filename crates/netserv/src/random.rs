//! Randomness, as a value.

/// Gives a random number that nobody can predict; in tests, one that they chose.
pub type Random<'a> = dyn FnMut() -> u64 + 'a;
