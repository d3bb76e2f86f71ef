//! What is known of all plans: from the clusters' objects and CanaryPlan resources, or from a running tidegate.

use std::{collections::BTreeMap, time::Duration};

use anyhow::anyhow;
use futures::AsyncReadExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{cluster::Role, plan::Traffic, rollout::ImageChange};

use super::{
    Failure,
    fleet::{Fleet, FleetArgs},
    named,
};

const SERVER_DEADLINE: Duration = Duration::from_secs(10);
/// 10,000 plans are about 10 MB.
const SERVER_BYTES_MAX: u64 = 128 << 20;

/// The document of `status -o json`, and what is shown of it.
pub(super) struct Picture {
    pub(super) document: Value,
    pub(super) plans: Vec<Item>,
    /// The clusters, in their order; none where one alone was read.
    pub(super) clusters: Vec<Site>,
    /// Who leads; none where there is one process, or none was asked.
    pub(super) lease: Option<Lead>,
}

/// How one cluster stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) mesh: Option<String>,
    /// A tidegate of an older version does not tell it: then it knows no other.
    pub(super) role: Option<String>,
    pub(super) away: Option<String>,
    pub(super) away_since: Option<Timestamp>,
}

/// Who holds the lease.
#[derive(Debug, Deserialize)]
pub(super) struct Lead {
    pub(super) holder: Option<String>,
    pub(super) term: Option<u64>,
}

/// How one plan stands, as an item of the document says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) cluster: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) repository: Option<String>,
    pub(super) phase: String,
    pub(super) step: Option<Step>,
    /// A tidegate of an older version does not tell it.
    pub(super) risen: Option<Risen>,
    pub(super) target: Option<Traffic>,
    pub(super) live: Option<Traffic>,
    pub(super) revision: Option<String>,
    pub(super) reason: Option<Why>,
    pub(super) next: Option<Timestamp>,
    /// Nor this.
    pub(super) wave: Option<Wave>,
    /// Nor this.
    pub(super) images_changed: Option<BTreeMap<String, ImageChange>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) name: Option<String>,
    pub(super) weight: u8,
}

/// Percent that the versions which rise have in the cluster.
#[derive(Debug, Deserialize)]
pub(super) struct Risen {
    pub(super) weight: u8,
}

/// How many waves of clusters have the position.
#[derive(Debug, Deserialize)]
pub(super) struct Wave {
    pub(super) reached: usize,
    pub(super) of: usize,
    pub(super) here: bool,
}

/// Why a plan stands where it stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Why {
    pub(super) name: String,
    pub(super) message: String,
    pub(super) needs_a_person: bool,
    /// The cluster that it names. A tidegate of an older version does not tell it.
    pub(super) cluster: Option<String>,
}

impl Site {
    /// Whether plans do not go to it.
    pub(super) fn is_remote(&self) -> bool {
        self.role.as_deref() == Some(Role::Remote.name())
    }
}

impl Picture {
    /// # Errors
    /// Where it is none that this version can read.
    pub(super) fn of(document: Value) -> Result<Self, Failure> {
        let refused = |error| Failure::unreached(anyhow!("the status is none that this version can read: {error}"));
        let part = |field: &str| document.get(field);
        let plans = Vec::deserialize(part("plans").unwrap_or(&Value::Null)).map_err(refused)?;
        let clusters = part("clusters").map_or(Ok(Vec::new()), Vec::deserialize).map_err(refused)?;
        let lease = part("lease").map_or(Ok(None), Option::deserialize).map_err(refused)?;
        Ok(Self { plans, clusters, lease, document })
    }

    /// Asks a running tidegate.
    pub(super) async fn ask(server: &http::Uri) -> Result<Self, Failure> {
        let failed = |why: String| Failure::unreached(anyhow!("cannot read {server}status: {why}"));
        let client =
            kube::Client::try_from(kube::Config::new(server.clone())).map_err(|error| failed(error.to_string()))?;
        let request = http::Request::get("/status").body(Vec::new()).map_err(|error| failed(error.to_string()))?;
        let answer = async {
            let stream = client.request_stream(request).await.map_err(|error| failed(error.to_string()))?;
            let mut bytes = Vec::new();
            let mut stream = std::pin::pin!(stream.take(SERVER_BYTES_MAX));
            stream.read_to_end(&mut bytes).await.map_err(|error| failed(error.to_string()))?;
            Ok::<_, Failure>(bytes)
        };
        let answer = tokio::time::timeout(SERVER_DEADLINE, answer).await;
        let bytes = answer.map_err(|_| failed(format!("no answer in {SERVER_DEADLINE:?}")))??;
        Self::of(serde_json::from_slice(&bytes).map_err(|error| failed(format!("it is no status: {error}")))?)
    }

    /// What is shown where there is no plan.
    pub(super) fn nothing(&self) -> String {
        format!("no plan is applied in {}\n", named::place(self.clusters.len() > 1))
    }

    /// When it was so.
    pub(super) fn at(&self) -> Timestamp {
        let at = self.document.get("at").and_then(|at| Timestamp::deserialize(at).ok());
        at.unwrap_or_else(Timestamp::now)
    }

    /// Leaves the plans of one namespace.
    pub(super) fn of_namespace(mut self, namespace: &str) -> Self {
        self.plans.retain(|plan| plan.namespace == namespace);
        if let Some(plans) = self.document.get_mut("plans").and_then(Value::as_array_mut) {
            plans.retain(|plan| plan.get("namespace").and_then(Value::as_str) == Some(namespace));
        }
        self
    }
}

/// Which tidegate is asked, or which clusters are.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct From {
    #[command(flatten)]
    clusters: FleetArgs,
    /// Ask a running tidegate by its address, e.g. http://127.0.0.1:8080, instead of the clusters
    #[arg(long, value_name = "URL", conflicts_with_all = ["kubeconfig", "context", "config"])]
    server: Option<http::Uri>,
}

/// Clusters or a server that can be asked again and again.
pub(super) enum Asked {
    Clusters(Fleet),
    Server(http::Uri),
}

impl From {
    pub(super) async fn connect(self) -> Result<Asked, Failure> {
        Ok(match self.server {
            Some(server) => Asked::Server(server),
            None => Asked::Clusters(self.clusters.connect().await?),
        })
    }
}

impl Asked {
    /// Whether any of the clusters that were read themselves did not answer.
    pub(super) fn has_missed(&self, picture: &Picture) -> bool {
        matches!(self, Self::Clusters(_)) && picture.clusters.iter().any(|site| site.away.is_some())
    }

    /// The plan of that name: `namespace/name`, or a name that only one plan has.
    pub(super) fn find<'a>(&self, picture: &'a Picture, wanted: &str) -> Result<&'a Item, Failure> {
        let found = || picture.plans.iter().filter(|plan| named::is_called(wanted, &plan.namespace, &plan.name));
        let mut names: Vec<String> = found()
            .map(|plan| {
                let repository = plan.repository.as_deref().map_or_else(String::new, |name| format!("{name}/"));
                format!("{repository}{}/{}", plan.namespace, plan.name)
            })
            .collect();
        names.dedup();
        match found().next() {
            Some(one) if names.len() == 1 => Ok(one),
            Some(_) => Err(named::ambiguous(wanted, &names)),
            None => {
                // A running tidegate knows the plans of a cluster that is away.
                let read =
                    picture.clusters.iter().filter(|site| matches!(self, Self::Clusters(_)) && !site.is_remote());
                let unread = read.filter_map(|site| Some(format!("cluster {}: {}", site.name, site.away.as_ref()?)));
                Err(named::nobody(wanted, picture.clusters.len() > 1, &unread.collect::<Vec<_>>()))
            }
        }
    }

    pub(super) async fn picture(&self) -> Result<Picture, Failure> {
        match self {
            Self::Clusters(fleet) => Picture::read(fleet).await,
            Self::Server(server) => Picture::ask(server).await,
        }
    }
}
