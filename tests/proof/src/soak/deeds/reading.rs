//! What changes nothing that counts: reading, tails, catching up, pages and the index.

use runjournal::index::{Index, IndexError};
use runjournal::{ArtifactError, Code, Followed, ReadData, Severity, Verify};

use crate::soak::hand::{At, Hand, is_whole};
use crate::{Outcome, Violation, ensure};

/// A look at what came since the last one: each record follows the one before it.
pub(super) fn tail(hand: &mut Hand) -> Outcome {
    let at = hand.at()?;
    let (mut follow, mut last) = match hand.tails.remove(&at.home) {
        Some(kept) => kept,
        None => (at.ctx.events()?.last(20)?.follow(), None),
    };
    for _ in 0..500 {
        match follow.try_next()? {
            Some(Followed::Record(record)) => {
                let seq = record.seq();
                ensure(last.is_none_or(|last| seq == last + 1), || {
                    format!("{seq} came behind {last:?}")
                })?;
                last = Some(seq);
                // What a reader saw is there for good, unless the power is cut.
                if !hand.durable {
                    hand.teller.tell(&at.home, &format!("event {seq} {}", record.event_id()))?;
                }
            }
            Some(other) => return Err(Violation::new(format!("it is followed by {other:?}"))),
            None => break,
        }
    }
    hand.tails.insert(at.home, (follow, last));
    Ok(())
}

/// An artifact is there whole, or not at all.
pub(super) fn read(hand: &mut Hand) -> Outcome {
    let (at, name) = (hand.at()?, super::name(hand)?);
    match at.ctx.artifacts().read_bytes(&name) {
        Ok(content) => ensure(is_whole(&content), || format!("{name} is torn")),
        Err(ArtifactError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn catch_up(hand: &mut Hand) -> Outcome {
    let findings = hand.at()?.ctx.catch_up()?;
    ensure(findings.is_empty(), || format!("not put in place: {findings:?}"))
}

pub(super) fn manifest(hand: &mut Hand) -> Outcome {
    let (at, event) = (hand.at()?, hand.note("noted"));
    at.ctx.append(event)?;
    write_manifest(hand, &at)
}

/// A page that is written is there from then on, or one that knows more.
pub(super) fn write_manifest(hand: &mut Hand, at: &At) -> Outcome {
    let page = at.ctx.manifest()?;
    page.write(&at.ctx)?;
    hand.teller.tell(&at.home, &format!("manifest {}", page.journal.last_seq))
}

pub(super) fn refresh(hand: &mut Hand) -> Outcome {
    let workspace = hand.workspace.clone().with_lock_timeout(std::time::Duration::from_millis(1));
    match Index::of(&workspace).refresh() {
        Ok(_) | Err(IndexError::Busy { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// While others write, nothing is lost or damaged; what is not in place yet may be on its way.
pub(super) fn verify(hand: &mut Hand) -> Outcome {
    let at = hand.at()?;
    let verified = Verify::of(&at.ctx).read_data(ReadData::Percent(10)).run()?;
    let mut bad = verified.findings.into_iter().filter(|finding| {
        finding.code.severity() == Severity::Error && finding.code != Code::CommitNotApplied
    });
    bad.next().map_or(Ok(()), |finding| Err(Violation::new(finding.to_string())))
}
