//! The trees that a power cut may leave of a disk.

use std::collections::HashSet;

use super::content::{Content, File, Taken};
use super::image::{Entry, Image};
use super::model::{Disk, Id};
use super::names::Shape;
use crate::Rng;

/// So many bytes of images are made of one disk at most, where chance says which.
const BYTES: usize = 16 << 20;

/// Where more bytes than these are open, nobody counts the states.
const LARGE: usize = 1 << 18;

impl Disk {
    /// The trees that a power cut may leave, each once, and true if these are all of them. Where there may be more
    /// than `most`, these are the most telling and others by chance, no more than so many.
    #[must_use]
    pub fn states(&self, most: usize, rng: &mut Rng) -> (Vec<Image>, bool) {
        let open = self.files.values().filter(|file| file.is_open());
        let size: usize = open.map(|file| file.now().len()).sum();
        if size < LARGE
            && let Some(shapes) = self.names.all(most.saturating_mul(4))
            && self.count(&shapes) <= most.saturating_mul(4)
        {
            let all = distinct(shapes.iter().flat_map(|shape| self.all_of(shape)), usize::MAX);
            return (all, true);
        }
        let most = most.min(BYTES / size.max(1)).max(4);
        let corners = self.names.corners();
        let taken = [Taken::All, Taken::None, Taken::Length];
        let telling: Vec<_> = taken
            .iter()
            .flat_map(|taken| corners.iter().map(move |shape| (shape, *taken)))
            .take(most.saturating_mul(4))
            .map(|(shape, taken)| self.one_of(shape, taken, rng))
            .collect();
        // As many by chance, at least; what is there already does not count.
        let mut images = distinct(telling.into_iter(), most.div_ceil(2));
        let by_chance = (0..most * 2).map(|_| self.state(rng));
        images.extend(by_chance);
        (distinct(images.into_iter(), most), false)
    }

    /// The trees that have nothing but what is certain: under the names that are certain too, and under those that a
    /// process sees.
    #[must_use]
    pub fn least(&self, rng: &mut Rng) -> Vec<Image> {
        let shapes = [self.names.oldest(), self.names.newest()];
        distinct(shapes.iter().map(|shape| self.one_of(shape, Taken::None, rng)), 2)
    }

    /// One tree that a power cut may leave, by chance.
    #[must_use]
    pub fn state(&self, rng: &mut Rng) -> Image {
        let shape = self.names.one(rng);
        let taken = match rng.below(6) {
            0 => Taken::All,
            1 => Taken::None,
            2 => Taken::Length,
            _ => Taken::Some,
        };
        self.one_of(&shape, taken, rng)
    }

    /// The files of a shape whose content is not certain.
    fn open_in(&self, shape: &Shape) -> Vec<(Id, &File)> {
        let mut seen = HashSet::new();
        let files = shape.paths.iter().filter_map(|(_, id)| Some((*id, self.files.get(id)?)));
        files.filter(|(id, file)| file.is_open() && seen.insert(*id)).collect()
    }

    fn count(&self, shapes: &[Shape]) -> usize {
        let of = |shape: &Shape| {
            let counts = self.open_in(shape).into_iter().map(|(_, file)| file.count());
            counts.fold(1, usize::saturating_mul)
        };
        shapes.iter().map(of).fold(0, usize::saturating_add)
    }

    fn all_of(&self, shape: &Shape) -> Vec<Image> {
        let mut choices: Vec<Vec<(Id, Content)>> = vec![Vec::new()];
        for (id, file) in self.open_in(shape) {
            let contents = file.all();
            let with = |choice: &Vec<(Id, Content)>, content: &Content| {
                let mut choice = choice.clone();
                choice.push((id, content.clone()));
                choice
            };
            choices = choices
                .iter()
                .flat_map(|choice| contents.iter().map(move |content| with(choice, content)))
                .collect();
        }
        choices.iter().map(|choice| self.image(shape, choice)).collect()
    }

    fn one_of(&self, shape: &Shape, taken: Taken, rng: &mut Rng) -> Image {
        let open = self.open_in(shape);
        let choice: Vec<_> = open.iter().map(|(id, file)| (*id, file.one(taken, rng))).collect();
        self.image(shape, &choice)
    }

    fn image(&self, shape: &Shape, contents: &[(Id, Content)]) -> Image {
        let mut image = Image::default();
        for lost in &shape.lost {
            image.lose(lost.clone());
        }
        for (path, id) in &shape.paths {
            let chosen = contents.iter().find(|(of, _)| of == id).map(|(_, content)| content);
            if let Some(lacks) = chosen.and_then(|content| content.lacks.as_ref()) {
                image.lose(format!("{path}: {lacks}"));
            }
            let file = self.files.get(id);
            let entry = match (chosen, file) {
                (Some(content), _) => Entry::File(content.bytes.clone()),
                (None, Some(file)) => Entry::File(file.settled()),
                (None, None) => Entry::Dir,
            };
            image.put(path.clone(), entry);
        }
        image
    }
}

fn distinct(images: impl Iterator<Item = Image>, most: usize) -> Vec<Image> {
    let mut seen = HashSet::new();
    images.filter(|image| seen.insert(image.digest())).take(most).collect()
}
