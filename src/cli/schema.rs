//! `tidegate schema`: prints the JSON Schema of plans, of the configuration, of the status or of a history, or the definition of the CanaryPlan resource.

use clap::Args;

use super::{DONE, Failure, terminal, terminal::say};

/// Print the JSON Schema of plans, for editors
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Print the schema of `tidegate status -o json` instead
    #[arg(long)]
    status: bool,
    /// Print the schema of `tidegate history -o json` instead
    #[arg(long, conflicts_with = "status")]
    history: bool,
    /// Print the schema of the configuration file instead
    #[arg(long, conflicts_with_all = ["status", "history"])]
    config: bool,
    /// Print the definition of the CanaryPlan resource instead, for kubectl
    #[arg(long, conflicts_with_all = ["status", "history", "config"])]
    crd: bool,
}

impl Schema {
    pub(super) fn run(self) -> Result<u8, Failure> {
        if self.crd {
            terminal::write(&crate::plan::to_yaml(&crate::cluster::canaryplan_definition()));
            return Ok(DONE);
        }
        let schema = match (self.status, self.history) {
            (true, _) => crate::reconcile::status_schema(),
            (_, true) => crate::reconcile::history::history_schema(),
            _ if self.config => crate::config::schema(),
            _ => crate::plan::schema(),
        };
        say!("{schema:#}");
        Ok(DONE)
    }
}
