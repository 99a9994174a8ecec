//! What can happen to the bytes of a file.

use camino::{Utf8Path, Utf8PathBuf};

use crate::{Outcome, Rng};

/// One thing that happens to a file.
#[derive(Debug, Clone)]
pub(super) enum Blow {
    /// This bit is another one.
    Flip { bit: usize },
    /// Only so many bytes are left.
    Cut { left: usize },
    /// So many bytes are NULs.
    Hole { from: usize, length: usize },
    /// Two lines change their places.
    Swap { first: usize, second: usize },
    /// A line stands twice.
    Double { line: usize },
    /// A line is gone.
    Remove { line: usize },
    /// More stands behind it.
    More { bytes: &'static [u8] },
    /// It is the file of another.
    Other { file: Utf8PathBuf },
}

/// Of files that are no longer, every bit is flipped, and every end cut off.
const SMALL: usize = 4096;

/// What somebody may have added to a file.
const ADDED: [&[u8]; 4] = [b"\n", b"\0\0\0\0\0\0\0\0", b"more\n", b"{}"];

impl Blow {
    /// The blow with this number: of each three, one is what the dice say; the others go through all bits and
    /// all ends, in an order by the seed.
    pub(super) fn nth(bytes: &[u8], alike: &[Utf8PathBuf], number: u64, seed: u64) -> Self {
        let mut dice = Rng::new(seed.wrapping_mul(0x5851_F42D_4C95_7F2D) ^ number);
        let all = bytes.len() * 9;
        if number % 3 == 2 || all == 0 {
            return Self::any(bytes, alike, &mut dice);
        }
        let at = if bytes.len() <= SMALL {
            // A step that has no divisor with the number of all in common comes by each.
            let step = 1_000_003 % all.max(2);
            let step = if gcd(step, all) == 1 { step } else { 1 };
            let turn = usize::try_from(number / 3 * 2 + number % 3).unwrap_or(0);
            (turn % all * step + Rng::new(seed).below(all)) % all
        } else {
            dice.below(all)
        };
        if at < bytes.len() { Self::Cut { left: at } } else { Self::Flip { bit: at - bytes.len() } }
    }

    fn any(bytes: &[u8], alike: &[Utf8PathBuf], dice: &mut Rng) -> Self {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        match dice.below(7) {
            0 | 1 if !alike.is_empty() => {
                let file = alike.get(dice.below(alike.len())).cloned().unwrap_or_default();
                Self::Other { file }
            }
            2 if lines > 1 => Self::Swap { first: dice.below(lines), second: dice.below(lines) },
            3 if lines > 0 => Self::Double { line: dice.below(lines) },
            4 if lines > 0 => Self::Remove { line: dice.below(lines) },
            5 => Self::More {
                bytes: ADDED.get(dice.below(ADDED.len())).copied().unwrap_or_default(),
            },
            _ => {
                let from = dice.below(bytes.len());
                Self::Hole {
                    from,
                    length: 1 + dice.below(600.min(bytes.len() - from.min(bytes.len()))),
                }
            }
        }
    }

    /// What the bytes become; `None` where that cannot happen to them.
    pub(super) fn strike(&self, bytes: &[u8], dir: &Utf8Path) -> Outcome<Option<Vec<u8>>> {
        let mut struck = bytes.to_vec();
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        match self {
            Self::Flip { bit } => {
                let Some(byte) = struck.get_mut(bit / 8) else { return Ok(None) };
                *byte ^= 1 << (bit % 8);
            }
            Self::Cut { left } => struck.truncate(*left),
            Self::Hole { from, length } => {
                struck.iter_mut().skip(*from).take(*length).for_each(|byte| *byte = 0);
            }
            Self::Swap { first, second } => {
                if *first.max(second) >= lines.len() {
                    return Ok(None);
                }
                lines.swap(*first, *second);
                struck = lines.concat();
            }
            Self::Double { line } => {
                let Some(doubled) = lines.get(*line).copied() else { return Ok(None) };
                lines.insert(*line, doubled);
                struck = lines.concat();
            }
            Self::Remove { line } => {
                if *line >= lines.len() {
                    return Ok(None);
                }
                lines.remove(*line);
                struck = lines.concat();
            }
            Self::More { bytes } => struck.extend_from_slice(bytes),
            Self::Other { file } => struck = std::fs::read(dir.join(file))?,
        }
        Ok(Some(struck))
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
