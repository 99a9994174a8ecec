//! What a power cut may leave of the names: each as it was at some moment since its directory was synced.

use std::collections::{BTreeMap, HashMap, HashSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::model::{Id, TOP};
use crate::Rng;

/// A name in a directory.
pub(super) type Key = (Id, String);

/// What a name stood for, in order; the disk has one of them.
#[derive(Debug, Clone)]
struct History {
    /// Each with its step.
    values: Vec<(usize, Option<Id>)>,
    /// What came before this one is over.
    least: usize,
}

/// A rename: of the two names, one value each, that came at once.
#[derive(Debug, Clone)]
struct Tie {
    gone: (Key, usize),
    come: (Key, usize),
    is_dir: bool,
}

/// All names that there were.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    histories: BTreeMap<Key, History>,
    ties: Vec<Tie>,
}

/// Names as a power cut may leave them.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Whatever can be reached, directories before what is in them.
    pub(super) paths: Vec<(Utf8PathBuf, Id)>,
    /// What is not on the disk, in words.
    pub(super) lost: Vec<String>,
}

/// For each name that more than one value is possible of, which.
type Choice = BTreeMap<Key, usize>;

impl Names {
    /// A name that was there from the start.
    pub(super) fn put(&mut self, key: Key, id: Id) {
        self.histories.insert(key, History { values: vec![(0, Some(id))], least: 0 });
    }

    /// A name stands for something else from now on.
    pub(super) fn set(&mut self, step: usize, key: Key, to: Option<Id>) -> (Key, usize) {
        let history = self.histories.entry(key.clone());
        let nothing = || History { values: vec![(0, None)], least: 0 };
        let history = history.or_insert_with(nothing);
        history.values.push((step, to));
        (key, history.values.len() - 1)
    }

    pub(super) fn rename(&mut self, step: usize, from: Key, to: Key, is_dir: bool) {
        let id = self.now(&from);
        let come = self.set(step, to, id);
        let gone = self.set(step, from, None);
        self.ties.push(Tie { gone, come, is_dir });
    }

    pub(super) fn now(&self, key: &Key) -> Option<Id> {
        self.histories.get(key).and_then(|history| history.values.last()).and_then(|(_, id)| *id)
    }

    /// The names in a directory, or all, were synced as they were when so many steps had been taken.
    pub(super) fn sync(&mut self, dir: Option<Id>, began: usize) {
        let synced = |key: &Key| dir.is_none_or(|dir| dir == key.0);
        for (_, history) in self.histories.iter_mut().filter(|(key, _)| synced(key)) {
            let covered = history.values.iter().rposition(|(step, _)| *step < began);
            history.least = history.least.max(covered.unwrap_or(0));
        }
        let mut least: Choice =
            self.histories.iter().map(|(key, history)| (key.clone(), history.least)).collect();
        self.mend(&mut least);
        for (key, history) in &mut self.histories {
            history.least = least.get(key).copied().unwrap_or(history.least);
        }
    }

    /// A rename is never half there, so that neither name is; of a file both may be, of a directory one is. That is
    /// so where a system writes back what it likes. The sync of a directory says nothing of another one: what it
    /// made certain of a rename between the two says nothing of the other end.
    fn mend(&self, choice: &mut Choice) {
        loop {
            let mut mended = false;
            let mut reach = |choice: &mut Choice, (key, at): &(Key, usize)| {
                if let Some(chosen) = choice.get_mut(key).filter(|chosen| **chosen < *at) {
                    *chosen = *at;
                    mended = true;
                }
            };
            for Tie { gone, come, is_dir } in &self.ties {
                let is_one_directory = gone.0.0 == come.0.0;
                let pulls = |choice: &Choice, end: &(Key, usize)| {
                    let has = choice.get(&end.0).is_some_and(|chosen| *chosen >= end.1);
                    has && (is_one_directory || !self.is_certain(end))
                };
                if pulls(choice, gone) {
                    reach(choice, come);
                }
                if *is_dir && pulls(choice, come) {
                    reach(choice, gone);
                }
            }
            if !mended {
                return;
            }
        }
    }

    /// True if a name cannot have an older value than this.
    fn is_certain(&self, (key, at): &(Key, usize)) -> bool {
        self.histories.get(key).is_some_and(|history| history.least >= *at)
    }

    fn is_legal(&self, choice: &Choice) -> bool {
        let mut mended = choice.clone();
        self.mend(&mut mended);
        mended == *choice
    }

    /// What is chosen where `at` says which of the possible values each name has.
    fn choice(&self, mut at: impl FnMut(&Key, usize, usize) -> usize) -> Choice {
        let chosen = |(key, history): (&Key, &History)| {
            (key.clone(), at(key, history.least, history.values.len() - 1))
        };
        self.histories.iter().map(chosen).collect()
    }

    /// The highest id of anything that ever had a name.
    pub(super) fn most(&self) -> Id {
        let values = self.histories.values().flat_map(|history| &history.values);
        values.filter_map(|(_, id)| *id).max().unwrap_or(TOP)
    }

    pub(super) fn newest(&self) -> Shape {
        self.shape(&self.choice(|_, _, most| most))
    }

    pub(super) fn oldest(&self) -> Shape {
        self.shape(&self.choice(|_, least, _| least))
    }

    /// Names that chance says.
    pub(super) fn one(&self, rng: &mut Rng) -> Shape {
        let how = rng.below(3);
        let mut choice = self.choice(|_, least, most| match how {
            0 => least + rng.below(most - least + 1),
            1 if rng.once_in(4) => least,
            1 => most,
            _ if rng.once_in(4) => most,
            _ => least,
        });
        self.mend(&mut choice);
        self.shape(&choice)
    }

    /// True if a power cut may leave more than one shape.
    pub(super) fn is_open(&self) -> bool {
        self.open().next().is_some()
    }

    fn open(&self) -> impl Iterator<Item = (&Key, &History)> {
        self.histories.iter().filter(|(_, history)| history.least + 1 < history.values.len())
    }

    /// All that a power cut may leave of the names, if those are not more than so many.
    pub(super) fn all(&self, most: usize) -> Option<Vec<Shape>> {
        let counts = self.open().map(|(_, history)| history.values.len() - history.least);
        if counts.fold(1, usize::saturating_mul) > most {
            return None;
        }
        let mut choices = vec![self.choice(|_, least, _| least)];
        for (key, history) in self.open() {
            let with = |choice: &Choice, at: usize| {
                let mut choice = choice.clone();
                choice.insert(key.clone(), at);
                choice
            };
            let values = history.least..history.values.len();
            choices = choices.iter().flat_map(|c| values.clone().map(|at| with(c, at))).collect();
        }
        choices.retain(|choice| self.is_legal(choice));
        Some(distinct(choices.iter().map(|choice| self.shape(choice))))
    }

    /// The most telling: all and nothing, and each name alone there or not there.
    pub(super) fn corners(&self) -> Vec<Shape> {
        let mut shapes = vec![self.newest(), self.oldest()];
        for (open, history) in self.open() {
            for at in history.least..history.values.len() {
                let mut without = self.choice(|key, _, most| if key == open { at } else { most });
                let mut alone = self.choice(|key, least, _| if key == open { at } else { least });
                for choice in [&mut without, &mut alone] {
                    self.mend(choice);
                    shapes.push(self.shape(choice));
                }
            }
        }
        distinct(shapes.into_iter())
    }

    fn shape(&self, choice: &Choice) -> Shape {
        let mut names = HashMap::<Id, Vec<(&str, Id)>>::new();
        let has = |(key, at): &(Key, usize)| choice.get(key).is_some_and(|chosen| chosen >= at);
        // Of two names that a directory would have the old one is left.
        let twice: HashSet<&Key> = self
            .ties
            .iter()
            .filter(|tie| tie.is_dir)
            .filter_map(|tie| {
                let stays = choice.get(&tie.come.0) == Some(&tie.come.1);
                (stays && !has(&tie.gone)).then_some(&tie.come.0)
            })
            .collect();
        for (key, history) in self.histories.iter().filter(|(key, _)| !twice.contains(key)) {
            let chosen = choice.get(key).and_then(|at| history.values.get(*at));
            if let Some((_, Some(id))) = chosen {
                names.entry(key.0).or_default().push((&key.1, *id));
            }
        }
        let mut paths = Vec::new();
        let mut left = vec![(Utf8PathBuf::new(), TOP)];
        while let Some((path, dir)) = left.pop() {
            for (name, id) in names.get(&dir).into_iter().flatten() {
                let path = path.join(name);
                paths.push((path.clone(), *id));
                left.push((path, *id));
            }
        }
        Shape { paths, lost: self.lost(choice) }
    }

    fn lost(&self, choice: &Choice) -> Vec<String> {
        let old = self.open().filter_map(|(key, history)| {
            let at = *choice.get(key)?;
            let (_, chosen) = history.values.get(at)?;
            let (_, newest) = history.values.last()?;
            (at + 1 < history.values.len()).then(|| {
                let path = self.path(key.0).join(&key.1);
                let missing = history.values.len() - 1 - at;
                match (chosen, newest) {
                    (None, Some(_)) => format!("{path} is not on the disk"),
                    (Some(_), None) => format!("{path} is still on the disk"),
                    (None, None) => format!("{path} came and went, and never was on the disk"),
                    (Some(_), Some(_)) => format!("{path} is what it was {missing} changes ago"),
                }
            })
        });
        old.collect()
    }

    /// The path of a directory, by any name that it ever had.
    pub(super) fn path(&self, dir: Id) -> Utf8PathBuf {
        let (mut dir, mut path) = (dir, Utf8PathBuf::new());
        let mut depth = 0;
        while dir != TOP && depth < 64 {
            let has =
                |history: &History| history.values.iter().rev().any(|(_, id)| *id == Some(dir));
            let Some(((above, name), _)) = self.histories.iter().find(|(_, h)| has(h)) else {
                break;
            };
            path = if depth == 0 { name.into() } else { Utf8Path::new(name).join(path) };
            dir = *above;
            depth += 1;
        }
        path
    }
}

fn distinct(shapes: impl Iterator<Item = Shape>) -> Vec<Shape> {
    let mut seen = HashSet::new();
    shapes.filter(|shape| seen.insert(shape.paths.clone())).collect()
}
