//! What would keep a mend from being carried out, each time: it is left then, with the reason.

use super::genesis;
use super::site::Spot;
use super::sources::Finder;
use crate::io::{Dir, Kind};
use crate::layout::{self, HomeId};

const LOCK: &str =
    "`journal/.lock` is no file, so that nobody can work there: move away what stands there first";
const QUARANTINE: &str = "`.quarantine` is no directory, so that nothing can be set aside: move away what stands there first";
const TASK: &str = "its task's journal, which is to be told of the repair, cannot be appended to: repair the task, or \
     restore its journal, first";

impl Finder<'_> {
    /// What keeps anything in a run or a task from being mended, and a journal's end from being closed off.
    pub(super) fn has_odd_lock(&self, home: &HomeId) -> Option<&'static str> {
        self.stands(home, layout::LOCK).is_some_and(|kind| kind != Kind::File).then_some(LOCK)
    }

    /// What keeps the files of a run, or of a task, from being mended.
    pub(super) fn hindrance(&mut self, home: &HomeId) -> Option<&'static str> {
        if let Some((of, hindrance)) = &self.hindered
            && of == home
        {
            return *hindrance;
        }
        let hindrance = self.look_for_hindrance(home);
        self.hindered = Some((home.clone(), hindrance));
        hindrance
    }

    fn look_for_hindrance(&mut self, home: &HomeId) -> Option<&'static str> {
        let task = HomeId { task: home.task.clone(), run: None };
        let is_odd = self.stands(home, layout::QUARANTINE).is_some_and(|kind| kind != Kind::Dir);
        self.has_odd_lock(home)
            .or_else(|| self.has_odd_lock(&task))
            .or_else(|| is_odd.then_some(QUARANTINE))
            .or_else(|| (!self.can_tell(task)).then_some(TASK))
    }

    fn stands(&self, home: &HomeId, path: &str) -> Option<Kind> {
        let spot = Spot { home: home.clone(), path: path.to_owned() };
        let dir = Dir::open(self.site.home(&spot).dir()).ok()?;
        Some(dir.stat(path).ok()??.kind)
    }

    /// True if a task's journal takes records, or will once what this very plan mends first is mended.
    fn can_tell(&mut self, task: HomeId) -> bool {
        let is_in_plan = self.site.subject.scope().covers(&task.task, None);
        let spot = Spot { path: layout::JOURNAL.to_owned(), home: task.clone() };
        let Some(damage) = self.damage_at_end(&spot) else {
            let genesis = Spot { path: task.genesis().to_owned(), home: task };
            return is_in_plan && genesis::find(self.site, &genesis).is_some();
        };
        let mut all = damage.iter();
        all.all(|found| is_in_plan && matches!(self.close_off(found, &spot), Ok(Some(_))))
    }
}
