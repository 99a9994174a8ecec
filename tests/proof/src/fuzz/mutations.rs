//! Mutations by seed, without libFuzzer: flips, splices, cuts, numbers and words.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use runjournal::Digest;
use runjournal::proof::fuzz::Target;

use super::Corpus;
use crate::again::again;
use crate::{Budget, Outcome, Rng, Row, Violation};

/// Feeds each file of a corpus to a target.
///
/// # Errors
/// Where the thread for it cannot be made.
pub fn replay(name: &str, target: Target, corpus: &Corpus) -> Outcome<Row> {
    feed(name, target, &mut corpus.files.iter().map(|(_, content)| content.clone()))
}

/// Feeds so many mutations of a corpus to a target, unless the time is over before; one in any case.
///
/// # Errors
/// Where the corpus cannot be read.
pub fn mutate(name: &str, target: Target, count: u64, budget: &Budget) -> Outcome<Row> {
    let corpus = Corpus::of(name)?;
    let files: Vec<_> = corpus.files.into_iter().map(|(_, content)| content).collect();
    let mut rng = Rng::of(budget.seed, &[name]);
    let mut tried = 0;
    let mut inputs = std::iter::from_fn(|| {
        tried += 1;
        // One at least, however little time there is.
        (tried <= count && (tried == 1 || !budget.is_over())).then(|| mutated(&files, &mut rng))
    });
    feed(name, target, &mut inputs)
}

/// In a thread of its own, whose end takes away what the target keeps in memory. It stops at the first mistake.
fn feed(
    name: &str,
    target: Target,
    inputs: &mut (dyn Iterator<Item = Vec<u8>> + '_),
) -> Outcome<Row> {
    // What is fed is made here, so that nothing of the caller's has to go over.
    let (give, take) = std::sync::mpsc::sync_channel::<Vec<u8>>(64);
    std::thread::scope(|scope| {
        let fed = scope.spawn(move || {
            let mut row = Row::default();
            for input in take {
                row.tried += 1;
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
                    row.violations.push(found(name, &input, &*panic));
                    break;
                }
            }
            row
        });
        for input in inputs {
            if give.send(input).is_err() {
                break;
            }
        }
        drop(give);
        fed.join().map_err(|_| Violation::new(format!("{name}: the thread that feeds it panicked")))
    })
}

/// A mistake, with the input in a file to try it again with.
fn found(name: &str, input: &[u8], panic: &(dyn Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let said = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    let digest = Digest::of(input).to_hex();
    let file = format!("runjournal-fuzz-{name}-{}", digest.get(..16).unwrap_or_default());
    let file = std::env::temp_dir().join(file);
    let kept = match std::fs::write(&file, input) {
        Ok(()) => again(&format!("feed {name} {}", file.display())),
        Err(error) => format!("{}: {error}; {:?}", file.display(), String::from_utf8_lossy(input)),
    };
    Violation::new(format!("{name}: {said}; {kept}"))
}

/// No input is longer.
const MOST: usize = 16 << 10;

/// Words that mean something to the parsers.
const WORDS: &[&[u8]] = &[
    b"~0\n",
    b"~1\n",
    b"~a\n",
    b"~b\n",
    b"#\n",
    b"\n",
    b"~",
    b"null",
    b"{\"seq\":",
    b"\"",
    b"\\u2028",
    b"\\ud800",
    b"18446744073709551615",
    b"-1",
    b"1e999",
    b"../",
    b"\0",
    b"\xff",
    b"\xe2\x80\xa8",
    b"[[[[[[[[[[[[[[[[",
];

/// One to four changes to a file of the corpus.
fn mutated(files: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.pick(files).cloned().unwrap_or_default();
    for _ in 0..=rng.below(4) {
        let (from, to) = range(rng, input.len());
        match rng.below(8) {
            0 | 1 => {
                let bit = 1 << rng.below(8);
                input.iter_mut().skip(from).take(1).for_each(|byte| *byte ^= bit);
            }
            2 => drop(input.drain(from..to)),
            3 => input.truncate(to),
            4 => {
                let word = rng.pick(WORDS).copied().unwrap_or_default();
                input.splice(from..from, word.iter().copied());
            }
            5 => {
                let twice = input.get(from..to).unwrap_or_default().to_vec();
                input.splice(to..to, twice);
            }
            6 => {
                let other = rng.pick(files).cloned().unwrap_or_default();
                let (start, end) = range(rng, other.len());
                let part = other.get(start..end).unwrap_or_default().iter().copied();
                input.splice(from..to, part);
            }
            _ => {
                let byte = u8::try_from(rng.below(256)).unwrap_or(0);
                input.iter_mut().skip(from).take(1).for_each(|old| *old = byte);
            }
        }
        input.truncate(MOST);
    }
    input
}

/// A range within so many, mostly a short one.
fn range(rng: &mut Rng, length: usize) -> (usize, usize) {
    let from = rng.below(length + 1);
    let most = if rng.once_in(4) { length } else { 64 };
    (from, from + rng.below((length - from).min(most) + 1))
}
