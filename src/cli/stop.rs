//! `tidegate stop`: the break glass. It writes the stop annotation, which can only lower.

use clap::Args;
use futures::future::join_all;

use crate::{
    cluster::{self, Outcome},
    istio::{Change, Edit, ObjectKind, lens},
    plan::ObjectKey,
    rollout::STOP,
};

use super::{
    DONE, Failure, UNREACHED,
    fleet::{FleetArgs, Place},
    picture::Picture,
    terminal,
    terminal::say,
};

const TRIES: usize = 5;

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
        let fleet = self.clusters.connect().await?;
        let picture = Picture::read(&fleet).await?;
        let key = picture.find(&self.plan)?.route();
        let is_there =
            |place: &&Place| picture.plans.iter().any(|item| item.cluster == place.member.name && item.route() == key);
        let places: Vec<&Place> = fleet.primaries().filter(is_there).collect();
        let stopped = join_all(places.iter().map(|place| stop(place, &key, &self.reason))).await;
        let at = |place: &Place| {
            if fleet.is_several() { format!("cluster {}: ", place.member.name) } else { String::new() }
        };
        let (mut code, mut done) = (DONE, false);
        for (place, stopped) in places.iter().zip(stopped) {
            match stopped {
                Ok(true) => {
                    done = true;
                    say!("{}stopped {}: VirtualService {key} carries {STOP}", at(place), self.plan);
                }
                Ok(false) => {}
                Err(why) => {
                    code = UNREACHED;
                    eprintln!("error: {}{}", at(place), terminal::plain(&why));
                }
            }
        }
        if done {
            let ObjectKey { namespace, name } = &key;
            let each = if fleet.is_several() { ", in each cluster" } else { "" };
            say!("tidegate takes it off once Git asks for what traffic went back to");
            say!(
                "by hand, for the next commit to rise: kubectl -n {namespace} annotate virtualservice {name} {STOP}-{each}"
            );
        } else if code == DONE {
            let error = anyhow::anyhow!("there is no VirtualService {key}: nothing of the plan is live");
            return Err(Failure::unreached(error));
        }
        Ok(code)
    }
}

/// Annotates the VirtualService of one cluster. Returns whether it is there.
///
/// # Errors
/// Why it cannot be annotated.
async fn stop(place: &Place, key: &ObjectKey, reason: &str) -> Result<bool, String> {
    let cluster = place.client.as_ref().map_err(Clone::clone)?;
    let mut refused = String::new();
    for _ in 0..TRIES {
        let live = cluster::look(cluster, ObjectKind::VirtualService, key).await.map_err(|error| error.to_string())?;
        let Some(edit) = live.as_ref().and_then(|live| annotate(key, live, reason)) else { return Ok(false) };
        match cluster::write(cluster, &edit, false).await {
            Outcome::Applied(_) => return Ok(true),
            Outcome::Stale | Outcome::Withheld => refused = "it changes faster than it can be annotated".to_owned(),
            Outcome::Rejected { message, .. } | Outcome::Unknown { message } | Outcome::Unsent { message } => {
                refused = message;
            }
        }
    }
    Err(format!("cannot annotate VirtualService {key}: {refused}"))
}

/// The edit that sets the annotation on the object as it was seen.
fn annotate(key: &ObjectKey, live: &serde_json::Value, reason: &str) -> Option<Edit> {
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
