//! `tidegate why`: one sentence on why a plan stands where it stands.

use clap::Args;

use super::{DONE, FINDINGS, Failure, access::ClusterArgs, status, terminal, terminal::say};

/// Say in one sentence why a plan stands where it stands
#[derive(Debug, Args)]
pub(super) struct Why {
    /// The plan: `namespace/name`, or a name that only one plan has
    plan: String,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl Why {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let cluster = self.cluster.connect().await?;
        let plans = status::read(&cluster).await?;
        let found = find(&plans, &self.plan)?;
        let (namespace, name) = found.plan();
        say!("{namespace}/{name}: {}", terminal::plain(&found.reason.to_string()));
        Ok(if found.reason.needs_a_person() { FINDINGS } else { DONE })
    }
}

/// The plan of that name.
pub(super) fn find<'a>(plans: &'a [status::PlanStatus], wanted: &str) -> Result<&'a status::PlanStatus, Failure> {
    let matches = |plan: &&status::PlanStatus| {
        let (namespace, name) = plan.plan();
        match wanted.split_once('/') {
            Some((wanted_namespace, wanted)) => namespace == wanted_namespace && name == wanted,
            None => name == wanted,
        }
    };
    let found: Vec<&status::PlanStatus> = plans.iter().filter(matches).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let error = anyhow::anyhow!("no plan `{wanted}` is applied in this cluster");
            Err(Failure::usage(
                error,
                "`tidegate status` lists the plans; what keeps another one out is said by `tidegate run --once`",
            ))
        }
        several => {
            let names = several.iter().map(|plan| plan.owner.clone()).collect::<Vec<_>>().join(", ");
            let error = anyhow::anyhow!("`{wanted}` is the name of {} plans", several.len());
            Err(Failure::usage(error, format!("write one as namespace/name: {names}")))
        }
    }
}
