//! Reads how plans stand from the clusters themselves: their objects, and CanaryPlan resources where they have them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::anyhow;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    cluster::{self, Cluster, Published},
    istio::{ObjectKind, lens, live_shares},
    plan::{Known, ObjectKey},
    reconcile::{ClusterReport, Position, ReadFrom, Standing, Still, status_list},
    rollout::{ClusterName, Journal, OWNER},
};

use super::{
    Failure,
    fleet::{Fleet, Place},
    picture::Picture,
};

impl Picture {
    /// Reads the objects of all of them, and the resources: those tell of plans without objects.
    ///
    /// # Errors
    /// Where the one cluster, or none of several, answers.
    pub(super) async fn read(fleet: &Fleet) -> Result<Self, Failure> {
        let resources = join_all(fleet.primaries().map(resources));
        let (snapshots, resources) = tokio::join!(fleet.snapshots(), resources);
        let now = Timestamp::now();
        let mut still = Still::new(HashSet::new(), now);
        let mut unread = BTreeMap::new();
        for (place, snapshot) in fleet.places.iter().zip(&snapshots) {
            let Place { member, client } = place;
            match (client, snapshot) {
                (Ok(client), Ok(snapshot)) => still.see(client, member.mesh.as_deref(), snapshot),
                (Err(why), _) | (_, Err(why)) => {
                    still.miss(&member.name, now);
                    unread.insert(member.name.clone(), why.clone());
                }
            }
        }
        if let Some(why) = fleet.primaries().map(|place| unread.get(&place.member.name)).min().flatten() {
            return Err(Failure::unreached(anyhow!("{why}")));
        }
        let mut read = Read { still: &still, now, items: Vec::new(), repositories: BTreeMap::new() };
        let mut owners = HashSet::new();
        let mut routes: BTreeMap<&ObjectKey, BTreeSet<ClusterName>> = BTreeMap::new();
        for place in fleet.primaries() {
            for (key, _, owner) in still.routes(&place.member.name) {
                owners.insert(owner.to_owned());
                routes.entry(key).or_default().insert(place.member.name.clone());
            }
        }
        let known = fleet.known();
        routes.into_iter().for_each(|(key, there)| read.route(key, there, &known));
        let mut findings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (place, resources) in fleet.primaries().zip(&resources) {
            for resource in resources {
                let repository = resource.pointer("/status/repository");
                let text = |field: &str| repository.and_then(|one| one.get(field)).and_then(Value::as_str);
                let (Some(name), Some(branch)) = (text("name"), text("branch")) else { continue };
                read.repositories.insert(name.to_owned(), branch.to_owned());
                let known = findings.entry(name.to_owned()).or_default();
                let found = resource.pointer("/status/findings").and_then(Value::as_array);
                for found in found.into_iter().flatten().map(finding) {
                    if !fleet.is_several() || !known.contains(&found) {
                        known.push(found);
                    }
                }
                if lens::annotation(resource, OWNER).is_some_and(|owner| !owners.contains(owner)) {
                    read.items.extend(without_objects(&place.member.name, name, resource));
                }
            }
        }
        let Read { mut items, repositories, .. } = read;
        let place = |item: &Value| {
            ["namespace", "name"].map(|field| item.get(field).and_then(Value::as_str).map(str::to_owned))
        };
        items.sort_by_key(place);
        let repositories = repositories.into_iter().map(|(name, branch)| {
            let findings = findings.remove(&name).unwrap_or_default();
            json!({"name": name, "branch": branch, "revision": null, "lastLook": null, "error": null, "findings": findings})
        });
        let from = match fleet.places.first() {
            Some(place) if !fleet.is_several() => ReadFrom::One(&place.member.name),
            _ => ReadFrom::Several(fleet.places.iter().map(|place| report(place, &unread)).collect()),
        };
        Self::of(status_list(from, items, repositories.collect()))
    }
}

/// What has been read so far.
struct Read<'a> {
    still: &'a Still<'a>,
    now: Timestamp,
    items: Vec<Value>,
    /// Their branches.
    repositories: BTreeMap<String, String>,
}

impl Read<'_> {
    /// Reads one route: where it is, and where its plan is for.
    fn route(&mut self, key: &ObjectKey, there: BTreeSet<ClusterName>, known: &Known) {
        let live = |cluster: &str| self.still.object(cluster, ObjectKind::VirtualService, key);
        let journal = |cluster: &str| live(cluster).as_deref().and_then(Journal::on).and_then(Result::ok);
        let journals = || there.iter().filter_map(|cluster| journal(cluster));
        // Where it was let go, the plan is as it was then.
        let journaled = journals().find(|journal| !journal.is_let_go()).or_else(|| journals().next());
        let chosen = journaled.as_ref().map(|journal| journal.plan.clusters.of(known));
        let meant = chosen.filter(|chosen| !chosen.is_empty()).unwrap_or_else(|| there.clone());
        let decision = self.still.outlook(key, None, &meant, self.now);
        let mut items = Vec::new();
        for cluster in meant.union(&there) {
            let (live, journal) = (live(cluster), journal(cluster));
            let routing = journal.as_ref().map(|journal| journal.state.routing.clone());
            let traffic = live.zip(routing).and_then(|(live, routing)| live_shares(&live, &routing).traffic);
            let position = journal.as_ref().map(Position::of);
            let way_back_ready = position.as_ref().map(|position| self.still.way_back_left(cluster, position));
            let standing = Standing {
                cluster,
                owner: journal.as_ref().or(journaled.as_ref()).map(|journal| &journal.owner),
                route: key,
                plan: None,
                position: position.as_ref(),
                live: traffic.as_ref(),
                way_back_ready: way_back_ready.as_ref(),
                reason: Some(&decision.reason),
                restoring: None,
                next: decision.reason.until().or(decision.wake_at),
                leaves: !meant.contains(cluster),
            };
            items.push(standing.json());
            if let Some(journal) = &journal {
                let branch = journal.revision.branch.clone();
                self.repositories.entry(journal.owner.repository.clone()).or_insert(branch);
            }
        }
        self.items.extend(items);
    }
}

/// The CanaryPlan resources of a cluster; one without them, or an account without the right, knows less.
async fn resources(place: &Place) -> Vec<Value> {
    let Ok(client) = &place.client else { return Vec::new() };
    if let Published::Done(resources) = cluster::canaryplans(client).await { resources } else { Vec::new() }
}

/// How a cluster stands, as far as whoever has just asked it can tell.
fn report(place: &Place, unread: &BTreeMap<ClusterName, String>) -> ClusterReport {
    let Place { member, client } = place;
    let away = unread.get(&member.name).cloned();
    let answer = client.as_ref().ok().and_then(Cluster::answered_in);
    ClusterReport {
        name: member.name.clone(),
        labels: member.labels.clone(),
        mesh: member.mesh.clone(),
        role: member.role,
        synced: away.is_none(),
        // It was asked just now, and nobody knows since when.
        away_since: None,
        away,
        answer_ms: answer.and_then(|answer| u64::try_from(answer.as_millis()).ok()),
        asking: Default::default(),
        requests: BTreeMap::new(),
        events_dropped: 0,
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
    let reason = json!({"name": says("reason"), "message": says("message"), "needsAPerson": needs, "cluster": null});
    let route = status.get("virtualService").and_then(Value::as_str).map(str::to_owned);
    Some(json!({
        "cluster": cluster,
        "namespace": namespace,
        "name": name,
        "repository": repository,
        "virtualService": route.unwrap_or_else(|| format!("{namespace}/{name}")),
        "phase": "Unknown",
        "step": null,
        "risen": null,
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
        "leaves": false,
    }))
}

/// A finding as `repositories` has it.
fn finding(found: &Value) -> Value {
    let fields = ["code", "severity", "file", "message"];
    let fields = fields.map(|field| (field.to_owned(), found.get(field).cloned().unwrap_or_default()));
    Value::Object(Map::from_iter(fields))
}
