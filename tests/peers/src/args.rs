//! What is asked for.

use std::time::Duration;

use camino::Utf8PathBuf;

use crate::{Result, curves, rows};

const HELP: &str = "\
Measures runjournal against floors and peers, and prints a table.

  --quick        fewer rounds and smaller sizes; some minutes
  --rows 1,2,5   only these rows
  --curves [NAMES]  what things cost when there is more of them, instead of the rows:
                 journal,runs,artifacts,threads,processes
  --svg DIR      draw the curves into DIR
  --dir DIR      measure on the file system of DIR (default: next to the build)
  --json FILE    write all samples to FILE
  --rounds N     counted rounds of each row, as far as its time allows
  --help         this text";

/// How much is measured.
pub(crate) struct Plan {
    pub(crate) quick: bool,
    /// Counted rounds; one more is run before them and thrown away.
    pub(crate) rounds: usize,
    /// How long the rounds of one comparison may take; what is slow gets fewer rounds.
    pub(crate) budget: Duration,
}

impl Plan {
    /// One of two sizes.
    pub(crate) fn size(&self, quick: u64, full: u64) -> u64 {
        if self.quick { quick } else { full }
    }
}

pub(crate) struct Args {
    pub(crate) plan: Plan,
    rows: Option<Vec<String>>,
    curves: Option<Vec<String>>,
    pub(crate) svg: Option<Utf8PathBuf>,
    pub(crate) dir: Option<Utf8PathBuf>,
    pub(crate) json: Option<Utf8PathBuf>,
}

impl Args {
    /// `None` where help was all that was wanted.
    pub(crate) fn parse(arguments: &[String]) -> Result<Option<Self>> {
        let (mut quick, mut rounds, mut rows, mut dir, mut json) = (false, None, None, None, None);
        let (mut curves, mut svg) = (None, None);
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            let names = arguments.next_if(|next| argument == "--curves" && !next.starts_with("--"));
            let mut value =
                || arguments.next().ok_or_else(|| format!("{argument} needs a value; see --help"));
            match argument.as_str() {
                "--quick" => quick = true,
                "--rows" => {
                    rows = Some(known(value()?, "row", rows::ALL.iter().map(|row| row.name))?)
                }
                "--curves" => {
                    let all = || curves::ALL.iter().map(|group| group.name);
                    curves = Some(match names {
                        Some(names) => known(names, "curve", all())?,
                        None => all().map(str::to_owned).collect(),
                    });
                }
                "--svg" => svg = Some(Utf8PathBuf::from(value()?)),
                "--dir" => dir = Some(Utf8PathBuf::from(value()?)),
                "--json" => json = Some(Utf8PathBuf::from(value()?)),
                "--rounds" => rounds = Some(value()?.parse::<usize>()?.max(1)),
                "--help" | "-h" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(format!("{argument} is not an option; see --help").into()),
            }
        }
        if svg.is_some() && curves.is_none() {
            return Err("--svg draws curves: it needs --curves; see --help".into());
        }
        let rounds = rounds.unwrap_or(if quick { 7 } else { 21 });
        let budget = Duration::from_secs(if quick { 12 } else { 60 });
        Ok(Some(Self { plan: Plan { quick, rounds, budget }, rows, curves, svg, dir, json }))
    }

    /// Rows that were not asked for are wanted where nothing else was.
    pub(crate) fn wants(&self, row: &str) -> bool {
        match &self.rows {
            Some(rows) => rows.iter().any(|wanted| wanted == row),
            None => self.curves.is_none(),
        }
    }

    pub(crate) fn wants_curves(&self, name: &str) -> bool {
        self.curves.iter().flatten().any(|wanted| wanted == name)
    }
}

/// The names of a list, all of which there are.
fn known(list: &str, what: &str, known: impl Iterator<Item = &'static str>) -> Result<Vec<String>> {
    let wanted = list.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
    let known = known.collect::<Vec<_>>();
    match wanted.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(wanted),
        Some(name) => {
            Err(format!("there is no {what} {name:?}; there are {}", known.join(", ")).into())
        }
    }
}
