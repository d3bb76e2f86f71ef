//! `tidegate diff`: the edits that would be made now, as a unified diff, after a server-side dry run.

use std::{collections::BTreeSet, collections::HashSet, sync::Arc, time::Duration};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cluster::{self, Applied, Cluster, Outcome},
    git::{Reader, Sight},
    istio::{self, Change, Edit, Marks, ObjectKind, Owned},
    plan::{Allow, Catalog, Entry, ObjectKey, PlainObject, Severity},
    reconcile::{Still, plans},
    rollout::{Apply, Goal, MANAGED_BY, OWNER, Owner, Reason, State, Wanted},
};

use super::{
    DONE, FINDINGS, Failure, UNREACHED,
    access::{ClusterArgs, RepositoryArgs},
    terminal,
};

/// Show the edits that would be made now, as a unified diff
#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Show the edits that lead to the target at once, past all steps
    #[arg(long)]
    target: bool,
}

impl Diff {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let source = self.repository.source(Duration::from_secs(60))?;
        let (name, branch) = (source.name.clone(), source.branch.clone());
        let cluster = self.cluster.connect().await?;
        let folder = tempfile::Builder::new().prefix("tidegate-").tempdir()?;
        let mut catalog = Catalog::new();
        let mut reader = Reader::open(source, folder.path()).map_err(Failure::unread)?;
        match reader.see().map_err(Failure::unread)? {
            Sight::Moved(snapshot) => {
                plans::take(&mut catalog, &branch, &snapshot, &Allow::default());
            }
            Sight::Refused(refused) => {
                let hint = Some(refused.hint());
                return Err(Failure { code: FINDINGS, error: anyhow::anyhow!("{refused}"), hint });
            }
            Sight::Unchanged { .. } | Sight::BranchGone | Sight::Empty => {}
        }
        let mut code = DONE;
        let sound = catalog.findings().all(|finding| finding.severity != Severity::Error);
        for finding in catalog.findings() {
            eprintln!("{}", crate::plan::render(finding, None, terminal::colored_errors()));
            if finding.severity == Severity::Error {
                code = FINDINGS;
            }
        }
        let snapshot = cluster::snapshot(&cluster).await.map_err(Failure::unreached)?;
        let now = Timestamp::now();
        let owner = |entry: &Entry| Owner { repository: name.clone(), plan: entry.plan.key.clone() };
        let living: HashSet<String> = catalog.entries().map(|(_, entry)| owner(entry).to_string()).collect();
        let still = Still::new(cluster.name(), &snapshot, living, cluster.clock_offset_ms().map(|ahead| -ahead), now);
        let gone =
            still.routes().filter(|(key, _, of)| of.starts_with(&format!("{name}/")) && catalog.entry(key).is_none());
        let gone: BTreeSet<ObjectKey> = gone.map(|(key, ..)| key.clone()).collect();
        let keys: BTreeSet<ObjectKey> = catalog.entries().map(|(key, _)| key.clone()).chain(gone).collect();
        for object in catalog.plain_objects() {
            code = code.max(show_plain(&cluster, object).await?);
        }
        for key in keys {
            let wanted = match catalog.entry(&key) {
                Some(entry) => Wanted::Plan {
                    plan: entry.plan.clone(),
                    revision: entry.revision.clone(),
                    owner: owner(entry),
                    newer_invalid: entry.newer_invalid,
                },
                None if sound => Wanted::Removed {
                    revision: crate::plan::Revision { branch: branch.clone(), commit: "0".repeat(40) },
                    elsewhere: false,
                },
                None => Wanted::Unknown,
            };
            let decision = still.outlook(&key, Some(wanted), now);
            if decision.reason.needs_a_person() {
                eprintln!("{key}: {}", terminal::plain(&decision.reason.to_string()));
            }
            for goal in decision.goals.values() {
                for edit in self.edits(&still, &key, goal) {
                    code = code.max(show(&cluster, &still, &edit).await?);
                }
            }
            if matches!(decision.reason, Reason::Away { .. }) {
                code = UNREACHED;
            }
        }
        Ok(code)
    }

    /// The edits of both objects that lead to the goal, without the journal.
    fn edits(&self, still: &Still<'_>, key: &ObjectKey, goal: &Goal) -> Vec<Edit> {
        let route = still.object(ObjectKind::VirtualService, key);
        let apply = match goal {
            Goal::Keep => return Vec::new(),
            Goal::Prune => {
                let route = route.and_then(|live| istio::delete_edit(ObjectKind::VirtualService, &live));
                return route.into_iter().collect();
            }
            // Somebody's change that stands is not put back.
            Goal::Apply(apply) if apply.leave && !self.target => return Vec::new(),
            Goal::Apply(apply) => apply,
        };
        let Apply { journal, subsets, .. } = apply;
        let state = if self.target {
            State { traffic: journal.plan.traffic.clone(), routing: std::sync::Arc::new(journal.plan.routing.clone()) }
        } else {
            journal.state.clone()
        };
        let rule = ObjectKey { name: state.routing.destination_rule.name.clone(), ..key.clone() };
        let rule = still.object(ObjectKind::DestinationRule, &rule);
        let marks = Marks {
            labels: [(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into(),
            annotations: [(OWNER.to_owned(), Some(journal.owner.to_string()))].into(),
        };
        // Nothing is owned here: what may be removed later is not part of what is due now.
        let owned = Owned { subsets: BTreeSet::new(), traffic_policy: journal.owns_traffic_policy };
        let rule = istio::destinations_edit(rule.as_deref(), &state.routing, subsets, &owned, &marks);
        let route = istio::route_edit(route.as_deref(), &state.routing, &state.traffic, &marks);
        rule.into_iter().chain(route).collect()
    }
}

/// Prints one edit as the API server would carry it out.
async fn show(cluster: &Cluster, still: &Still<'_>, edit: &Edit) -> Result<u8, Failure> {
    let before = still.object(edit.kind, &edit.key);
    let meant = match &edit.change {
        Change::Create(object) => Some(object.clone()),
        Change::Patch { meant, .. } => Some(meant.clone()),
        Change::Delete { .. } => None,
    };
    let label = format!("{}/{}/{}", edit.kind.plural(), edit.key.namespace, edit.key.name);
    let after = match cluster::write(cluster, edit, true).await {
        Outcome::Applied(answer) => answer.map(Arc::unwrap_or_clone),
        Outcome::Rejected { message, .. } => {
            eprintln!("{label}: the API server would refuse this: {}", terminal::plain(&message));
            meant
        }
        Outcome::Stale | Outcome::Withheld => meant,
        Outcome::Unknown { message } | Outcome::Unsent { message } => {
            return Err(Failure::unreached(anyhow::anyhow!("{label}: {message}")));
        }
    };
    Ok(print(before.as_deref(), after.as_ref(), &label))
}

/// Prints what applying a plain object would change.
async fn show_plain(cluster: &Cluster, object: &PlainObject) -> Result<u8, Failure> {
    let label = format!("{}/{}/{}", object.kind.to_lowercase(), object.key.namespace, object.key.name);
    let before = cluster::look_plain(cluster, &object.value).await.map_err(Failure::unreached)?;
    let after = match cluster::apply(cluster, &object.value, true).await {
        Applied::Applied(answer) => answer,
        Applied::Conflict { message, .. } | Applied::Rejected { message, .. } => {
            eprintln!("{label}: the API server would refuse this: {}", terminal::plain(&message));
            object.value.clone()
        }
        Applied::Unknown { message } => return Err(Failure::unreached(anyhow::anyhow!("{label}: {message}"))),
    };
    Ok(print(before.as_ref(), Some(&after), &label))
}

/// Prints the difference, if there is one, and returns the exit code.
fn print(before: Option<&Value>, after: Option<&Value>, label: &str) -> u8 {
    let text = istio::unified(before, after, label, crate::plan::to_yaml);
    if text.is_empty() {
        return DONE;
    }
    terminal::write(&text);
    FINDINGS
}
