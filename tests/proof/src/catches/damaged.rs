//! What damage finds out, and files of another time: heads, cursors, stamps, links.

use std::sync::Arc;
use std::time::SystemTime;

use runjournal::index::Index;
use runjournal::proof::Watch;
use runjournal::{Followed, JournalError};

use super::Catch;
use super::scene::{Scene, artifact, note};
use crate::heads::{self, Head};
use crate::{Base, Outcome, Violation, ensure};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "hash-not-checked",
        by: "damaged: changed_letter",
        says: "a letter was changed",
        tried: changed_letter,
    },
    Catch {
        bug: "damage-ignored",
        by: "damaged: foreign_line",
        says: "behind a foreign line",
        tried: foreign_line,
    },
    Catch {
        bug: "head-not-checked",
        by: "damaged: head_of_another",
        says: "behind a head of another history: the journal is damaged: broken_chain",
        tried: head_of_another,
    },
    Catch {
        bug: "keys-forgotten",
        by: "damaged: old_key",
        says: "the key was used again",
        tried: old_key,
    },
    Catch {
        bug: "followed-on",
        by: "damaged: followed",
        says: "the follower was told",
        tried: followed,
    },
    Catch { bug: "indexed-on", by: "damaged: indexed", says: "the index differs", tried: indexed },
    Catch { bug: "racy-stat-trusted", by: "damaged: racy", says: "the index differs", tried: racy },
    Catch { bug: "link-followed", by: "damaged: link", says: "outside of the run", tried: link },
];

fn changed_letter() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let ctx = scene.place.ctx()?;
    ctx.append(note("some text"))?;
    ctx.append(note("more"))?;
    let text = std::fs::read_to_string(scene.journal())?;
    std::fs::write(scene.journal(), text.replace("some text", "some test"))?;
    let (_, findings) = ctx.events()?.read_all()?;
    ensure(!findings.is_empty(), || "a letter was changed, and nobody says so".into())
}

fn foreign_line() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let mut journal = std::fs::read(scene.journal())?;
    journal.extend_from_slice(b"{\"foreign\":true}\n");
    std::fs::write(scene.journal(), journal)?;
    match scene.place.ctx()?.append(note("some text")) {
        Err(JournalError::DamagedTail { .. }) => Ok(()),
        other => Err(Violation::new(format!("appended behind a foreign line: {other:?}"))),
    }
}

/// A power cut takes the end of the journal, and the head that knows it stays; what is appended then is as
/// long as what was lost.
fn head_of_another() -> Outcome {
    let scene = Scene::with_heads()?;
    let run = scene.place.run_dir();
    let len = scene.journal_len()?;
    scene.place.ctx()?.append(note("lost"))?;
    let head = Head::read(&run)?;
    scene.cut_journal(len)?;
    heads::remove_all(&run)?;
    let mut appended = vec![scene.place.ctx()?.append(note("here"))?];
    heads::remove_all(&run)?;
    head.write(&run)?;
    scene.has(&appended)?;
    appended.push(scene.place.ctx()?.append(note("some text"))?);
    scene.has(&appended).map_err(|found| found.at("behind a head of another history"))
}

fn old_key() -> Outcome {
    let scene = Scene::with_heads()?;
    let once = || note("once").key("once");
    let first = scene.place.ctx()?.append(once())?;
    for _ in 0..8 {
        scene.place.ctx()?.append(note("some text"))?;
    }
    let again = scene.place.ctx()?.append(once())?;
    ensure(again.seq == first.seq, || format!("the key was used again: {again:?}"))
}

/// Another record of the same length takes the place of one that was read.
fn followed() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let len = scene.journal_len()?;
    scene.place.ctx()?.append(note("lost"))?;
    let mut tail = scene.place.ctx()?.events()?.follow();
    while tail.try_next()?.is_some() {}
    scene.cut_journal(len)?;
    scene.place.ctx()?.append(note("here"))?;
    let told = tail.try_next()?;
    ensure(matches!(told, Some(Followed::StartedOver)), || {
        format!(
            "another history took the place of the one read, and the follower was told {told:?}"
        )
    })
}

/// What the system tells of the times of files.
#[derive(Debug)]
enum Times {
    /// All changed long ago.
    Past,
    /// All changed in the same moment, which is not over yet: so coarse are they.
    Coarse(i64),
}

impl Watch for Times {
    fn time_told(&self, changed: i64) -> Option<i64> {
        match self {
            Self::Past => Some(changed.saturating_sub(100)),
            Self::Coarse(now) => Some(*now),
        }
    }
}

fn now() -> Outcome<i64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_secs())?)
}

/// The index is brought up to date, and then what a rebuild makes.
fn indexed_after(scene: &Scene, times: Times, change: impl FnOnce() -> Outcome) -> Outcome {
    let _watching = scene.watched_by(&Arc::new(times));
    let index = Index::of(&scene.place.workspace()?);
    index.rebuild()?;
    change()?;
    index.refresh()?;
    let mut first = None;
    let differences = index.verify(&mut |_| {}, &mut |difference| {
        first.get_or_insert(difference);
    })?;
    ensure(differences == 0, || format!("the index differs from the tree: {first:?}"))
}

/// Another journal of the same length takes the place of one that was read.
fn indexed() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let len = scene.journal_len()?;
    scene.place.ctx()?.append(note("lost"))?;
    indexed_after(&scene, Times::Past, || {
        scene.cut_journal(len)?;
        scene.place.ctx()?.append(note("here"))?;
        let aside = scene.place.run_dir().join("journal/aside");
        std::fs::copy(scene.journal(), &aside)?;
        Ok(std::fs::rename(aside, scene.journal())?)
    })
}

/// A file is changed in the moment in which it was looked at, and stays as long as it was.
fn racy() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let times = Times::Coarse(now()? + 3600);
    indexed_after(&scene, times, || {
        let file = scene.place.run_dir().join("artifacts/plan.json");
        Ok(std::fs::write(file, "the other plan")?)
    })
}

/// The directory of the artifacts is somewhere else.
fn link() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let (artifacts, outside) =
        (scene.place.run_dir().join("artifacts"), scene.place.dir().join("outside"));
    std::fs::rename(&artifacts, &outside)?;
    std::os::unix::fs::symlink(&outside, &artifacts)?;
    let written = scene.place.ctx()?.artifacts().write_bytes(artifact("new.txt")?, b"new");
    let escaped = outside.join("new.txt").exists();
    ensure(!escaped && written.is_err(), || format!("written outside of the run: {written:?}"))
}
