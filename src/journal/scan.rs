//! The one function that decides what counts.
//!
//! Writers, lock-free readers, repair and the tests all ask it. It is pure: a cursor and the bytes
//! behind it go in; counted records, skipped bytes and the moved cursor come out. The rules stand in
//! docs/format.md, "What counts"; an independent reader in `tests/` was written from that page alone.

pub(crate) mod chained;
pub(crate) mod cursor;
pub(crate) mod forward;
pub(crate) mod skip;

use std::collections::VecDeque;

use crate::digest::Digest;
use crate::journal::record::{Garbage, Record};
use crate::journal::scan::chained::Chained;
use crate::journal::scan::skip::{Skip, SkipKind};
use crate::journal::{Cursor, MAX_LINE};
use crate::line::{self, Sealed};
use crate::planted::Bug;

/// What a scan comes across, in the order of the file.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all that is seen are records")]
pub(crate) enum Seen {
    Record(Record),
    Skip(Skip),
}

/// What lies behind the last counted record, if the bytes end where the file ends.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    pub(crate) skips: Vec<Skip>,
}

impl Rest {
    /// The first damage, which stops appends until it was repaired.
    pub(crate) fn damage(&self) -> Option<&Skip> {
        self.skips.iter().find(|skip| skip.is_damage())
    }
}

const NOT_A_RECORD: &str = "not a record";
pub(crate) const BROKEN_CHAIN: &str = "a record that does not follow the one before it";
pub(crate) const BROKEN_BATCH: &str = "part of a batch that is not whole";
const TOO_LONG: &str = "a line of more than 1 MiB";
const GARBAGE_CHANGED: &str = "bytes that the next record does not vouch for";

/// Scans `bytes`, which start at the cursor's offset, and moves the cursor past what counts. Bytes
/// behind the cursor are to be given again, with more behind them, unless the file ends there. Hashes of some
/// of the lines in these bytes may be known, in their order.
pub(crate) fn scan(
    cursor: &mut Cursor,
    bytes: &[u8],
    hashed: &[Chained],
    see: &mut dyn FnMut(Seen),
) -> Rest {
    let base = cursor.offset;
    let mut scanner = Scanner {
        bytes,
        hashed,
        base,
        cursor,
        see,
        gap: Vec::new(),
        damaged: false,
        endings: VecDeque::new(),
        pending: None,
    };
    let mut start = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        scanner.line(start, at + 1);
        start = at + 1;
    }
    scanner.finish(start)
}

/// A point of the chain that the next record may follow.
#[derive(Debug, Clone, Copy)]
struct Tip {
    hash: Digest,
    seq: u64,
    /// The end of its line, within the scanned bytes.
    end: usize,
    /// Recovered from lines that did not count, so that its seq is not certain.
    recovered: bool,
}

impl Tip {
    fn admits(&self, seq: u64) -> bool {
        if Bug::SeqUnchecked.is_planted() {
            return true;
        }
        if self.recovered { seq > self.seq } else { seq.checked_sub(1) == Some(self.seq) }
    }
}

/// A batch of which not all members were seen yet.
struct Pending {
    /// What its first member follows.
    parent: Tip,
    /// Its last member so far.
    last: Tip,
    size: u32,
    members: Vec<Record>,
}

/// A line since the cursor that did not count and yet is long enough for a record: the records behind
/// it may chain on what it says its hash is, or on what its hash should have been.
struct Ending {
    /// `None` if it does not end as a record does: the damage may be there.
    hash: Option<Digest>,
    from_cursor: Digest,
    from_previous: Option<Digest>,
    end: usize,
}

/// How many such lines are kept: enough for any one accident, and a bound on the work.
const ENDINGS: usize = 16;

struct Scanner<'b, 's> {
    bytes: &'b [u8],
    /// Hashes of lines from where the scan is on.
    hashed: &'b [Chained],
    base: u64,
    cursor: &'s mut Cursor,
    see: &'s mut dyn FnMut(Seen),
    /// What did not count since the cursor.
    gap: Vec<Skip>,
    damaged: bool,
    endings: VecDeque<Ending>,
    pending: Option<Pending>,
}

impl<'b> Scanner<'b, '_> {
    fn slice(&self, start: usize, end: usize) -> &'b [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Where a record's line starts and ends within the scanned bytes.
    fn place(&self, record: &Record) -> (usize, usize) {
        let within = |offset: u64| usize::try_from(offset - self.base).unwrap_or(usize::MAX);
        (within(record.offset()), within(record.end()))
    }

    fn line(&mut self, start: usize, end: usize) {
        let line = self.slice(start, end);
        self.hashed = Chained::from(self.hashed, self.base + start as u64);
        let too_long = line.len() > MAX_LINE;
        let sealed = line::open(line).filter(|_| !too_long && line.ends_with(b"\n"));

        let joined = self.pending.as_ref().and_then(|pending| {
            let record = self.follow(&pending.last, sealed.as_ref()?, start)?;
            let next = u32::try_from(pending.members.len()).ok();
            let fits = record.batch_size() == Some(pending.size) && record.batch_index() == next;
            fits.then_some(record)
        });
        if let Some(record) = joined {
            return self.join(record);
        }

        let given_up = self.pending.take();
        for record in given_up.iter().flat_map(|pending| &pending.members) {
            let (start, end) = self.place(record);
            self.remember_ending(start, end);
        }
        let followed = sealed.as_ref().and_then(|sealed| {
            let follow = |tip| Some((self.follow(&tip, sealed, start)?, tip));
            follow(self.counted()).or_else(|| self.recovered().find_map(follow))
        });
        match followed {
            Some((record, parent)) if record.batch_index().unwrap_or(0) == 0 => {
                self.give_up(given_up, SkipKind::Garbage);
                match record.batch_size() {
                    None => {
                        self.close_gap(parent, &record);
                        self.count(record);
                    }
                    Some(size) => {
                        let last = self.tip_behind(&record);
                        let mut members = Vec::with_capacity(size as usize);
                        members.push(record);
                        self.pending = Some(Pending { parent, last, size, members });
                    }
                }
            }
            Some(_) => self.damage(given_up, start, end, BROKEN_BATCH),
            None => {
                let breaks = rotted_breaks(line);
                if !breaks.is_empty() {
                    self.give_up(given_up, SkipKind::Damage(BROKEN_BATCH));
                    self.pieces(start, end, &breaks);
                } else if line.ends_with(b"#\n") {
                    self.give_up(given_up, SkipKind::Garbage);
                    self.skip(start, end, SkipKind::Garbage);
                    self.remember_ending(start, end);
                } else {
                    let reason = match sealed {
                        Some(_) => BROKEN_CHAIN,
                        None if too_long => TOO_LONG,
                        None => NOT_A_RECORD,
                    };
                    self.damage(given_up, start, end, reason);
                }
            }
        }
    }

    /// The lines that a line turns out to be, once its rotted line breaks are taken for breaks.
    fn pieces(&mut self, start: usize, end: usize, breaks: &[usize]) {
        let mut from = start;
        for to in breaks.iter().map(|at| start + at).chain([end]) {
            self.line(from, to);
            from = to;
        }
    }

    /// The last counted record, which the next one follows.
    fn counted(&self) -> Tip {
        let Cursor { offset, seq, hash } = *self.cursor;
        let end = usize::try_from(offset - self.base).unwrap_or(usize::MAX);
        Tip { hash, seq, end, recovered: false }
    }

    /// What a record may follow behind damage: what the lines since the last counted record say, or
    /// should have said.
    fn recovered(&self) -> impl Iterator<Item = Tip> {
        let seq = self.cursor.seq;
        let endings = self.endings.iter().rev().filter(|_| self.damaged);
        endings.flat_map(move |ending| {
            [ending.hash, Some(ending.from_cursor), ending.from_previous]
                .into_iter()
                .flatten()
                .map(move |hash| Tip { hash, seq, end: ending.end, recovered: true })
        })
    }

    /// The record on a line, if it follows a tip.
    fn follow(&self, tip: &Tip, sealed: &Sealed<'_>, start: usize) -> Option<Record> {
        let end = start + sealed.body.len() + line::END;
        let offset = self.base + start as u64;
        let known = self.hashed.first().and_then(|line| line.hash(offset, end - start, tip.hash));
        let chained = known.unwrap_or_else(|| Digest::chained(tip.hash, sealed.body));
        if chained != sealed.hash && !Bug::HashUnchecked.is_planted() {
            return None;
        }
        Record::parse(self.slice(start, end), sealed.hash, offset)
            .filter(|record| tip.admits(record.seq()))
    }

    /// The tip that a record is, which follows one itself.
    fn tip_behind(&self, record: &Record) -> Tip {
        let (_, end) = self.place(record);
        Tip { hash: record.hash(), seq: record.seq(), end, recovered: false }
    }

    fn remember_ending(&mut self, start: usize, end: usize) {
        let line = self.slice(start, end);
        let Some(body) = line::body(line) else { return };
        let hash = line::open(line).map(|sealed| sealed.hash);
        let from_cursor = Digest::chained(self.cursor.hash, body);
        let previous = self.endings.back().and_then(|last| last.hash);
        let from_previous = previous.map(|previous| Digest::chained(previous, body));
        if self.endings.len() == ENDINGS {
            self.endings.pop_front();
        }
        self.endings.push_back(Ending { hash, from_cursor, from_previous, end });
    }

    fn join(&mut self, record: Record) {
        let Some(mut pending) = self.pending.take() else { return };
        pending.last = self.tip_behind(&record);
        pending.members.push(record);
        if pending.members.len() < pending.size as usize {
            self.pending = Some(pending);
            return;
        }
        if let Some(first) = pending.members.first() {
            self.close_gap(pending.parent, first);
        }
        pending.members.into_iter().for_each(|record| self.count(record));
    }

    fn give_up(&mut self, pending: Option<Pending>, kind: SkipKind) {
        for record in pending.into_iter().flat_map(|pending| pending.members) {
            let (start, end) = self.place(&record);
            self.skip(start, end, kind);
        }
    }

    fn damage(
        &mut self,
        given_up: Option<Pending>,
        start: usize,
        end: usize,
        reason: &'static str,
    ) {
        self.give_up(given_up, SkipKind::Damage(BROKEN_BATCH));
        self.skip(start, end, SkipKind::Damage(reason));
        self.remember_ending(start, end);
    }

    fn skip(&mut self, start: usize, end: usize, kind: SkipKind) {
        self.damaged |= matches!(kind, SkipKind::Damage(_));
        let (offset, length) = (self.base + start as u64, (end - start) as u64);
        match self.gap.last_mut() {
            Some(last) if last.touches(kind, offset) => last.length += length,
            _ => self.gap.push(Skip { offset, length, kind }),
        }
    }

    /// Counts a record; the members of a batch one by one, once all are there.
    fn count(&mut self, record: Record) {
        *self.cursor = record.cursor();
        (self.see)(Seen::Record(record));
    }

    /// Reports what lies before a record that counts. What the record vouches for is accounted for;
    /// what nobody vouches for, and no line of it looks damaged, was changed behind our back.
    fn close_gap(&mut self, parent: Tip, record: &Record) {
        let (declared, (start, _)) = (record.garbage(), self.place(record));
        if self.gap.is_empty() && declared.is_none() {
            return;
        }
        let found = Garbage::of(self.slice(parent.end, start));
        let mut gap = std::mem::take(&mut self.gap);
        let from = self.base + parent.end as u64;
        if found == declared {
            if !parent.recovered {
                let damaged = gap.iter().any(Skip::is_damage);
                let kind = if damaged { SkipKind::Repaired } else { SkipKind::Garbage };
                gap.iter_mut().for_each(|skip| skip.kind = kind);
            }
        } else if !gap.iter().any(|skip| skip.is_damage() && skip.end() > from) {
            gap.retain(|skip| skip.offset < from);
            if let Some(last) = gap.last_mut() {
                last.length = last.length.min(from - last.offset);
            }
            let length = (start - parent.end) as u64;
            gap.push(Skip { offset: from, length, kind: SkipKind::Damage(GARBAGE_CHANGED) });
        }
        merge(&mut gap);
        gap.into_iter().for_each(|skip| (self.see)(Seen::Skip(skip)));
        self.damaged = false;
        self.endings.clear();
    }

    fn finish(mut self, tail: usize) -> Rest {
        if Bug::VoidBatchCounted.is_planted() {
            let pending = self.pending.take().into_iter().flat_map(|pending| pending.members);
            pending.for_each(|record| self.count(record));
        }
        let from = self
            .pending
            .take()
            .and_then(|pending| pending.members.first().map(|first| self.place(first).0))
            .unwrap_or(tail);
        if from < self.bytes.len() {
            self.skip(from, self.bytes.len(), SkipKind::Torn);
        }
        Rest { skips: self.gap }
    }
}

/// Where a line goes on behind a byte that is a line break with one bit flipped: a record begins
/// there, or has just ended. None of those bytes can stand there in JSON, so this finds nothing in a
/// line that was not hurt.
fn rotted_breaks(line: &[u8]) -> Vec<usize> {
    const RECORD: &[u8] = b"{\"seq\":";
    let rotted = line.iter().enumerate().filter(|(_, byte)| (*byte ^ b'\n').count_ones() == 1);
    let cuts = rotted.filter_map(|(at, _)| {
        let (before, behind) = line.split_at_checked(at + 1)?;
        let is_break = behind.starts_with(RECORD) || line::open(before).is_some();
        (is_break && !behind.is_empty()).then_some(at + 1)
    });
    cuts.collect()
}

fn merge(gap: &mut Vec<Skip>) {
    gap.dedup_by(|next, last| {
        let touching = last.touches(next.kind, next.offset);
        if touching {
            last.length += next.length;
        }
        touching
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::journal::record::compose::Draft;

    /// A record that counts: its seq, where it stands, and its hash, which is that of its bytes and of all before.
    type Counted = (u64, u64, u64, Digest);

    /// What counts together: a record, or a batch; and what a killed writer left before it.
    struct Group {
        /// Before what was left.
        before: Cursor,
        /// Where its first record starts.
        start: u64,
        after: Cursor,
        counted: Vec<Counted>,
    }

    /// A journal of 64 KiB, of single records and batches, some behind what a killed writer left.
    fn journal() -> (Vec<u8>, Vec<Group>) {
        let (mut bytes, mut groups) = (Vec::new(), Vec::new());
        let mut cursor = Cursor::start(Digest::of(b"genesis"));
        while bytes.len() < 64 << 10 {
            let before = cursor;
            let left: &[u8] = match groups.len() % 6 {
                1 => b"{\"seq\":7,\"event_id\":\"*J\"#\n",
                4 => b"#\n",
                _ => b"",
            };
            bytes.extend_from_slice(left);
            let (start, mut counted) = (bytes.len() as u64, Vec::new());
            let records = if groups.len() % 4 == 3 { 3 } else { 1 };
            for index in 0..records {
                let payload = format!("\"{}\"", "J* {[,".repeat(groups.len() % 7));
                let draft = Draft {
                    seq: cursor.seq + 1,
                    event_id: uuid::Uuid::from_u128(u128::from(cursor.seq)).into(),
                    event_type: "noted",
                    occurred_at: Timestamp::from_microseconds(1_767_225_600_000_000),
                    aggregate_kind: "run",
                    stream_id: "RUN-1",
                    stream_version: cursor.seq,
                    actor_kind: "node",
                    actor_id: None,
                    command_id: None,
                    causation_event_id: None,
                    correlation_id: None,
                    idempotency_key: None,
                    batch: (records > 1).then_some((index, records)),
                    payload: Some(&payload),
                    payload_ref: None,
                    metadata: None,
                    garbage: if index == 0 { Garbage::of(left) } else { None },
                };
                let (from, seq) = (bytes.len() as u64, draft.seq);
                let hash = draft.write(cursor.hash, &mut bytes);
                cursor = Cursor { offset: bytes.len() as u64, seq, hash };
                counted.push((seq, from, cursor.offset, hash));
            }
            groups.push(Group { before, start, after: cursor, counted });
        }
        (bytes, groups)
    }

    /// Scans bytes that start at a cursor: what counted, and what did not and is no garbage.
    fn scanned(cursor: &mut Cursor, bytes: &[u8]) -> (Vec<Counted>, Vec<Skip>) {
        let start = *cursor;
        let (counted, mut skips) = scanned_hashed(cursor, bytes, &[]);
        // The same with the hashes of the lines in its two pieces.
        let piece = bytes.len() / 2 + 1;
        let pieces = (start.offset..).step_by(piece).zip(bytes.chunks(piece));
        let hashed: Vec<_> =
            pieces.flat_map(|(offset, piece)| Chained::of_lines(offset, piece)).collect();
        let mut again = start;
        let same = scanned_hashed(&mut again, bytes, &hashed);
        assert_eq!((&same.0, &same.1, again), (&counted, &skips, *cursor));
        skips.retain(|skip| skip.is_damage() || skip.kind == SkipKind::Torn);
        (counted, skips)
    }

    fn scanned_hashed(
        cursor: &mut Cursor,
        bytes: &[u8],
        hashed: &[Chained],
    ) -> (Vec<Counted>, Vec<Skip>) {
        let (mut counted, mut skips) = (Vec::new(), Vec::new());
        let rest = scan(cursor, bytes, hashed, &mut |seen| match seen {
            Seen::Record(it) => counted.push((it.seq(), it.offset(), it.end(), it.hash())),
            Seen::Skip(skip) => skips.push(skip),
        });
        skips.extend(rest.skips);
        (counted, skips)
    }

    /// Flips every bit of a group, and returns how many.
    fn flip_all(mut bytes: Vec<u8>, groups: &[Group], at: usize) -> usize {
        let (group, next) = (&groups[at], groups.get(at + 1));
        let last = next.unwrap_or(group).after;
        let within = |offset: u64| usize::try_from(offset).unwrap();
        let window = within(group.before.offset)..within(last.offset);
        let hurt = window.start..within(group.after.offset);
        for (byte, bit) in hurt.clone().flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
            bytes[byte] ^= 1 << bit;
            let mut cursor = group.before;
            let (counted, told) = scanned(&mut cursor, &bytes[window.clone()]);
            bytes[byte] ^= 1 << bit;

            // What was left by a killed writer costs no record; of a batch, none counts without the others.
            let own = group.counted.iter().filter(|_| (byte as u64) < group.start);
            let untouched = own.chain(next.into_iter().flat_map(|next| &next.counted));
            assert!(counted.iter().eq(untouched), "bit {bit} of byte {byte}: {counted:?}");
            let [told] = told[..] else { panic!("bit {bit} of byte {byte}: {told:?}") };
            let place = told.offset..told.end();
            assert!(place.contains(&(byte as u64)), "bit {bit} of byte {byte}: {told:?}");
            // The last line break, flipped, looks like a write that was not finished.
            let is_last = byte + 1 == bytes.len();
            assert_eq!(told.is_damage(), !is_last, "bit {bit} of byte {byte}: {told:?}");
            if next.is_some() {
                assert_eq!(cursor, last, "bit {bit} of byte {byte}");
            }
        }
        hurt.len() * 8
    }

    /// A scan knows nothing of what lies before its cursor but the cursor. So what is hurt is scanned from the
    /// end of the group before it to the end of the one behind it: where the cursor is there what it was,
    /// all that follows is as it was.
    #[test]
    fn every_bit_of_a_journal_of_64_kib_is_told_of_and_costs_no_other_record() {
        let (bytes, groups) = journal();
        let (counted, told) = scanned(&mut groups[0].before.clone(), &bytes);
        assert!(counted.iter().eq(groups.iter().flat_map(|group| &group.counted)));
        assert_eq!(told, []);
        let flipped: usize = std::thread::scope(|scope| {
            let halves = (0..2).map(|half| {
                let (bytes, groups) = (bytes.clone(), &groups);
                scope.spawn(move || {
                    let own = (0..groups.len()).filter(|at| at % 2 == half);
                    own.map(|at| flip_all(bytes.clone(), groups, at)).sum::<usize>()
                })
            });
            halves.collect::<Vec<_>>().into_iter().map(|half| half.join().unwrap()).sum()
        });
        assert_eq!(flipped, bytes.len() * 8);
        assert!(flipped >= 524_288, "{flipped}");
    }
}
