//! What is live in the cluster that `check` was given, or in each of those of a configuration.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::try_join_all;

use crate::{
    cluster::{self, Census, Member, Role},
    plan::Known,
    reconcile::inspect::{Elsewhere, Surroundings},
};

use super::{Failure, access::ClusterArgs, fleet};

/// What is live.
pub(super) struct Live {
    /// By cluster; one of nothing where none was named.
    pub(super) clusters: BTreeMap<String, Surroundings>,
    /// The clusters that plans may go to, where they are known.
    pub(super) known: Option<Known>,
    /// What could not be listed.
    pub(super) gaps: Vec<String>,
}

impl Live {
    /// Of nothing, or of one cluster, to which all plans go.
    pub(super) async fn one(named: &ClusterArgs) -> Result<Self, Failure> {
        let (mut live, mut gaps) = (Surroundings::default(), Vec::new());
        if named.context.is_some() || named.kubeconfig.is_some() {
            let cluster = named.connect().await?;
            let census = cluster::census(&cluster, Role::Primary).await.map_err(Failure::unreached)?;
            gaps = census.gaps;
            live = Surroundings { objects: census.objects, known: census.known, ..live };
        }
        Ok(Self { clusters: BTreeMap::from([(String::new(), live)]), known: None, gaps })
    }

    /// Of all clusters of a configuration: those that plans go to, each with the others of its mesh.
    pub(super) async fn of(members: &[Member]) -> Result<Self, Failure> {
        let censuses = try_join_all(members.iter().map(list)).await?;
        let primaries = || members.iter().filter(|member| member.role == Role::Primary);
        let known: Known = primaries().map(|member| (member.name.clone(), member.labels.clone())).collect();
        let gaps = censuses.iter().flat_map(|census| census.gaps.clone()).collect();
        let all = members.iter().zip(censuses).map(|(member, census)| {
            let is_remote = member.role == Role::Remote;
            let Census { objects, known, .. } = census;
            (member, Arc::new(Elsewhere { cluster: member.name.clone(), is_remote, objects, known }))
        });
        let all: Vec<(&Member, Arc<Elsewhere>)> = all.collect();
        let of = |(member, own): &(&Member, Arc<Elsewhere>)| {
            let shares =
                |other: &Member| other.mesh.is_some() && other.mesh == member.mesh && other.name != member.name;
            let beyond = all.iter().filter(|(other, _)| shares(other)).map(|(_, there)| there.clone()).collect();
            let (objects, listed) = (own.objects.clone(), own.known);
            let live =
                Surroundings { objects, known: listed, beyond, only: Some((member.name.clone(), known.clone())) };
            (member.name.clone(), live)
        };
        let clusters = all.iter().filter(|(member, _)| member.role == Role::Primary).map(of).collect();
        Ok(Self { clusters, known: Some(known), gaps })
    }
}

async fn list(member: &Member) -> Result<Census, Failure> {
    let cluster = fleet::reach(member).await?;
    cluster::census(&cluster, member.role).await.map_err(Failure::unreached)
}
