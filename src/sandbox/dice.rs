//! Chance that falls the same way every time, so that a sandbox can be told again from its seed.

/// A stream of numbers that its seed decides (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

/// What a token is spelled with. `!` is among them because real ones hold it, and a client that
/// does not encode it, or decodes it twice, must be found out.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-!";

impl Dice {
    /// Makes the stream that belongs to `seed` and to each of `parts`.
    pub(super) fn new(seed: u64, parts: &[u64]) -> Self {
        let mut dice = Self(seed);
        for part in parts {
            dice.0 = dice.roll() ^ part.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        }
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 up to, but without, `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.roll() % bound).unwrap_or_default()
    }

    /// Returns true once in `count` times.
    pub(super) fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Returns one of `choices`, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Returns a GUID in lower case.
    pub(super) fn guid(&mut self) -> String {
        let (high, low) = (self.roll(), self.roll());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff,
        )
    }

    /// Returns `length` letters that mean nothing, with a `!` among them.
    pub(super) fn opaque(&mut self, length: usize) -> String {
        let marked = length / 2;
        (0..length)
            .map(|at| {
                if at == marked {
                    '!'
                } else {
                    char::from(self.pick(LETTERS))
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_way() {
        let tell = |seed, part| Dice::new(seed, &[part]).opaque(40);
        assert_eq!(tell(1, 2), tell(1, 2));
        assert_ne!(tell(1, 2), tell(1, 3));
        assert_ne!(tell(1, 2), tell(2, 2));
        assert_eq!(Dice::new(7, &[]).guid().len(), 36);
    }
}
