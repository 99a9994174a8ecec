//! What a power cut may leave of one file's content.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::Rng;

/// A disk writes so many bytes at once, or tears them.
const SECTOR: usize = 512;
/// So many lengths between two are tried one by one.
const LENGTHS: usize = 16;
/// How many contents a file may have after failed syncs.
const BASES: usize = 12;

/// A change of a file's content.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Arc<[u8]> },
    Truncate(usize),
}

/// What is on the disk of a file, and what was done to it since.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// What is on the disk. There are several where a sync failed: nobody knows what it left behind, and no
    /// later sync mends it. The first of them has all that was synced.
    bases: Vec<Arc<[u8]>>,
    /// What was done since, each with its step.
    pending: Vec<(usize, Change)>,
}

/// What of the pending changes is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    All,
    None,
    /// The length alone: NULs stand where the bytes would.
    Length,
    /// Whatever chance says.
    Some,
}

/// A content, and in words what it lacks.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) bytes: Arc<[u8]>,
    pub(super) lacks: Option<String>,
}

impl File {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { bases: vec![bytes.into()], pending: Vec::new() }
    }

    pub(super) fn change(&mut self, step: usize, change: Change) {
        self.pending.push((step, change));
    }

    /// The file was synced, as it was when so many steps had been taken.
    pub(super) fn sync(&mut self, began: usize) {
        let covered = self.pending.iter().take_while(|(step, _)| *step < began).count();
        let covered: Vec<_> = self.pending.drain(..covered).map(|(_, change)| change).collect();
        for base in &mut self.bases {
            *base = with(base, &covered).into();
        }
    }

    /// A sync failed: what was pending may be there, or its length alone, or nothing of it, for ever.
    pub(super) fn sync_failed(&mut self) {
        let changes: Vec<_> = self.pending.drain(..).map(|(_, change)| change).collect();
        let mut bases: Vec<Arc<[u8]>> = Vec::new();
        for base in &self.bases {
            let all = with(base, &changes);
            let mut zeros = base.to_vec();
            zeros.resize(all.len(), 0);
            for one in [all.into(), zeros.into(), Arc::clone(base)] {
                if !bases.contains(&one) && bases.len() < BASES {
                    bases.push(one);
                }
            }
        }
        self.bases = bases;
    }

    /// What a process sees that reads the file now.
    pub(super) fn now(&self) -> Vec<u8> {
        let base = self.bases.first().cloned().unwrap_or_default();
        with(&base, self.pending.iter().map(|(_, change)| change))
    }

    /// What is on the disk, where that is certain.
    pub(super) fn settled(&self) -> Arc<[u8]> {
        self.bases.first().cloned().unwrap_or_default()
    }

    /// True if a power cut may leave more than one content.
    pub(super) fn is_open(&self) -> bool {
        !self.pending.is_empty() || self.bases.len() > 1
    }

    /// How many contents a power cut may leave, those that are equal counted apart.
    pub(super) fn count(&self) -> usize {
        let counts = self.cuts().into_iter().map(|cut| cut.count());
        counts.fold(0, usize::saturating_add)
    }

    /// All that a power cut may leave.
    pub(super) fn all(&self) -> Vec<Content> {
        let mut seen = HashSet::new();
        let all = self.cuts().into_iter().flat_map(|cut| cut.all());
        all.filter(|content| seen.insert(content.bytes.clone())).collect()
    }

    /// One that a power cut may leave.
    pub(super) fn one(&self, taken: Taken, rng: &mut Rng) -> Content {
        let base = match taken {
            Taken::Some => rng.pick(&self.bases).cloned(),
            Taken::All => self.bases.first().cloned(),
            Taken::None | Taken::Length => self.bases.last().cloned(),
        };
        let base = base.unwrap_or_default();
        let lengths = self.lengths(&base);
        let length = match taken {
            Taken::None => lengths.first(),
            Taken::Some if rng.once_in(2) => rng.pick(&lengths),
            _ => lengths.last(),
        };
        let cut = self.cut(base, length.copied().unwrap_or_default());
        cut.one(taken, rng)
    }

    /// The lengths that it may have: at each moment, and at each sector in between, since a disk may have been told
    /// of a part of a write. The last one is that of now.
    fn lengths(&self, base: &Arc<[u8]>) -> Vec<usize> {
        let mut length = base.len();
        let mut lengths = vec![length];
        for (_, change) in &self.pending {
            let next = match change {
                Change::Write { offset, bytes } => length.max(offset + bytes.len()),
                Change::Truncate(to) => *to,
            };
            let between: Vec<_> = (length / SECTOR + 1..next.div_ceil(SECTOR)).collect();
            let step = between.len().div_ceil(LENGTHS).max(1);
            lengths.extend(between.into_iter().step_by(step).map(|sector| sector * SECTOR));
            lengths.push(next);
            length = next;
        }
        let mut seen = HashSet::new();
        let mut newest_last: Vec<_> =
            lengths.into_iter().rev().filter(|length| seen.insert(*length)).collect();
        newest_last.reverse();
        newest_last
    }

    fn cuts(&self) -> Vec<Cut> {
        let of_base = |base: &Arc<[u8]>| {
            let lengths = self.lengths(base).into_iter();
            lengths.map(|length| self.cut(Arc::clone(base), length)).collect::<Vec<_>>()
        };
        self.bases.iter().flat_map(of_base).collect()
    }

    /// What each sector may be in a file of this length.
    fn cut(&self, base: Arc<[u8]>, length: usize) -> Cut {
        let mut sectors = BTreeMap::<usize, Vec<Vec<u8>>>::new();
        let mut now = base.to_vec();
        for (_, change) in &self.pending {
            let before = now;
            now = with(&before, [change]);
            let touched = match change {
                Change::Write { offset, bytes } => *offset..offset + bytes.len(),
                Change::Truncate(to) => (*to).min(before.len())..before.len().max(*to),
            };
            for sector in touched.start / SECTOR..touched.end.div_ceil(SECTOR) {
                let versions =
                    sectors.entry(sector).or_insert_with(|| vec![part(&before, sector, length)]);
                let new = part(&now, sector, length);
                if versions.last() != Some(&new) {
                    versions.push(new);
                }
            }
        }
        let sectors = sectors.into_iter().filter(|(_, versions)| versions.len() > 1);
        let sectors = sectors.map(|(sector, versions)| Sector { sector, versions }).collect();
        let mut newest = now;
        let whole = newest.len();
        newest.resize(length, 0);
        Cut { newest, whole, sectors, base: base.len() }
    }
}

/// A sector of a content, as far as it is within a length, filled up with zeros.
fn part(content: &[u8], sector: usize, length: usize) -> Vec<u8> {
    let end = ((sector + 1) * SECTOR).min(length);
    let start = (sector * SECTOR).min(end);
    let mut part = content.get(start..end.min(content.len())).unwrap_or_default().to_vec();
    part.resize(end - start, 0);
    part
}

/// A content with these changes made to it.
fn with<'a>(base: &[u8], changes: impl IntoIterator<Item = &'a Change>) -> Vec<u8> {
    let mut content = base.to_vec();
    for change in changes {
        match change {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                if let Some(place) = content.get_mut(*offset..end) {
                    place.copy_from_slice(bytes);
                }
            }
            Change::Truncate(length) => content.resize(*length, 0),
        }
    }
    content
}

/// A sector that may be one of several things, the newest of them last.
#[derive(Debug)]
struct Sector {
    sector: usize,
    versions: Vec<Vec<u8>>,
}

impl Sector {
    /// The first half of what changed is of a version, the rest of the one before.
    fn torn(&self, version: usize) -> Option<Vec<u8>> {
        let (old, new) = (self.versions.get(version.checked_sub(1)?)?, self.versions.get(version)?);
        let differs = |at: &usize| old.get(*at) != new.get(*at);
        let first = (0..new.len()).find(differs)?;
        let last = (0..new.len()).rfind(differs)?;
        let middle = first + (last - first).div_ceil(2);
        let (head, tail) = (new.get(..middle)?, old.get(middle..)?);
        Some([head, tail].concat()).filter(|torn| torn != old)
    }

    fn range(&self, length: usize) -> Range<usize> {
        let end = ((self.sector + 1) * SECTOR).min(length);
        (self.sector * SECTOR).min(end)..end
    }
}

/// A file cut at a length, with what its sectors may be.
#[derive(Debug)]
struct Cut {
    newest: Vec<u8>,
    /// How long it is where nothing is missing, and how long it was when it was synced.
    whole: usize,
    base: usize,
    sectors: Vec<Sector>,
}

impl Cut {
    fn count(&self) -> usize {
        let product =
            |factors: &mut dyn Iterator<Item = usize>| factors.fold(1_usize, usize::saturating_mul);
        let plain = product(&mut self.sectors.iter().map(|sector| sector.versions.len()));
        // One at most is torn: a disk is at one when the power goes.
        let torn = self
            .sectors
            .iter()
            .map(|sector| plain / sector.versions.len() * (sector.versions.len() - 1));
        torn.fold(plain, usize::saturating_add)
    }

    fn all(&self) -> Vec<Content> {
        let mut all = Vec::new();
        let newest: Vec<usize> = self.sectors.iter().map(|s| s.versions.len() - 1).collect();
        let mut choice = vec![0; newest.len()];
        loop {
            all.push(self.content(&choice, None));
            for (at, version) in choice.iter().enumerate().filter(|(_, version)| **version > 0) {
                if self.sectors.get(at).is_some_and(|sector| sector.torn(*version).is_some()) {
                    all.push(self.content(&choice, Some(at)));
                }
            }
            // The next number, its digits the choices.
            let up = choice.iter_mut().zip(&newest).find_map(|(version, newest)| {
                *version = if *version < *newest { *version + 1 } else { 0 };
                (*version > 0).then_some(())
            });
            if up.is_none() {
                return all;
            }
        }
    }

    fn one(&self, taken: Taken, rng: &mut Rng) -> Content {
        let newest = self.sectors.iter().map(|sector| sector.versions.len() - 1);
        let choice: Vec<usize> = match taken {
            Taken::All => newest.collect(),
            Taken::None | Taken::Length => newest.map(|_| 0).collect(),
            Taken::Some => match rng.below(4) {
                // In order, as far as it came.
                0 => {
                    let came = rng.below(self.sectors.len() + 1);
                    newest.enumerate().map(|(at, n)| if at < came { n } else { 0 }).collect()
                }
                // All but one or none.
                1 => {
                    let missing = rng.below(self.sectors.len() + 1);
                    newest.enumerate().map(|(at, n)| if at == missing { 0 } else { n }).collect()
                }
                // None but one.
                2 => {
                    let there = rng.below(self.sectors.len().max(1));
                    newest.enumerate().map(|(at, n)| if at == there { n } else { 0 }).collect()
                }
                _ => newest.map(|n| rng.below(n + 1)).collect(),
            },
        };
        let torn = (taken == Taken::Some && rng.once_in(3)).then(|| rng.below(choice.len()));
        self.content(&choice, torn)
    }

    fn content(&self, choice: &[usize], torn: Option<usize>) -> Content {
        let mut bytes = self.newest.clone();
        let mut lacks = Vec::new();
        if bytes.len() != self.whole {
            lacks.push(format!("it is {} bytes long, not {}", bytes.len(), self.whole));
        }
        let mut old: Vec<Range<usize>> = Vec::new();
        for (at, (sector, version)) in self.sectors.iter().zip(choice).enumerate() {
            let torn = if torn == Some(at) { sector.torn(*version) } else { None };
            let range = sector.range(bytes.len());
            if torn.is_some() {
                lacks.push(format!("bytes {}..{} are torn", range.start, range.end));
            } else if version + 1 < sector.versions.len() {
                match old.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => old.push(range.clone()),
                }
            }
            let part = torn.as_ref().or_else(|| sector.versions.get(*version));
            if let (Some(place), Some(part)) = (bytes.get_mut(range), part) {
                place.copy_from_slice(part);
            }
        }
        for Range { start, end } in old {
            let what = if start >= self.base { "NULs" } else { "old" };
            lacks.push(format!("bytes {start}..{end} are {what}"));
        }
        let lacks = (!lacks.is_empty()).then(|| lacks.join(", "));
        Content { bytes: bytes.into(), lacks }
    }
}
