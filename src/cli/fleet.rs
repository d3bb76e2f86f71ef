//! The clusters that a command looks at: one, or all those of a configuration file.

use std::path::PathBuf;

use clap::Args;
use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};

use crate::{
    cluster::{self, Cluster, Member, Role, Snapshot},
    config::Repository,
    plan::Known,
};

use super::{Failure, access::ClusterArgs, configuration};

/// Which cluster, or which clusters.
#[derive(Clone, Debug, Args)]
pub(super) struct FleetArgs {
    /// File with the clusters, as `run` takes it: all of them are asked, at once
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kubeconfig", "context"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// One or several clusters.
pub(super) struct Fleet {
    /// What a configuration file lists; none where no file names the clusters.
    pub(super) repositories: Option<Vec<Repository>>,
    /// In the file's order.
    pub(super) places: Vec<Place>,
}

/// The same before there are clients.
pub(super) struct Meant {
    pub(super) repositories: Option<Vec<Repository>>,
    /// In the file's order.
    pub(super) places: Vec<(Role, BoxFuture<'static, Place>)>,
}

/// One of them.
pub(super) struct Place {
    /// As the file has it.
    pub(super) member: Member,
    /// A client; `Err`: why there can be none.
    pub(super) client: Result<Cluster, String>,
}

impl FleetArgs {
    /// Builds the clients; no API server is asked anything yet. One that is named alone has to be named rightly, one of
    /// several that cannot be reached is told beside the others.
    pub(super) async fn connect(&self) -> Result<Fleet, Failure> {
        let Meant { repositories, places } = self.meant().await?;
        Ok(Fleet { repositories, places: join_all(places.into_iter().map(|(_, place)| place)).await })
    }

    /// The clusters, whose clients are built one beside the other.
    pub(super) async fn meant(&self) -> Result<Meant, Failure> {
        let Some(file) = &self.config else {
            let (access, cluster) = self.cluster.reach().await?;
            let (name, labels) = (cluster.name().to_owned(), Default::default());
            let member =
                Member { name, labels, access, mesh: None, role: Role::Primary, writes_max: None, proxies: None };
            let place = Place { member, client: Ok(cluster) };
            return Ok(Meant { repositories: None, places: vec![(Role::Primary, std::future::ready(place).boxed())] });
        };
        let file = configuration::File::open(file.clone())?;
        let place = |member: Member| (member.role, Place::of(member).boxed());
        Ok(Meant { repositories: Some(file.repositories), places: file.members.into_iter().map(place).collect() })
    }
}

impl Place {
    async fn of(member: Member) -> Self {
        let client = reach(&member).await.map_err(|failure| format!("{:#}", failure.error));
        Self { member, client }
    }
}

impl Fleet {
    /// Whether a file names the clusters: then what is said of one names it.
    pub(super) fn is_several(&self) -> bool {
        self.repositories.is_some()
    }

    /// The clusters that plans go to.
    pub(super) fn primaries(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.member.role == Role::Primary)
    }

    /// The same, by which plans choose.
    pub(super) fn known(&self) -> Known {
        self.primaries().map(|place| (place.member.name.clone(), place.member.labels.clone())).collect()
    }

    /// Reads all of them at once; of one that does not answer, why.
    pub(super) async fn snapshots(&self) -> Vec<Result<Snapshot, String>> {
        let one = async |place: &Place| {
            let cluster = place.client.clone()?;
            cluster::snapshot(&cluster, place.member.role).await.map_err(|error| error.to_string())
        };
        join_all(self.places.iter().map(one)).await
    }
}

/// A client of a cluster of a configuration.
pub(super) async fn reach(member: &Member) -> Result<Cluster, Failure> {
    Cluster::connect(&member.name, &member.access).await.map_err(|error| {
        let hint = error.hint();
        Failure::usage(error, hint)
    })
}
