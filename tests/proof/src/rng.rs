//! What is random in a trial: the same seed gives the same.

/// Numbers that look random and follow from a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Those of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Those of a seed and what it is used for, so that one use does not follow another.
    #[must_use]
    pub fn of(seed: u64, parts: &[&str]) -> Self {
        let mut text = seed.to_string();
        for part in parts {
            text.push('\n');
            text.push_str(part);
        }
        let hex = runjournal::Digest::of(text.as_bytes()).to_hex();
        let number = hex.get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        Self(number.unwrap_or(seed))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one; zero where that is zero.
    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.under(most as u64)).unwrap_or(0)
    }

    /// The same of what is no place in anything: a time, an id.
    pub fn under(&mut self, most: u64) -> u64 {
        self.number().checked_rem(most).unwrap_or(0)
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these, if there are any.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}
