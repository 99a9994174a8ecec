//! What mends a finding, and where the bytes for it are.

use super::RepairError;
use super::close_off::damage_at_end;
use super::genesis;
use super::mend::{KNOWN, Means, Origin, UNSETTLED, why};
use super::site::{Site, Spot};
use super::unsettled::Unsettled;
use crate::artifact::{Catalog, digest_on_disk};
use crate::backup::{Backup, BackupObject};
use crate::checkpoint::can_be_made_again;
use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::io::{Dir, ReadFile};
use crate::journal::JournalError;
use crate::layout::HomeId;
use crate::name::ArtifactName;
use crate::verify::can_be_cleared;
use crate::{layout, object};

/// Finds means. Findings come run by run, so what one run's journal says is kept for the next finding.
pub(super) struct Finder<'a> {
    pub(super) site: &'a Site,
    adopt: bool,
    unsettled: Unsettled,
    /// Of the run or the task that was asked for last.
    pub(super) hindered: Option<(HomeId, Option<&'static str>)>,
    last: Option<(HomeId, Sources)>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(site: &'a Site, adopt: bool, unsettled: Unsettled) -> Self {
        Self { site, adopt, unsettled, hindered: None, last: None }
    }

    /// What mends a finding, or why nothing does.
    pub(super) fn of(&mut self, finding: &Finding, spot: &Spot) -> Result<Means, &'static str> {
        let has_backup = self.site.backup.is_some();
        let means = match finding.code {
            code if code.is_journal_damage() => self.close_off(finding, spot)?,
            _ if Unsettled::keeps(finding.code) && self.unsettled.holds(&spot.home) => {
                return Err(UNSETTLED);
            }
            _ => self.find(finding, spot),
        };
        let means = means.ok_or_else(|| why(finding.code, has_backup))?;
        let hindrance = match means {
            Means::CloseOff => self.has_odd_lock(&spot.home),
            _ => self.hindrance(&spot.home),
        };
        hindrance.map_or(Ok(means), Err)
    }

    /// Only damage that nobody knows to have been a record is closed off: its sequence number is given out again.
    pub(super) fn close_off(
        &mut self,
        finding: &Finding,
        spot: &Spot,
    ) -> Result<Option<Means>, &'static str> {
        let Some(sources) = self.sources(spot) else { return Ok(None) };
        if sources.closed || !sources.damage_at_end.contains(finding) {
            return Ok(None);
        }
        let is_known = sources.backup_knows(spot, finding);
        if is_known || self.unsettled.shorter.contains(&spot.home) {
            return Err(KNOWN);
        }
        Ok(Some(Means::CloseOff))
    }

    fn find(&mut self, finding: &Finding, spot: &Spot) -> Option<Means> {
        if finding.code == Code::GenesisDamaged {
            return genesis::find(self.site, spot);
        }
        let is_odd = matches!(finding.code, Code::WrongKind | Code::SymbolicLink);
        if is_odd && can_be_cleared(&spot.path) {
            return Some(Means::SetAside);
        }
        let adopt = self.adopt;
        let sources = self.sources(spot)?;
        match finding.code {
            Code::ArtifactMissing | Code::ArtifactChanged => {
                let name = layout::artifact_of(&spot.path)?;
                sources.put_back(sources.catalog.digest(&name)?, Some(&name))
            }
            Code::StageDamaged => {
                let (name, digest) = sources.staged(&spot.path)?;
                sources.put_back(digest, Some(&name))
            }
            Code::ObjectMissing | Code::ObjectChanged => {
                sources.put_back(layout::object_of(&spot.path)?, None)
            }
            Code::CommitNotApplied => layout::artifact_of(&spot.path).map(|_| Means::PutInPlace),
            Code::ArtifactUnjournaled if adopt && !sources.closed => {
                let on_disk = digest_on_disk(&sources.dir, &layout::artifact_of(&spot.path)?);
                on_disk.ok().flatten().map(|_| Means::Adopt)
            }
            Code::ManifestDamaged => Some(Means::MakeAgain),
            Code::CheckpointMissing | Code::CheckpointDamaged => {
                let home = self.site.home(spot);
                let is_known =
                    layout::turn_of(&spot.path).is_some_and(|turn| can_be_made_again(&home, turn));
                is_known.then_some(Means::MakeAgain)
            }
            _ => None,
        }
    }

    /// Damage at the end of the journal of a run or a task; `None` where it cannot be read.
    pub(super) fn damage_at_end(&mut self, spot: &Spot) -> Option<Vec<Finding>> {
        self.sources(spot).map(|sources| sources.damage_at_end.clone())
    }

    fn sources(&mut self, spot: &Spot) -> Option<&Sources> {
        if self.last.as_ref().is_none_or(|(home, _)| *home != spot.home) {
            let sources = Sources::open(self.site, spot).ok();
            self.last = sources.map(|sources| (spot.home.clone(), sources));
        }
        self.last.as_ref().map(|(_, sources)| sources)
    }
}

/// What a run, or a task, has to mend itself with.
pub(super) struct Sources {
    dir: Dir,
    catalog: Catalog,
    closed: bool,
    damage_at_end: Vec<Finding>,
    backup: Option<Backup>,
}

impl Sources {
    /// Fails where its journal cannot be read: then nothing says what its files should be.
    pub(super) fn open(site: &Site, spot: &Spot) -> Result<Self, JournalError> {
        let home = &site.home(spot);
        let (damage_at_end, closed) = damage_at_end(home)?;
        let (dir, catalog) = (Dir::open(home.dir())?, Catalog::read(home)?);
        Ok(Self { dir, catalog, closed, damage_at_end, backup: site.backup.clone() })
    }

    /// True if the backup that was given has a record that ends in damage, or behind it.
    fn backup_knows(&self, spot: &Spot, damage: &Finding) -> bool {
        let (Some(backup), Some(offset)) = (&self.backup, damage.place.offset) else {
            return false;
        };
        let genesis = self.dir.open_read(spot.home.genesis()).and_then(|mut file| file.digest());
        genesis.is_ok_and(|(genesis, _)| {
            // What cannot be asked does not say no.
            backup.knows_past(&spot.home, genesis, offset).unwrap_or(true)
        })
    }

    /// The artifact whose last record waits for this stage, and the digest that it is to have.
    fn staged(&self, path: &str) -> Option<(ArtifactName, Digest)> {
        let id = layout::stage_of(path)?;
        let mut all = self.catalog.iter();
        let (name, last) = all.find(|(_, last)| last.event_id == id)?;
        Some((name.clone(), last.digest?))
    }

    /// The artifact that a spot is about, if its last record names this digest.
    pub(super) fn name_of(&self, spot: &Spot, digest: Digest) -> Option<ArtifactName> {
        let name = layout::artifact_of(&spot.path)
            .or_else(|| self.staged(&spot.path).map(|(name, _)| name))?;
        (self.catalog.digest(&name) == Some(digest)).then_some(name)
    }

    fn put_back(&self, digest: Digest, wrong: Option<&ArtifactName>) -> Option<Means> {
        let from = self.find(digest, wrong)?;
        Some(Means::PutBack { digest, from })
    }

    /// Where bytes with this digest are, read and hashed. An object that is to be put back is not looked for
    /// among the objects.
    fn find(&self, digest: Digest, wrong: Option<&ArtifactName>) -> Option<Origin> {
        let has_it = |mut file: ReadFile| file.digest().is_ok_and(|(found, _)| found == digest);
        if wrong.is_some() && object::open(&self.dir, digest).is_ok_and(&has_it) {
            return Some(Origin::Object);
        }
        let mut same = self.catalog.iter().filter(|(_, last)| last.digest == Some(digest));
        let good = same.find(|(name, _)| {
            Some(*name) != wrong
                && digest_on_disk(&self.dir, name).is_ok_and(|it| it == Some(digest))
        });
        let here = good.map(|(name, _)| Origin::Artifact(name.clone()));
        here.or_else(|| has_it(in_backup(self.backup.as_ref()?, digest)?).then_some(Origin::Backup))
    }

    /// The content with a digest, where it was found to be.
    pub(super) fn open_origin(
        &self,
        digest: Digest,
        from: &Origin,
    ) -> Result<ReadFile, RepairError> {
        match (from, &self.backup) {
            (Origin::Backup, Some(backup)) => gone_from_backup(backup, digest),
            (Origin::Artifact(name), _) => {
                Ok(self.dir.open_read(&layout::artifact(name.as_str()))?)
            }
            _ => Ok(object::open(&self.dir, digest)?),
        }
    }
}

/// Content that a backup has, not checked.
pub(super) fn in_backup(backup: &Backup, digest: Digest) -> Option<ReadFile> {
    Some(backup.object(digest).ok()??.into_file())
}

/// The same where it was found before.
pub(super) fn gone_from_backup(backup: &Backup, digest: Digest) -> Result<ReadFile, RepairError> {
    let found = backup.object(digest)?.map(BackupObject::into_file);
    found.ok_or_else(|| RepairError::MovedOn {
        path: backup.path().to_owned(),
        reason: format!("it has no content with the digest {digest} any more"),
    })
}
