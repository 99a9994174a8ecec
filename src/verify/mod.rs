//! Verify: everything held against everything, by reading alone.
use crate::context::RunContext;
use crate::finding::Finding;
use crate::workspace::{Task, Workspace};
/// x
#[derive(Debug, Clone)]
pub struct Verify;
/// x
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ReadData {
    /// x
    All,
}
/// x
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// x
    #[error("x")]
    X,
}
/// x
#[derive(Debug)]
pub struct Verified {
    /// x
    pub findings: Vec<Finding>,
}
impl Verify {
    /// x
    pub fn workspace(_: &Workspace) -> Self {
        Self
    }
    /// x
    pub fn task(_: &Task) -> Self {
        Self
    }
    /// x
    pub fn run(_: &RunContext) -> Self {
        Self
    }
    /// x
    pub fn read_data(self, _: ReadData) -> Self {
        self
    }
}
impl Verify {
    /// x
    /// # Errors
    /// x
    pub fn go(self) -> Result<Verified, VerifyError> {
        Ok(Verified { findings: vec![] })
    }
}
