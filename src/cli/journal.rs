//! Finds the journal of one plan in a cluster.

use std::collections::HashSet;

use anyhow::anyhow;
use jiff::Timestamp;

use crate::{
    cluster::{self, Cluster, Role},
    plan::PlanKey,
    reconcile::Still,
    rollout::{Journal, Owner},
};

use super::Failure;

/// The journal of the plan; none where the cluster has no object of it.
pub(super) async fn journal(cluster: &Cluster, repository: &str, plan: &PlanKey) -> Result<Option<Journal>, Failure> {
    let snapshot = cluster::snapshot(cluster, Role::Primary).await.map_err(Failure::unreached)?;
    let mut still = Still::new(HashSet::new(), Timestamp::now());
    still.see(cluster, None, &snapshot);
    let owner = Owner { repository: repository.to_owned(), plan: plan.clone() }.to_string();
    let mut other = None;
    for (key, live, of) in still.routes(cluster.name()) {
        if of == owner {
            let read = Journal::on(live).transpose();
            return read.map_err(|error| Failure::unreached(anyhow!("VirtualService {key}: {error}")));
        }
        if let Some((repository, name)) = of.split_once('/')
            && name == plan.to_string()
        {
            other = Some(repository.to_owned());
        }
    }
    let Some(other) = other else { return Ok(None) };
    Err(Failure::usage(
        anyhow!("the plan {plan} of cluster {} belongs to the repository {other}, not to {repository}", cluster.name()),
        format!("if that is how it is called there, say --repo-name {other}"),
    ))
}
