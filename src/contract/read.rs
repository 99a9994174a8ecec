//! What a plan and the reports share: the version, whose they are, and how they are read and written.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ContractError;
use crate::artifact::{Artifact, ArtifactError};
use crate::clock::Timestamp;
use crate::id::{RunId, TaskId};
use crate::name::ArtifactName;
use crate::step::{StepContext, StepError};

/// The version that this code writes, and the newest that it reads.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// What a node adds to what its author made.
pub(super) trait Contract: Serialize + DeserializeOwned {
    /// Where it stands among the artifacts.
    fn artifact() -> Artifact<Self>;
    /// Adds whose it is, and a status that its checks and errors agree with.
    fn stamp(&mut self, origin: Origin);
}

/// Whose a contract is. All of it is in `run.json`, and the same for every attempt: an artifact that told
/// of an attempt would differ once a run was killed and gone on with.
pub(super) struct Origin {
    pub(super) task_id: TaskId,
    pub(super) run_id: RunId,
    pub(super) run_created_at: Timestamp,
}

/// Stages it as an output of the step, stamped.
pub(super) fn write<T: Contract>(s: &StepContext, mut value: T) -> Result<(), StepError> {
    let run = s.context().run()?;
    value.stamp(Origin {
        task_id: s.context().task_id().clone(),
        run_id: s.context().run_id().clone(),
        run_created_at: run.genesis().created_at,
    });
    Ok(s.write(T::artifact(), &value)?)
}

/// Reads it as an input of the step.
pub(super) fn read<T: Contract>(s: &StepContext) -> Result<T, ContractError> {
    let name = ArtifactName::from(T::artifact());
    let bytes = s.read_bytes(&name)?;
    parse(&s.context().artifact_path(&name), &bytes)
}

/// The version first: what else a newer one says may not even have the shape of this one.
pub(super) fn parse<T: Contract>(path: &Utf8Path, bytes: &[u8]) -> Result<T, ContractError> {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default = "this_version")]
        schema_version: u32,
    }
    // A list would read as a struct, too.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        let source = serde::de::Error::custom("it does not begin with a brace");
        return Err(ArtifactError::Json { path: path.to_owned(), source }.into());
    }
    let json = |source| ArtifactError::Json { path: Utf8PathBuf::from(path), source };
    let found = serde_json::from_slice::<Versioned>(bytes).map_err(json)?.schema_version;
    if found > SCHEMA_VERSION {
        let (path, supported) = (path.to_owned(), SCHEMA_VERSION);
        return Err(ContractError::NewerSchema { path, found, supported });
    }
    Ok(serde_json::from_slice(bytes).map_err(json)?)
}

/// The version of what does not say one.
pub(super) fn this_version() -> u32 {
    SCHEMA_VERSION
}

/// Reads the one version there is, so that no other way of reading takes a newer one for it.
pub(super) fn only_this_version<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let found = u32::deserialize(from)?;
    if found == SCHEMA_VERSION {
        return Ok(found);
    }
    let reads = format!("schema version {found}, and this runjournal reads {SCHEMA_VERSION}");
    Err(serde::de::Error::custom(reads))
}

/// Figures by name.
pub(super) type Metrics = BTreeMap<String, f64>;

/// Writes whole numbers without a point, and refuses what JSON has no word for.
pub(super) fn write_metrics<S: Serializer>(metrics: &Metrics, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Number {
        Whole(i64),
        Real(f64),
    }
    /// All whole numbers up to here are doubles.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = |(name, value): (&String, &f64)| {
        if !value.is_finite() {
            let reason = format!("the metric {name:?} is {value}, which is no number in JSON");
            return Err(serde::ser::Error::custom(reason));
        }
        let whole = value.fract() == 0.0 && value.abs() <= EXACT;
        let number = if whole { Number::Whole(*value as i64) } else { Number::Real(*value) };
        Ok((name.clone(), number))
    };
    let numbers = metrics.iter().map(number).collect::<Result<BTreeMap<_, _>, _>>()?;
    numbers.serialize(to)
}
