//! `tidegate diff`: the edits that would be made now, as a unified diff, after a server-side dry run.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cluster::{self, Applied, Cluster, Outcome, Role},
    git::{Reader, Sight},
    istio::{self, Change, Edit, Marks, ObjectKind, Owned},
    plan::{Catalog, Entry, ObjectKey, PlainObject, Severity},
    reconcile::{Still, plans},
    rollout::{Apply, ClusterName, Goal, MANAGED_BY, OWNER, Owner, Reason, State, Wanted},
};

use super::{DONE, FINDINGS, Failure, UNREACHED, access::RepositoryArgs, fleet::FleetArgs, listed, terminal};

/// Show the edits that would be made now, as a unified diff
#[derive(Debug, Args)]
#[command(mut_arg("repo", |arg| arg.required(false).required_unless_present("config")))]
pub(super) struct Diff {
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    clusters: FleetArgs,
    /// Show the edits that lead to the target at once, past all steps
    #[arg(long)]
    target: bool,
}

impl Diff {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let fleet = self.clusters.connect().await?;
        let known = fleet.known();
        let mut catalog = Catalog::new();
        if fleet.is_several() {
            catalog.know(known.clone());
        }
        let written = fleet.repositories.as_deref().unwrap_or_default();
        let (source, allow) = listed::chosen(&self.repository, written, Duration::from_secs(60))?;
        let (name, branch) = (source.name.clone(), source.branch.clone());
        let folder = tempfile::Builder::new().prefix("tidegate-").tempdir()?;
        let mut reader = Reader::open(source, folder.path()).map_err(Failure::unread)?;
        match reader.see().map_err(Failure::unread)? {
            Sight::Moved(snapshot) => {
                plans::take(&mut catalog, &branch, &snapshot, &allow);
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
        let snapshots = fleet.snapshots().await;
        let now = Timestamp::now();
        let owner = |entry: &Entry| Owner { repository: name.clone(), plan: entry.plan.key.clone() };
        let living: HashSet<String> = catalog.entries().map(|(_, entry)| owner(entry).to_string()).collect();
        let mut still = Still::new(living, now);
        let mut shown = BTreeMap::new();
        for (place, snapshot) in fleet.places.iter().zip(&snapshots) {
            match (&place.client, snapshot) {
                (Ok(cluster), Ok(snapshot)) => {
                    still.see(cluster, place.member.mesh.as_deref(), snapshot);
                    if place.member.role == Role::Primary {
                        let there = There { cluster, is_named: fleet.is_several() };
                        shown.insert(place.member.name.as_str(), there);
                    }
                }
                (Err(why), _) | (_, Err(why)) if fleet.is_several() => {
                    still.miss(&place.member.name, now);
                    eprintln!("error: {}", terminal::plain(why));
                    code = UNREACHED;
                }
                (Err(why), _) | (_, Err(why)) => return Err(Failure::unreached(anyhow::anyhow!("{why}"))),
            }
        }
        let meant = |entry: &Entry| match fleet.is_several() {
            true => entry.plan.clusters.of(&known),
            false => known.keys().cloned().collect(),
        };
        let mut routes: BTreeMap<ObjectKey, BTreeSet<ClusterName>> =
            catalog.entries().map(|(key, entry)| (key.clone(), meant(entry))).collect();
        for cluster in shown.keys() {
            let gone = still
                .routes(cluster)
                .filter(|(key, _, of)| of.starts_with(&format!("{name}/")) && catalog.entry(key).is_none());
            for (key, ..) in gone {
                routes.entry(key.clone()).or_default().insert((*cluster).to_owned());
            }
        }
        for object in catalog.plain_objects() {
            for there in shown.values() {
                code = code.max(there.show_plain(object).await);
            }
        }
        for (key, clusters) in &routes {
            let wanted = match catalog.entry(key) {
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
            let decision = still.outlook(key, Some(wanted), clusters, now);
            if decision.reason.needs_a_person() || matches!(decision.reason, Reason::Away { .. }) {
                eprintln!("{key}: {}", terminal::plain(&decision.reason.to_string()));
            }
            for (cluster, goal) in &decision.goals {
                let Some(there) = shown.get(cluster.as_str()) else { continue };
                for edit in self.edits(&still, cluster, key, goal) {
                    code = code.max(there.show(&still, &edit).await);
                }
            }
        }
        Ok(code)
    }

    /// The edits of both objects that lead to the goal, without the journal.
    fn edits(&self, still: &Still<'_>, cluster: &str, key: &ObjectKey, goal: &Goal) -> Vec<Edit> {
        let route = still.object(cluster, ObjectKind::VirtualService, key);
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
        let rule = still.object(cluster, ObjectKind::DestinationRule, &rule);
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

/// A cluster that answered.
struct There<'a> {
    cluster: &'a Cluster,
    /// Whether each of its edits says that it is its.
    is_named: bool,
}

impl There<'_> {
    /// Prints one edit as the API server would carry it out, and returns the exit code.
    async fn show(&self, still: &Still<'_>, edit: &Edit) -> u8 {
        let before = still.object(self.cluster.name(), edit.kind, &edit.key);
        let meant = match &edit.change {
            Change::Create(object) => Some(object.clone()),
            Change::Patch { meant, .. } => Some(meant.clone()),
            Change::Delete { .. } => None,
        };
        let label = format!("{}/{}/{}", edit.kind.plural(), edit.key.namespace, edit.key.name);
        let after = match cluster::write(self.cluster, edit, true).await {
            Outcome::Applied(answer) => answer.map(Arc::unwrap_or_clone),
            Outcome::Rejected { message, .. } => {
                self.refused(&label, &message);
                meant
            }
            Outcome::Stale | Outcome::Withheld => meant,
            Outcome::Unknown { message } | Outcome::Unsent { message } => return self.unreached(&label, &message),
        };
        self.print(before.as_deref(), after.as_ref(), &label)
    }

    /// The same of what applying a plain object would change.
    async fn show_plain(&self, object: &PlainObject) -> u8 {
        let label = format!("{}/{}/{}", object.kind.to_lowercase(), object.key.namespace, object.key.name);
        let before = match cluster::look_plain(self.cluster, &object.value).await {
            Ok(before) => before,
            Err(error) => return self.unreached(&label, &error.to_string()),
        };
        let after = match cluster::apply(self.cluster, &object.value, true).await {
            Applied::Applied(answer) => answer,
            Applied::Conflict { message, .. } | Applied::Rejected { message, .. } => {
                self.refused(&label, &message);
                object.value.clone()
            }
            Applied::Unknown { message } => return self.unreached(&label, &message),
        };
        self.print(before.as_ref(), Some(&after), &label)
    }

    /// `cluster east: `, where that has to be said.
    fn place(&self) -> String {
        if self.is_named { format!("cluster {}: ", self.cluster.name()) } else { String::new() }
    }

    fn refused(&self, label: &str, message: &str) {
        eprintln!("{}{label}: the API server would refuse this: {}", self.place(), terminal::plain(message));
    }

    fn unreached(&self, label: &str, message: &str) -> u8 {
        eprintln!("error: {}{label}: {}", self.place(), terminal::plain(message));
        UNREACHED
    }

    /// Prints the difference, if there is one.
    fn print(&self, before: Option<&Value>, after: Option<&Value>, label: &str) -> u8 {
        let text = istio::unified(before, after, label, crate::plan::to_yaml);
        if text.is_empty() {
            return DONE;
        }
        let head = if self.is_named { format!("cluster {}\n", self.cluster.name()) } else { String::new() };
        terminal::write(&(head + &text));
        FINDINGS
    }
}
