//! What is known of all plans: from the cluster's objects and CanaryPlan resources, or from a running tidegate.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use anyhow::anyhow;
use futures::AsyncReadExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    cluster::{self, Cluster, Published},
    istio::{lens, live_shares},
    plan::{ObjectKey, Traffic},
    reconcile::{Position, Standing, Still, status_list},
    rollout::{ImageChange, Journal, OWNER},
};

use super::{Failure, access::ClusterArgs};

const SERVER_DEADLINE: Duration = Duration::from_secs(10);
/// 10,000 plans are about 10 MB.
const SERVER_BYTES_MAX: u64 = 128 << 20;

/// The document of `status -o json`, and its plans.
pub(super) struct Picture {
    pub(super) document: Value,
    pub(super) plans: Vec<Item>,
}

/// How one plan stands, as an item of the document says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) cluster: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) repository: Option<String>,
    pub(super) virtual_service: String,
    pub(super) phase: String,
    pub(super) step: Option<Step>,
    pub(super) target: Option<Traffic>,
    pub(super) live: Option<Traffic>,
    pub(super) revision: Option<String>,
    pub(super) reason: Option<Why>,
    pub(super) next: Option<Timestamp>,
    /// A tidegate of an older version does not tell it.
    pub(super) wave: Option<Wave>,
    /// Nor this.
    pub(super) images_changed: Option<BTreeMap<String, ImageChange>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) name: Option<String>,
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
}

impl Item {
    /// The VirtualService.
    pub(super) fn route(&self) -> ObjectKey {
        let (namespace, name) = self.virtual_service.split_once('/').unwrap_or((&self.namespace, &self.name));
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl Picture {
    fn of(document: Value) -> Result<Self, Failure> {
        let plans = document.get("plans").cloned().unwrap_or_default();
        let plans = serde_json::from_value(plans)
            .map_err(|error| Failure::unreached(anyhow!("the status is none that this version can read: {error}")))?;
        Ok(Self { document, plans })
    }

    /// Reads the objects of a cluster, and its CanaryPlan resources where it has them: those tell of plans without objects.
    pub(super) async fn read(cluster: &Cluster) -> Result<Self, Failure> {
        let (snapshot, resources) = tokio::join!(cluster::snapshot(cluster), cluster::canaryplans(cluster));
        let snapshot = snapshot.map_err(Failure::unreached)?;
        // A cluster without them, or an account without the right, knows less.
        let resources = if let Published::Done(resources) = resources { resources } else { Vec::new() };
        let now = Timestamp::now();
        let offset = cluster.clock_offset_ms().map(|ahead| -ahead);
        let still = Still::new(cluster.name(), &snapshot, HashSet::new(), offset, now);
        let mut known = HashSet::new();
        let mut repositories = BTreeMap::new();
        let mut items = Vec::new();
        for (key, live, owner) in still.routes() {
            let decision = still.outlook(key, None, now);
            let journal = Journal::on(live).and_then(Result::ok);
            let routing = journal.as_ref().map(|journal| journal.state.routing.clone());
            let traffic = routing.and_then(|routing| live_shares(live, &routing).traffic);
            let position = journal.as_ref().map(Position::of);
            let way_back_ready = position.as_ref().map(|position| still.way_back_left(position));
            let standing = Standing {
                cluster: cluster.name(),
                owner: journal.as_ref().map(|journal| &journal.owner),
                route: key,
                plan: None,
                position: position.as_ref(),
                live: traffic.as_ref(),
                way_back_ready: way_back_ready.as_ref(),
                reason: Some(&decision.reason),
                restoring: None,
                next: decision.reason.until().or(decision.wake_at),
                leaves: false,
            };
            items.push(standing.json());
            known.insert(owner.to_owned());
            if let Some(journal) = &journal {
                repositories.entry(journal.owner.repository.clone()).or_insert(journal.revision.branch.clone());
            }
        }
        let mut findings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for resource in &resources {
            let repository = resource.pointer("/status/repository");
            let text = |field: &str| repository.and_then(|one| one.get(field)).and_then(Value::as_str);
            let (Some(name), Some(branch)) = (text("name"), text("branch")) else { continue };
            repositories.insert(name.to_owned(), branch.to_owned());
            let found = resource.pointer("/status/findings").and_then(Value::as_array);
            findings.entry(name.to_owned()).or_default().extend(found.into_iter().flatten().map(finding));
            if lens::annotation(resource, OWNER).is_some_and(|owner| !known.contains(owner)) {
                items.extend(without_objects(cluster.name(), name, resource));
            }
        }
        let place = |item: &Value| {
            ["namespace", "name"].map(|field| item.get(field).and_then(Value::as_str).map(str::to_owned))
        };
        items.sort_by_key(place);
        let repositories = repositories.into_iter().map(|(name, branch)| {
            let findings = findings.remove(&name).unwrap_or_default();
            json!({"name": name, "branch": branch, "revision": null, "lastLook": null, "error": null, "findings": findings})
        });
        Self::of(status_list(cluster.name(), items, repositories.collect()))
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

    /// Leaves the plans of one namespace.
    pub(super) fn of_namespace(mut self, namespace: &str) -> Self {
        self.plans.retain(|plan| plan.namespace == namespace);
        if let Some(plans) = self.document.get_mut("plans").and_then(Value::as_array_mut) {
            plans.retain(|plan| plan.get("namespace").and_then(Value::as_str) == Some(namespace));
        }
        self
    }

    /// The plan of that name: `namespace/name`, or a name that only one plan has.
    pub(super) fn find(&self, wanted: &str) -> Result<&Item, Failure> {
        let matches = |plan: &&Item| match wanted.split_once('/') {
            Some((namespace, name)) => plan.namespace == namespace && plan.name == name,
            None => plan.name == wanted,
        };
        let found: Vec<&Item> = self.plans.iter().filter(matches).collect();
        let mut names: Vec<String> = found
            .iter()
            .map(|plan| {
                let repository = plan.repository.as_deref().map_or_else(String::new, |name| format!("{name}/"));
                format!("{repository}{}/{}", plan.namespace, plan.name)
            })
            .collect();
        names.dedup();
        match (found.first(), names.len()) {
            (Some(one), 1) => Ok(one),
            (None, _) => Err(Failure::usage(
                anyhow!("no plan `{wanted}` is applied in this cluster"),
                "`tidegate status` lists the plans; what keeps another one out is said by `tidegate run --once`",
            )),
            (_, several) => Err(Failure::usage(
                anyhow!("`{wanted}` is the name of {several} plans"),
                format!("write one as namespace/name: {}", names.join(", ")),
            )),
        }
    }
}

/// Which tidegate or cluster is asked.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct From {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Ask a running tidegate by its address, e.g. http://127.0.0.1:8080, instead of the cluster
    #[arg(long, value_name = "URL", conflicts_with_all = ["kubeconfig", "context"])]
    server: Option<http::Uri>,
}

/// A cluster or server that can be asked again and again.
pub(super) enum Asked {
    Cluster(Cluster),
    Server(http::Uri),
}

impl From {
    pub(super) async fn connect(self) -> Result<Asked, Failure> {
        Ok(match self.server {
            Some(server) => Asked::Server(server),
            None => Asked::Cluster(self.cluster.connect().await?),
        })
    }
}

impl Asked {
    pub(super) async fn picture(&self) -> Result<Picture, Failure> {
        match self {
            Self::Cluster(cluster) => Picture::read(cluster).await,
            Self::Server(server) => Picture::ask(server).await,
        }
    }
}

/// The item of a plan that has no objects: what its resource says.
fn without_objects(cluster: &str, repository: &str, resource: &Value) -> Option<Value> {
    let metadata = |field: &str| resource.pointer("/metadata")?.get(field)?.as_str();
    let (namespace, name) = (metadata("namespace")?, metadata("name")?);
    let status = resource.get("status")?;
    let conditions = status.get("conditions").and_then(Value::as_array);
    let condition = |kind: &str| conditions?.iter().find(|one| one.get("type").and_then(Value::as_str) == Some(kind));
    let stalled = condition("Stalled");
    let part = |field: &str| status.get(field).cloned().unwrap_or_default();
    let says = |field: &str| stalled.and_then(|condition| condition.get(field)).cloned().unwrap_or_default();
    let needs = says("status") == "True";
    let reason = json!({"name": says("reason"), "message": says("message"), "needsAPerson": needs});
    let route = status.get("virtualService").and_then(Value::as_str).map(str::to_owned);
    Some(json!({
        "cluster": cluster,
        "namespace": namespace,
        "name": name,
        "repository": repository,
        "virtualService": route.unwrap_or_else(|| format!("{namespace}/{name}")),
        "phase": "Unknown",
        "step": null,
        "target": part("target"),
        "desired": null,
        "live": null,
        "revision": part("revision"),
        "reason": if stalled.is_some() { reason } else { Value::Null },
        "next": part("nextTransition"),
        "entered": null,
        "converged": null,
        "wayBackReady": null,
        "wave": null,
        "imagesChanged": null,
        "restore": null,
    }))
}

/// A finding as `repositories` has it.
fn finding(found: &Value) -> Value {
    let fields = ["code", "severity", "file", "message"];
    let fields = fields.map(|field| (field.to_owned(), found.get(field).cloned().unwrap_or_default()));
    Value::Object(Map::from_iter(fields))
}
