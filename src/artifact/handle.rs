//! The name of an artifact together with the type of its content.

use std::fmt;
use std::marker::PhantomData;

use crate::name::ArtifactName;

/// An artifact that holds a `T` as JSON. Usually a constant, shared by the node that writes it and
/// those that read it.
///
/// ```
/// use runjournal::Artifact;
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Plan { steps: Vec<String> }
/// const PLAN: Artifact<Plan> = Artifact::json("plan.json"); // a bad name does not compile
/// # assert_eq!(PLAN.name().as_str(), "plan.json");
/// ```
pub struct Artifact<T> {
    name: ArtifactName,
    holds: PhantomData<fn() -> T>,
}

impl<T> Artifact<T> {
    /// JSON in canonical form under a name known when the program is built.
    ///
    /// # Panics
    /// On a bad name; in a `const`, where it belongs, that is an error of the compiler.
    #[must_use]
    pub const fn json(name: &'static str) -> Self {
        Self { name: ArtifactName::from_static(name), holds: PhantomData }
    }

    /// The same under a name that is known only when the program runs.
    #[must_use]
    pub const fn named(name: ArtifactName) -> Self {
        Self { name, holds: PhantomData }
    }

    /// The name alone.
    #[must_use]
    pub const fn name(&self) -> &ArtifactName {
        &self.name
    }
}

impl<T> Clone for Artifact<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), holds: PhantomData }
    }
}

impl<T> fmt::Debug for Artifact<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Artifact({})", self.name)
    }
}

impl<T> From<Artifact<T>> for ArtifactName {
    fn from(artifact: Artifact<T>) -> Self {
        artifact.name
    }
}

impl<T> From<&Artifact<T>> for ArtifactName {
    fn from(artifact: &Artifact<T>) -> Self {
        artifact.name.clone()
    }
}

impl From<&ArtifactName> for ArtifactName {
    fn from(name: &ArtifactName) -> Self {
        name.clone()
    }
}
