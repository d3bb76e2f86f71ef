//! `tidegate schema`: prints the JSON Schema of plans, or of the status.

use clap::Args;

use super::{DONE, Failure, terminal::say};

/// Print the JSON Schema of plans, for editors
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Print the schema of `tidegate status -o json` instead
    #[arg(long)]
    status: bool,
}

impl Schema {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let schema = if self.status { crate::reconcile::status_schema() } else { crate::plan::schema() };
        say!("{schema:#}");
        Ok(DONE)
    }
}
