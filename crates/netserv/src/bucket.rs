//! A limit of how often something is done.

use std::time::Duration;

/// Tokens that grow with time up to a number.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: u32,
    burst: u32,
    /// Tokens in thousandths.
    level: u64,
    last: Duration,
}

impl Bucket {
    /// A full one: `rate` tokens a second, up to `burst`.
    #[must_use]
    pub fn new(rate: u32, burst: u32, now: Duration) -> Self {
        Self { rate, burst, level: u64::from(burst).saturating_mul(1000), last: now }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        let passed = u64::try_from(now.saturating_sub(self.last).as_millis()).unwrap_or(u64::MAX);
        if passed > 0 {
            self.last = now;
            let full = u64::from(self.burst).saturating_mul(1000);
            let grown = passed.saturating_mul(u64::from(self.rate));
            self.level = self.level.saturating_add(grown).min(full);
        }
        match self.level.checked_sub(1000) {
            Some(level) => {
                self.level = level;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_grow_with_time() {
        let at = Duration::from_millis;
        let mut bucket = Bucket::new(10, 2, at(0));
        assert!(bucket.take(at(0)) && bucket.take(at(0)) && !bucket.take(at(0)));
        assert!(!bucket.take(at(99)));
        assert!(bucket.take(at(100)) && !bucket.take(at(100)));
        assert!(bucket.take(at(9000)) && bucket.take(at(9000)) && !bucket.take(at(9000)));
    }
}
