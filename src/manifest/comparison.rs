//! What should be under `artifacts/` held against what is there.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use super::Witness;
use crate::artifact::{Catalog, Last};
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding};
use crate::io::{Dir, Entry, Kind, ReadFile};
use crate::journal::{Home, JournalError, lock_shared};
use crate::layout;
use crate::name::ArtifactName;

/// What a journal says of its run's artifacts, alone or with what a witness knows.
#[derive(Debug)]
pub(crate) struct Comparison {
    home: Home,
    dir: Arc<Dir>,
    catalog: Catalog,
    witness: Option<Known>,
}

#[derive(Debug)]
struct Known {
    witness: Witness,
    /// True if the journal has the witness's last record where that says.
    reaches: bool,
}

/// What is to be looked at under `artifacts/`.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Every path that somebody names or that stands there, with what stands there.
    pub(crate) names: BTreeMap<ArtifactName, Option<Entry>>,
    /// By its path, what stands there under a name that no artifact can have.
    pub(crate) odd: BTreeMap<String, Difference>,
}

/// What is not as it should be.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) finding: Finding,
    pub(crate) standing: Standing,
}

/// What stands there, and beside it.
#[derive(Debug)]
pub(crate) enum Standing {
    /// A file, a directory, or nothing.
    Usual,
    /// A link, a pipe, a device.
    Special,
    /// The committed content waits in its stage; whoever comes next puts it in place, or may not.
    Waits { will_be_put: bool },
    /// What waits is not what was committed: the stage, and why.
    Damaged(Finding),
}

/// What should be at a path: the digest, `None` for nothing.
struct Word {
    digest: Option<Digest>,
    /// The record that says so.
    last: Option<Last>,
}

/// What is at a path.
enum Found {
    Nothing,
    Dir,
    Special,
    /// A file, open where its content is asked for.
    File(Option<ReadFile>),
    Unreadable(IoError),
    /// Something on the way there is no directory.
    Unreachable(IoError),
}

/// What is at a path and in the stage of its last record.
struct Opened {
    found: Found,
    stage: Option<ReadFile>,
}

impl Opened {
    /// How many files it holds open.
    fn files(&self) -> usize {
        usize::from(matches!(self.found, Found::File(Some(_)))) + usize::from(self.stage.is_some())
    }
}

/// How many paths are looked at while the lock is held once: it takes a millisecond or two.
const SEEN_AT_ONCE: usize = 256;
/// How many files are held open then: every processor may be doing this, and a process may have 1,024.
const OPEN_AT_ONCE: usize = 8;

impl Comparison {
    /// With a witness, and whether the journal has its last record.
    pub(crate) fn new(
        home: Home,
        dir: Arc<Dir>,
        catalog: Catalog,
        witness: Option<(Witness, bool)>,
    ) -> Self {
        let witness = witness.map(|(witness, reaches)| Known { witness, reaches });
        Self { home, dir, catalog, witness }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Everything to look at, as one listing of the directory shows it.
    pub(crate) fn names(&self) -> Result<Listed, IoError> {
        let witnessed = self.witness.iter().flat_map(|known| known.witness.artifacts.keys());
        let journaled = self.catalog.iter().map(|(name, _)| name);
        let names = witnessed.chain(journaled);
        let mut names: BTreeMap<_, _> = names.map(|name| (name.clone(), None)).collect();
        let mut odd = BTreeMap::new();
        let below = self.dir.entries_below(layout::ARTIFACTS)?;
        if below.is_empty()
            && let Some(entry) = self.dir.stat(layout::ARTIFACTS)?
            && entry.kind != Kind::Dir
        {
            let reason = "it is no directory, and is not looked into".to_owned();
            odd.insert(String::new(), self.odd("", entry.kind, reason));
        }
        for (path, entry) in below {
            match ArtifactName::new(path) {
                Ok(name) => {
                    names.insert(name, Some(entry));
                }
                Err(error) => {
                    let reason = format!("no artifact can have this name: {}", error.reason);
                    let difference = self.odd(&error.name, entry.kind, reason);
                    odd.insert(error.name, difference);
                }
            }
        }
        Ok(Listed { names, odd })
    }

    fn odd(&self, path: &str, kind: Kind, reason: String) -> Difference {
        let standing = if kind == Kind::Other { Standing::Special } else { Standing::Usual };
        Difference { finding: self.finding(Code::ArtifactUnjournaled, path, reason), standing }
    }

    /// True if, as far as can be told without reading it, what stands there is what should: nothing, or a
    /// file of that length.
    pub(crate) fn fits(&self, name: &ArtifactName, entry: Option<Entry>) -> bool {
        let word = self.word(name, None);
        match (word.digest, entry) {
            (None, None) => true,
            (Some(digest), Some(Entry { kind: Kind::File, size })) => {
                let last = word.last.filter(|last| last.digest == Some(digest));
                last.and_then(|last| last.size).is_none_or(|said| said == size)
            }
            _ => false,
        }
    }

    /// True if a file should stand at a path.
    pub(crate) fn expects(&self, name: &ArtifactName) -> bool {
        self.word(name, None).digest.is_some()
    }

    /// Opens the files that were listed, one after the other.
    pub(crate) fn opener(&self) -> Opener<'_> {
        Opener { dir: &self.dir, nearest: None }
    }

    /// True if the file at a path, which was as long when it was listed, has the digest that it should have: one
    /// reading of it and no more.
    /// Whether something else is fine as well, [`look`](Comparison::look) tells.
    pub(crate) fn has_digest(
        &self,
        name: &ArtifactName,
        size: u64,
        opener: &mut Opener<'_>,
    ) -> bool {
        let Some(expected) = self.word(name, None).digest else { return false };
        opener.open(name).is_ok_and(|mut file| file.has_digest(size, expected))
    }

    /// What should be at a path. A witness has the word about what it knows, as it outlives damage to the
    /// journal; the journal about what came later, and where it is another one, about all else.
    fn word(&self, name: &ArtifactName, since: Option<&Catalog>) -> Word {
        let since = since.and_then(|since| since.last(name));
        let last = since.or_else(|| self.catalog.last(name));
        let said = last.and_then(|last| last.digest);
        let digest = match &self.witness {
            None => said,
            Some(Known { witness, reaches }) => {
                let is_later = last.is_some_and(|last| last.seq > witness.cursor.seq());
                match witness.artifacts.get(name) {
                    Some(known) if !(*reaches && is_later) => Some(*known),
                    None if witness.names_all && *reaches && !is_later => None,
                    _ => said,
                }
            }
        };
        Word { digest, last: last.filter(|last| last.digest == digest).cloned() }
    }

    /// Tells what differs at these paths. What seems to is looked at twice: for the second time with nothing in
    /// flight while files are opened.
    pub(crate) fn look<'a>(
        &self,
        names: impl IntoIterator<Item = &'a ArtifactName>,
        tell: &mut dyn FnMut(&ArtifactName, Difference),
    ) -> Result<(), JournalError> {
        let differs = |name: &&ArtifactName| {
            let word = self.word(name, None);
            self.judge(name, &word, self.opened(name, &word)).is_some()
        };
        // All of them first: nothing is hashed while the lock is held.
        let suspects: Vec<_> = names.into_iter().filter(differs).collect();
        let mut suspects = suspects.as_slice();
        while !suspects.is_empty() {
            let seen = self.seen_at_once(suspects)?;
            suspects = suspects.get(seen.len()..).unwrap_or_default();
            for (name, word, opened) in seen {
                if let Some(difference) = self.judge(name, &word, opened) {
                    tell(name, difference);
                }
            }
        }
        Ok(())
    }

    /// What stands at the first of these paths, opened while nothing is in flight. What is open is not changed by
    /// writers, who replace, so that they need not wait while it is hashed.
    fn seen_at_once<'a>(
        &self,
        names: &[&'a ArtifactName],
    ) -> Result<Vec<(&'a ArtifactName, Word, Opened)>, JournalError> {
        let lock = lock_shared(&self.home, &self.dir)?;
        let since = self.catalog.since(&self.home)?;
        let (mut seen, mut open) = (Vec::new(), 0);
        for name in names.iter().take(SEEN_AT_ONCE) {
            let word = self.word(name, Some(&since));
            let opened = self.opened(name, &word);
            open += opened.files();
            seen.push((*name, word, opened));
            if open >= OPEN_AT_ONCE {
                break;
            }
        }
        drop(lock);
        Ok(seen)
    }

    fn opened(&self, name: &ArtifactName, word: &Word) -> Opened {
        // Of a file that nobody knows, it is enough that it is there.
        let is_known = word.digest.is_some() || word.last.is_some();
        let found = found(&self.dir, &layout::artifact(name.as_str()), is_known);
        let stage = word.last.as_ref().map(|last| layout::stage(last.event_id));
        let stage = stage.and_then(|stage| match self::found(&self.dir, &stage, true) {
            Found::File(stage) => stage,
            _ => None,
        });
        Opened { found, stage }
    }

    fn judge(&self, name: &ArtifactName, word: &Word, opened: Opened) -> Option<Difference> {
        let different = difference(word, opened.found)?;
        let mut standing = if different.is_special { Standing::Special } else { Standing::Usual };
        if let (Some(last), Some(mut stage)) = (&word.last, opened.stage) {
            let staged = last.staged();
            standing = match stage.digest_on_all_processors() {
                Ok((digest, _)) if digest == staged => {
                    let is_known = different.is_nothing || different.on_disk.is_some();
                    let will_be_put = is_known && last.may_replace(different.on_disk);
                    Standing::Waits { will_be_put }
                }
                Ok((digest, _)) => {
                    let reason = format!("it has the digest {digest}, and {staged} was journaled");
                    let path = self.dir.path().join(layout::stage(last.event_id));
                    Standing::Damaged(Finding::whole(path, Code::StageDamaged, reason))
                }
                Err(_) => standing,
            };
        }
        let finding = self.finding(different.code, name.as_str(), different.reason);
        Some(Difference { finding, standing })
    }

    fn finding(&self, code: Code, path: &str, reason: String) -> Finding {
        let path = self.dir.path().join(layout::artifact(path));
        Finding::whole(path, code, reason)
    }
}

/// Opens files under `artifacts/`. The directory that was opened last stays open: sorted names have few.
#[derive(Debug)]
pub(crate) struct Opener<'a> {
    dir: &'a Dir,
    nearest: Option<(String, Dir)>,
}

impl Opener<'_> {
    /// The caller saw that it is a file, and checks its digest.
    fn open(&mut self, name: &ArtifactName) -> Result<ReadFile, IoError> {
        let (above, file) = name.as_str().rsplit_once('/').unwrap_or(("", name.as_str()));
        if let Some((_, dir)) = self.nearest.as_ref().filter(|(nearest, _)| nearest == above) {
            return dir.open_sealed(file);
        }
        let path =
            if above.is_empty() { layout::ARTIFACTS.to_owned() } else { layout::artifact(above) };
        let (_, dir) = self.nearest.insert((above.to_owned(), self.dir.open_dir(&path)?));
        dir.open_sealed(file)
    }
}

/// How what is there differs from what should be.
struct Different {
    code: Code,
    reason: String,
    is_special: bool,
    is_nothing: bool,
    on_disk: Option<Digest>,
}

fn difference(word: &Word, found: Found) -> Option<Different> {
    const SPECIAL: &str = "a link or a special file stands there, and neither is followed";
    let known = word.digest.is_some();
    let code = if known { Code::ArtifactChanged } else { Code::ArtifactUnjournaled };
    let is_special = matches!(found, Found::Special);
    let is_nothing = matches!(found, Found::Nothing);
    let mut different =
        Different { code, reason: String::new(), is_special, is_nothing, on_disk: None };
    different.reason = match (word.digest, found) {
        (None, Found::Nothing | Found::Dir | Found::Unreachable(_)) => return None,
        (Some(_), Found::Nothing) => {
            different.code = Code::ArtifactMissing;
            "nothing stands there".to_owned()
        }
        (Some(expected), Found::File(Some(mut file))) => match file.digest_on_all_processors() {
            Ok((digest, _)) if digest == expected => return None,
            Ok((digest, _)) => {
                different.on_disk = Some(digest);
                format!("it has the digest {digest}, and {expected} was journaled")
            }
            Err(error) => different.unreadable(&error),
        },
        (Some(_), Found::Dir) => "a directory stands there".to_owned(),
        (None, Found::File(Some(mut file))) => {
            let digest = file.digest_on_all_processors();
            different.on_disk = digest.ok().map(|(digest, _)| digest);
            "the artifact was removed".to_owned()
        }
        (_, Found::File(_)) => "no record names it".to_owned(),
        (_, Found::Special) => SPECIAL.to_owned(),
        (_, Found::Unreadable(error) | Found::Unreachable(error)) => different.unreadable(&error),
    };
    Some(different)
}

impl Different {
    /// A file that the system does not let us see is not known to differ. What stands in the way of it does.
    fn unreadable(&mut self, error: &IoError) -> String {
        let in_the_way = [ErrorKind::NotADirectory, ErrorKind::IsADirectory, ErrorKind::Other];
        if !in_the_way.contains(&error.kind()) {
            self.code = Code::Unreadable;
        }
        format!("it cannot be read ({}: {})", error.action, error.source)
    }
}

/// Only a regular file is opened: to open a pipe or a device may be more than to look at it.
fn found(dir: &Dir, path: &str, opened: bool) -> Found {
    let file = match dir.stat(path) {
        Ok(None) => return Found::Nothing,
        Ok(Some(entry)) => match entry.kind {
            Kind::Dir => return Found::Dir,
            Kind::Other => return Found::Special,
            Kind::File if !opened => return Found::File(None),
            Kind::File => dir.open_read(path),
        },
        Err(error) => return Found::Unreachable(error),
    };
    match file {
        Ok(file) => Found::File(Some(file)),
        Err(error) if error.is_not_found() => Found::Nothing,
        Err(error) => Found::Unreadable(error),
    }
}
