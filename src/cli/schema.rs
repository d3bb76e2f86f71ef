//! `tidegate schema`: prints the JSON Schema of plans or of the status, or the definition of the CanaryPlan resource.

use clap::Args;

use super::{DONE, Failure, terminal, terminal::say};

/// Print the JSON Schema of plans, for editors
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Print the schema of `tidegate status -o json` instead
    #[arg(long)]
    status: bool,
    /// Print the definition of the CanaryPlan resource instead, for kubectl
    #[arg(long, conflicts_with = "status")]
    crd: bool,
}

impl Schema {
    pub(super) fn run(self) -> Result<u8, Failure> {
        if self.crd {
            terminal::write(&crate::plan::to_yaml(&crate::cluster::canaryplan_definition()));
            return Ok(DONE);
        }
        let schema = if self.status { crate::reconcile::status_schema() } else { crate::plan::schema() };
        say!("{schema:#}");
        Ok(DONE)
    }
}
