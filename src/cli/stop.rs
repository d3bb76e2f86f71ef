//! `tidegate stop`: the break glass. It writes the stop annotation, which can only lower.

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use futures::{
    StreamExt as _,
    future::join_all,
    stream::{self, FuturesUnordered},
};
use serde_json::Value;

use crate::{
    cluster::{self, Outcome, Published, Role},
    istio::{Change, Edit, ObjectKind, lens},
    plan::ObjectKey,
    rollout::{Journal, OWNER, STOP, is_ours},
};

use super::{
    DONE, Failure, UNREACHED,
    fleet::{FleetArgs, Meant, Place},
    named, terminal,
    terminal::say,
};

const TRIES: usize = 5;
/// Once a cluster has the plan, the others are given so long to show whether another plan has that name: nothing that
/// falls silent may hold up a stop.
const GRACE: Duration = Duration::from_secs(1);

/// Stop a plan without Git: traffic goes to the way-back state, and nothing rises while the annotation stands
#[derive(Debug, Args)]
pub(super) struct Stop {
    /// The plan: `namespace/name`, or a name that only one plan has
    plan: String,
    /// Who stops it, and why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    clusters: FleetArgs,
}

impl Stop {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let Meant { repositories, places } = self.clusters.meant().await?;
        let several = repositories.is_some();
        // Plans do not go to remotes.
        let primaries = places.into_iter().filter(|(role, _)| *role == Role::Primary);
        let mut looks: FuturesUnordered<_> =
            primaries.map(|(_, place)| async { Seen::of(place.await).await }).collect();
        let count = looks.len().max(1);
        let mut early = Vec::new();
        while let Some(seen) = looks.next().await {
            let has_it = seen.called(&self.plan).next().is_some();
            early.push(seen);
            if has_it {
                break;
            }
        }
        let rest = async {
            while let Some(seen) = looks.next().await {
                early.push(seen);
            }
        };
        // Whoever has not answered by then is stopped once it does.
        let _ = tokio::time::timeout(GRACE, rest).await;
        let Some(chosen) = Chosen::of(&early, &self.plan)? else { return Err(self.nobody(&early, several).await) };
        let stops = stream::iter(early).chain(looks).map(|seen| seen.stop(&chosen, &self));
        let mut stops = stops.buffer_unordered(count);
        let (mut code, mut done) = (DONE, BTreeSet::new());
        while let Some((cluster, stopped)) = stops.next().await {
            for stopped in stopped {
                match stopped {
                    Ok(Some(key)) => {
                        let at = if several { format!("cluster {cluster}: ") } else { String::new() };
                        say!("{at}stopped {}: VirtualService {key} carries {STOP}", self.plan);
                        done.insert(key);
                    }
                    Ok(None) => {}
                    Err(why) => {
                        code = UNREACHED;
                        eprintln!("error: {}", terminal::plain(&why));
                    }
                }
            }
        }
        if done.is_empty() && code == DONE {
            return Err(self.not_live());
        }
        if !done.is_empty() {
            say!("tidegate takes it off once Git asks for what traffic went back to");
        }
        for ObjectKey { namespace, name } in &done {
            let each = if several { ", in each cluster" } else { "" };
            say!(
                "by hand, for the next commit to rise: kubectl -n {namespace} annotate virtualservice {name} {STOP}-{each}"
            );
        }
        Ok(code)
    }

    /// None of these clusters has it.
    async fn nobody(&self, seen: &[Seen], several: bool) -> Failure {
        let unread: Vec<String> = seen.iter().filter_map(|seen| seen.routes.as_ref().err().cloned()).collect();
        if unread.is_empty() {
            let known = seen.iter().filter_map(|seen| seen.place.client.as_ref().ok()).map(cluster::canaryplans);
            let is_meant = |resource: &Value| {
                lens::annotation(resource, OWNER).is_some_and(|owner| is_called(&self.plan, plan_of(owner)))
            };
            // It is followed, and has no objects.
            let has_it =
                |known: &Published<Vec<Value>>| matches!(known, Published::Done(all) if all.iter().any(is_meant));
            if join_all(known).await.iter().any(has_it) {
                return self.not_live();
            }
        }
        named::nobody(&self.plan, several, &unread)
    }

    fn not_live(&self) -> Failure {
        Failure::unreached(anyhow::anyhow!(
            "there is no VirtualService of plan {}: nothing of the plan is live",
            self.plan
        ))
    }
}

/// A cluster, and tidegate's routes in it.
struct Seen {
    place: Place,
    /// `Err`: why they are not known, in words that name the cluster.
    routes: Result<Vec<Route>, String>,
}

/// A VirtualService that tidegate manages for a plan which has not been let go there.
struct Route {
    key: ObjectKey,
    /// `repository/namespace/name`; none where the object does not say.
    owner: Option<String>,
}

/// What is to be stopped.
struct Chosen {
    owner: Option<String>,
    keys: BTreeSet<ObjectKey>,
}

impl Route {
    fn of(live: &Value) -> Option<Self> {
        let metadata = |field: &str| live.get("metadata")?.get(field)?.as_str().map(str::to_owned);
        let key = ObjectKey { namespace: metadata("namespace")?, name: metadata("name")? };
        // A journal that cannot be read holds nothing up: the annotation can only lower.
        let journal = Journal::on(live).and_then(Result::ok);
        if !is_ours(live) || journal.as_ref().is_some_and(Journal::is_let_go) {
            return None;
        }
        let owner = journal.map(|journal| journal.owner.to_string());
        Some(Self { key, owner: owner.or_else(|| lens::annotation(live, OWNER).map(str::to_owned)) })
    }

    /// The plan's `namespace/name`, or the route's where the object names no plan.
    fn plan(&self) -> String {
        self.owner.as_deref().map_or_else(|| self.key.to_string(), |owner| plan_of(owner).to_owned())
    }
}

impl Chosen {
    /// The one plan that is called so; none: there is none.
    fn of(seen: &[Seen], wanted: &str) -> Result<Option<Self>, Failure> {
        let found = || seen.iter().flat_map(|seen| seen.called(wanted));
        let owners: BTreeSet<&String> = found().filter_map(|route| route.owner.as_ref()).collect();
        let keys: BTreeSet<ObjectKey> = found().map(|route| route.key.clone()).collect();
        let names: Vec<String> = if owners.is_empty() {
            keys.iter().map(ToString::to_string).collect()
        } else {
            owners.iter().map(ToString::to_string).collect()
        };
        match names.len() {
            0 => Ok(None),
            1 => Ok(Some(Self { owner: owners.first().map(ToString::to_string), keys })),
            _ => Err(named::ambiguous(wanted, &names)),
        }
    }

    fn has(&self, route: &Route) -> bool {
        match (&self.owner, &route.owner) {
            (Some(one), Some(other)) => one == other,
            _ => self.keys.contains(&route.key),
        }
    }
}

impl Seen {
    async fn of(place: Place) -> Self {
        let routes = match &place.client {
            Ok(client) => cluster::routes(client).await.map_err(|error| error.to_string()),
            Err(why) => Err(format!("cluster {}: {why}", place.member.name)),
        };
        Self { place, routes: routes.map(|all| all.iter().filter_map(Route::of).collect()) }
    }

    fn called<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a Route> {
        self.routes.iter().flatten().filter(move |route| is_called(wanted, &route.plan()))
    }

    /// Annotates the plan's VirtualServices. Returns the cluster, and of each whether it is still there.
    async fn stop(self, chosen: &Chosen, args: &Stop) -> (String, Vec<Result<Option<ObjectKey>, String>>) {
        let name = self.place.member.name.clone();
        let stopped = match (&self.place.client, &self.routes) {
            (Ok(client), Ok(routes)) => {
                let other = routes.iter().find(|route| !chosen.has(route) && is_called(&args.plan, &route.plan()));
                let meant = routes.iter().filter(|route| chosen.has(route));
                let mut stopped = join_all(meant.map(|route| annotate(client, &route.key, &args.reason))).await;
                if let Some(Route { key, owner }) = other {
                    let owner = owner.as_deref().unwrap_or("nobody");
                    stopped.push(Err(format!(
                        "cluster {name}: VirtualService {key} is of another plan of that name, {owner}, and is not stopped"
                    )));
                }
                stopped
            }
            (Err(why), _) | (_, Err(why)) => vec![Err(why.clone())],
        };
        (name, stopped)
    }
}

/// `namespace/name` of an owner.
fn plan_of(owner: &str) -> &str {
    owner.split_once('/').map_or(owner, |(_, plan)| plan)
}

fn is_called(wanted: &str, plan: &str) -> bool {
    plan.split_once('/').is_some_and(|(namespace, name)| named::is_called(wanted, namespace, name))
}

/// Annotates a VirtualService. Returns its key; none where it is there no more, or the plan's no more.
///
/// # Errors
/// Why it cannot be annotated, in words that name the cluster.
async fn annotate(cluster: &cluster::Cluster, key: &ObjectKey, reason: &str) -> Result<Option<ObjectKey>, String> {
    let mut refused = String::new();
    for _ in 0..TRIES {
        let live = cluster::look(cluster, ObjectKind::VirtualService, key).await.map_err(|error| error.to_string())?;
        let ours = live.as_ref().filter(|live| Route::of(live).is_some());
        let Some(edit) = ours.and_then(|live| annotation(key, live, reason)) else { return Ok(None) };
        match cluster::write(cluster, &edit, false).await {
            Outcome::Applied(_) => return Ok(Some(key.clone())),
            Outcome::Stale | Outcome::Withheld => refused = "it changes faster than it can be annotated".to_owned(),
            Outcome::Rejected { message, .. } | Outcome::Unknown { message } | Outcome::Unsent { message } => {
                refused = message;
            }
        }
    }
    Err(format!("cluster {}: cannot annotate VirtualService {key}: {refused}", cluster.name()))
}

/// The edit that sets the annotation on the object as it was seen.
fn annotation(key: &ObjectKey, live: &Value, reason: &str) -> Option<Edit> {
    let mut meant = live.clone();
    let annotations =
        meant.get_mut("metadata")?.as_object_mut()?.entry("annotations").or_insert_with(|| serde_json::json!({}));
    annotations.as_object_mut()?.insert(STOP.to_owned(), reason.into());
    let patch = serde_json::json!([
        {"op": "test", "path": "/metadata/uid", "value": lens::uid(live)?},
        {"op": "test", "path": "/metadata/resourceVersion", "value": lens::resource_version(live)?},
        {"op": "add", "path": "/metadata/annotations", "value": annotations.clone()},
    ]);
    let patch = serde_json::from_value(patch).ok()?;
    let kind = ObjectKind::VirtualService;
    Some(Edit { kind, key: key.clone(), change: Change::Patch { patch, meant } })
}
