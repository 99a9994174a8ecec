//! What a flow runs: a closure, a program, a role.

use crate::program::Program;
use crate::status::RunStatus;
use crate::step::{StepContext, StepResult};

/// A node of a flow: it reads artifacts, works, writes artifacts, and returns a signal that routes. Any
/// `|s: &StepContext| ...` is one; so is a [`Program`].
pub trait Node: Send + Sync {
    /// Does the work, once per visit of the flow. What it wrote is committed with the signal, whole or
    /// not at all.
    ///
    /// # Errors
    /// Whatever kept it from its work: the attempt fails, and nothing that it staged is committed.
    fn run(&self, s: &StepContext) -> StepResult;

    /// The state that the run is in meanwhile.
    fn phase(&self) -> RunStatus {
        RunStatus::Executing
    }

    /// The program, where the node is nothing else: only [`Program`] can say so.
    #[doc(hidden)]
    fn program(&self, _: sealed::OnlyPrograms) -> Option<&Program> {
        None
    }
}

mod sealed {
    /// Has no name outside, so that nobody else can answer to it.
    #[derive(Debug, Clone, Copy)]
    pub struct OnlyPrograms(());

    impl OnlyPrograms {
        pub(crate) const ASKED: Self = Self(());
    }
}

/// The program that a node is, if it is nothing else.
pub(crate) fn program_of(node: &dyn Node) -> Option<&Program> {
    node.program(sealed::OnlyPrograms::ASKED)
}

impl<F: Fn(&StepContext) -> StepResult + Send + Sync> Node for F {
    fn run(&self, s: &StepContext) -> StepResult {
        self(s)
    }
}

impl Node for Program {
    fn run(&self, s: &StepContext) -> StepResult {
        Self::run(self, s)
    }

    fn program(&self, _: sealed::OnlyPrograms) -> Option<&Program> {
        Some(self)
    }
}
