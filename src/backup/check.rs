//! Whether a backup holds what its snapshots name.

use std::collections::{BTreeMap, BTreeSet};

use super::keep::{self, name};
use super::snapshot::{Snapshot, SnapshotPage};
use super::store::open_object;
use super::{Backup, BackupError, BackupProgress, Counts};
use crate::digest::Digest;
use crate::finding::{Code, Finding, bytes};
use crate::io::{Dir, Kind};
use crate::threads;

/// What a look at a backup found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupVerified {
    /// What is missing, changed or cannot be read, sorted by path.
    pub findings: Vec<Finding>,
    /// Snapshots that were looked at.
    pub snapshots: u64,
    /// Objects that they name.
    pub objects: u64,
    /// The bytes of these.
    pub bytes: u64,
}

impl Backup {
    /// Looks whether every object that the snapshots name is there, in its length; with `read_data`, whether it
    /// has its digest. Each is looked at once, however many snapshots name it. Nothing is changed.
    ///
    /// An object that is missing, the next [`take`](Backup::take) brings again if the workspace still has its
    /// content. One that is changed is to be removed first: what the last snapshot names is trusted.
    ///
    /// # Errors
    /// Where the backup cannot be read at all.
    pub fn verify(&self, read_data: bool) -> Result<BackupVerified, BackupError> {
        self.verify_with(read_data, &mut |_| {})
    }

    /// The same, and tells how far it is about ten times a second.
    ///
    /// # Errors
    /// As [`verify`](Backup::verify).
    pub fn verify_with(
        &self,
        read_data: bool,
        progress: &mut dyn FnMut(&BackupProgress),
    ) -> Result<BackupVerified, BackupError> {
        let counts = Counts::default();
        counts.told(progress, || self.verify_counting(read_data, &counts))
    }

    fn verify_counting(
        &self,
        read_data: bool,
        counts: &Counts,
    ) -> Result<BackupVerified, BackupError> {
        let _lock = self.lock_shared()?;
        let (mut snapshots, mut findings) = (Vec::new(), Vec::new());
        for listed in self.list()? {
            match listed {
                Ok(snapshot) => {
                    findings.extend(snapshot.hold_damage().map(told).transpose()?);
                    snapshots.push(snapshot);
                }
                Err(error) => findings.push(told(error)?),
            }
        }
        verify(self, &snapshots, findings, read_data, counts)
    }
}

impl Snapshot {
    /// The same for what this snapshot names.
    ///
    /// # Errors
    /// As [`Backup::verify`].
    pub fn verify(&self, read_data: bool) -> Result<BackupVerified, BackupError> {
        let _lock = self.backup().lock_shared()?;
        let (of, counts) = (std::slice::from_ref(self), Counts::default());
        verify(self.backup(), of, Vec::new(), read_data, &counts)
    }
}

fn verify(
    backup: &Backup,
    snapshots: &[Snapshot],
    mut findings: Vec<Finding>,
    read_data: bool,
    counts: &Counts,
) -> Result<BackupVerified, BackupError> {
    let dir = backup.objects()?;
    let pages = pages(snapshots);
    counts.add_known(pages.len());
    counts.add_findings(findings.len());
    let threads =
        threads::for_bytes(snapshots.iter().map(|snapshot| snapshot.totals().bytes).sum());
    let mut named: BTreeMap<Digest, u64> = BTreeMap::new();
    let read = threads::each(threads, &pages, |page| {
        let read = backup.page(&dir, page);
        counts.add_done();
        Ok::<_, BackupError>(read)
    })?;
    for read in read {
        match read {
            Ok(page) => named.extend(page.objects()),
            Err(error) => {
                counts.add_findings(1);
                findings.push(told(error)?);
            }
        }
    }
    // Of these nothing but the digest is known.
    let workspaces: BTreeSet<_> =
        snapshots.iter().map(|snapshot| snapshot.file.workspace).collect();
    let sized = named.iter().map(|(digest, size)| (*digest, Some(*size)));
    let objects: Vec<_> =
        sized.chain(workspaces.into_iter().map(|digest| (digest, None))).collect();
    counts.add_known(objects.len());
    let looked = threads::each(threads, &objects, |(digest, size)| {
        let found = look(&dir, *digest, *size, read_data.then_some(counts));
        counts.add_findings(usize::from(found.is_some()));
        counts.add_done();
        Ok::<_, BackupError>(found)
    })?;
    findings.extend(looked.into_iter().flatten());
    findings.sort_by(|a, b| a.place.path.cmp(&b.place.path));
    Ok(BackupVerified {
        findings,
        snapshots: snapshots.len() as u64,
        objects: (objects.len() + pages.len()) as u64,
        bytes: named.values().sum(),
    })
}

/// Every page of some snapshots, once.
pub(super) fn pages(snapshots: &[Snapshot]) -> Vec<SnapshotPage> {
    let homes = snapshots.iter().flat_map(|snapshot| &snapshot.file.homes);
    let pages: BTreeMap<_, _> = homes.map(|home| (home.page, home)).collect();
    pages.into_values().cloned().collect()
}

/// What is wrong with an object. With something to count what is read, it is read.
pub(super) fn look(
    dir: &Dir,
    digest: Digest,
    size: Option<u64>,
    read: Option<&Counts>,
) -> Option<Finding> {
    let path = name(digest);
    let (code, reason) = match dir.stat(&path) {
        Ok(None) => (Code::ObjectMissing, "nothing stands there".to_owned()),
        Ok(Some(entry)) if entry.kind != Kind::File => {
            (Code::ObjectChanged, "it is no file any more".to_owned())
        }
        Ok(Some(entry)) if size.is_some_and(|size| size != entry.size) => {
            (Code::ObjectChanged, format!("it has {}", bytes(entry.size)))
        }
        Ok(Some(_)) => {
            let counts = read?;
            let read = |mut file| keep::digest(&mut file, counts);
            match open_object(dir, digest).map(|file| file.map(read)) {
                Ok(Some(Ok((found, _)))) if found == digest => return None,
                Ok(Some(Ok((found, _)))) => {
                    (Code::ObjectChanged, format!("it has the digest {found}"))
                }
                Ok(None) => (Code::ObjectMissing, "nothing stands there".to_owned()),
                Ok(Some(Err(error))) | Err(error) => {
                    (Code::Unreadable, format!("cannot {}: {}", error.action, error.source))
                }
            }
        }
        Err(error) => (Code::Unreadable, format!("cannot {}: {}", error.action, error.source)),
    };
    Some(Finding::whole(dir.path().join(path), code, reason))
}

/// What cannot be read of the backup, as a finding; an error that is of something else stays one.
fn told(error: BackupError) -> Result<Finding, BackupError> {
    match error {
        BackupError::Damaged { path, reason } | BackupError::HoldDamaged { path, reason, .. } => {
            Ok(Finding::whole(path, Code::Unreadable, reason))
        }
        BackupError::NewerFormat { path, found, supported } => {
            let reason = format!("it has format version {found}, and {supported} is read");
            Ok(Finding::whole(path, Code::NewerFormat, reason))
        }
        BackupError::Io(error) => {
            let reason = format!("cannot {}: {}", error.action, error.source);
            Ok(Finding::whole(error.path, Code::Unreadable, reason))
        }
        other => Err(other),
    }
}
