//! `tidegate stop`: the break glass. It writes the stop annotation, which can only lower.

use clap::Args;

use crate::{
    cluster::{self, Outcome},
    istio::{Change, Edit, ObjectKind, lens},
    plan::ObjectKey,
    rollout::STOP,
};

use super::{DONE, Failure, access::ClusterArgs, picture::Picture, terminal::say};

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
    cluster: ClusterArgs,
}

impl Stop {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let cluster = self.cluster.connect().await?;
        let key = Picture::read(&cluster).await?.find(&self.plan)?.route();
        let mut refused = String::new();
        for _ in 0..TRIES {
            let live = cluster::look(&cluster, ObjectKind::VirtualService, &key).await.map_err(Failure::unreached)?;
            let Some(edit) = live.as_ref().and_then(|live| annotate(&key, live, &self.reason)) else {
                return Err(Failure::unreached(anyhow::anyhow!(
                    "there is no VirtualService {key}: nothing of the plan is live"
                )));
            };
            match cluster::write(&cluster, &edit, false).await {
                Outcome::Applied(_) => {
                    say!("stopped {}: VirtualService {key} carries {STOP}", self.plan);
                    say!("tidegate takes it off once Git asks for what traffic went back to");
                    say!(
                        "by hand, for the next commit to rise: kubectl -n {} annotate virtualservice {} {STOP}-",
                        key.namespace,
                        key.name
                    );
                    return Ok(DONE);
                }
                Outcome::Stale | Outcome::Withheld => refused = "it changes faster than it can be annotated".to_owned(),
                Outcome::Rejected { message, .. } | Outcome::Unknown { message } | Outcome::Unsent { message } => {
                    refused = message
                }
            }
        }
        Err(Failure::unreached(anyhow::anyhow!("cannot annotate VirtualService {key}: {refused}")))
    }
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
