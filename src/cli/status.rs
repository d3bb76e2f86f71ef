//! `tidegate status`: where every plan stands, from the objects alone.

use std::{collections::HashSet, time::Duration};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    cluster::{self, Cluster},
    istio::live_shares,
    plan::{ObjectKey, Traffic},
    reconcile::Still,
    rollout::{Journal, Phase},
};

use super::{DONE, Failure, access::ClusterArgs, terminal};

const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// Show where every plan stands
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Only plans of this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", value_parser = ["table", "wide", "json", "yaml"], default_value = "table")]
    output: String,
    /// Show it again whenever it changes, until interrupted
    #[arg(short, long)]
    watch: bool,
}

impl Status {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let cluster = self.cluster.connect().await?;
        let mut shown = String::new();
        loop {
            let plans = read(&cluster).await?;
            let plans: Vec<PlanStatus> = plans
                .into_iter()
                .filter(|plan| self.namespace.as_ref().is_none_or(|namespace| plan.key.namespace == *namespace))
                .collect();
            let text = match self.output.as_str() {
                "json" => format!("{:#}\n", list(cluster.name(), &plans)),
                "yaml" => crate::plan::to_yaml(&list(cluster.name(), &plans)),
                output => table(&plans, output == "wide"),
            };
            if text != shown {
                terminal::write(&text);
                shown = text;
            }
            if !self.watch {
                return Ok(DONE);
            }
            tokio::select! {
                () = tokio::time::sleep(WATCH_PAUSE) => {}
                _ = tokio::signal::ctrl_c() => return Ok(DONE),
            }
        }
    }
}

/// Where one plan stands.
pub(super) struct PlanStatus {
    /// The VirtualService.
    pub(super) key: ObjectKey,
    /// `repository/namespace/name`.
    pub(super) owner: String,
    /// One word.
    pub(super) phase: &'static str,
    /// A stable name for the reason.
    pub(super) reason: &'static str,
    /// One sentence.
    pub(super) message: String,
    /// Whether somebody has to do something before it can go on.
    pub(super) needs_a_person: bool,
    journal: Option<Journal>,
    live: Option<Traffic>,
    next: Option<Timestamp>,
}

/// Reads every plan of a cluster.
pub(super) async fn read(cluster: &Cluster) -> Result<Vec<PlanStatus>, Failure> {
    let snapshot = cluster::snapshot(cluster).await.map_err(Failure::unreached)?;
    let now = Timestamp::now();
    let offset = cluster.clock_offset_ms().map(|ahead| -ahead);
    let still = Still::new(cluster.name(), &snapshot, HashSet::new(), offset, now);
    let of = |key: &ObjectKey, live: &Value, owner: &str| {
        let decision = still.outlook(key, None, now);
        let journal = Journal::on(live).and_then(Result::ok);
        let routing = journal.as_ref().map(|journal| journal.state.routing.clone());
        let traffic = routing.and_then(|routing| live_shares(live, &routing).traffic);
        // What this decision would do has not happened: the journal on the object is what was reached.
        let phase = journal.as_ref().map_or("Unknown", |journal| journal.phase.name());
        PlanStatus {
            key: key.clone(),
            owner: owner.to_owned(),
            phase,
            reason: decision.reason.name(),
            message: decision.reason.to_string(),
            needs_a_person: decision.reason.needs_a_person(),
            journal,
            live: traffic,
            next: decision.reason.until().or(decision.wake_at),
        }
    };
    Ok(still.routes().map(|(key, live, owner)| of(key, live, owner)).collect())
}

impl PlanStatus {
    /// The plan's namespace and name as the journal has them, else the object's.
    pub(super) fn plan(&self) -> (String, String) {
        match &self.journal {
            Some(journal) => (journal.owner.plan.namespace.clone(), journal.owner.plan.name.clone()),
            None => (self.key.namespace.clone(), self.key.name.clone()),
        }
    }

    fn step(&self) -> Option<(Option<&str>, u8)> {
        let journal = self.journal.as_ref()?;
        let Phase::Walking { weight } = journal.phase else { return None };
        let step = journal.plan.steps.iter().find(|step| step.weight == weight);
        Some((step.and_then(|step| step.name.as_deref()), weight))
    }

    fn json(&self) -> Value {
        let (namespace, name) = self.plan();
        let journal = self.journal.as_ref();
        json!({
            "namespace": namespace,
            "name": name,
            "repository": journal.map(|journal| &journal.owner.repository),
            "virtualService": self.key.to_string(),
            "phase": self.phase,
            "step": self.step().map(|(name, weight)| json!({"name": name, "weight": weight})),
            "target": journal.map(|journal| &journal.plan.traffic),
            "desired": journal.map(|journal| &journal.state.traffic),
            "live": self.live,
            "revision": journal.map(|journal| &journal.revision),
            "reason": {"name": self.reason, "message": self.message},
            "next": self.next,
            "entered": journal.map(|journal| journal.entered),
            "converged": journal.and_then(|journal| journal.converged),
        })
    }
}

fn list(cluster: &str, plans: &[PlanStatus]) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "StatusList",
        "cluster": cluster,
        "plans": plans.iter().map(PlanStatus::json).collect::<Vec<_>>(),
    })
}

fn table(plans: &[PlanStatus], wide: bool) -> String {
    if plans.is_empty() {
        return "no plan is applied in this cluster\n".to_owned();
    }
    let mut head = vec!["NAMESPACE", "NAME", "PHASE", "STEP", "TARGET", "LIVE", "NEXT"];
    head.extend(if wide { vec!["REVISION", "REASON"] } else { vec!["REASON"] });
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    for plan in plans {
        let journal = plan.journal.as_ref();
        let text = |traffic: Option<&Traffic>| traffic.map_or_else(|| "?".to_owned(), Traffic::to_string);
        let step = match plan.step() {
            Some((Some(name), weight)) => format!("{weight} {name}"),
            Some((None, weight)) => weight.to_string(),
            None => "-".to_owned(),
        };
        let (namespace, name) = plan.plan();
        let mut row = vec![
            namespace,
            name,
            plan.phase.to_owned(),
            step,
            text(journal.map(|journal| &journal.plan.traffic)),
            text(plan.live.as_ref()),
            plan.next.map_or_else(|| "-".to_owned(), |at| at.strftime("%H:%M:%SZ").to_string()),
        ];
        if wide {
            row.push(journal.map_or_else(|| "?".to_owned(), |journal| journal.revision.to_string()));
            row.push(plan.message.clone());
        } else {
            row.push(plan.reason.to_owned());
        }
        rows.push(row.iter().map(|cell| terminal::plain(cell)).collect());
    }
    terminal::table(&rows)
}

/// The JSON Schema of `tidegate status -o json`.
pub(super) fn schema() -> Value {
    let nullable = |kind: &str| json!({"type": [kind, "null"]});
    let traffic = json!({
        "type": ["object", "null"],
        "description": "percent of all requests per version; versions without traffic are left out",
        "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 100},
    });
    let properties = json!({
        "namespace": {"type": "string", "description": "namespace of the plan"},
        "name": {"type": "string", "description": "name of the plan"},
        "repository": nullable("string"),
        "virtualService": {"type": "string", "description": "namespace/name of the object that carries weights and journal"},
        "phase": {"enum": ["Starting", "Walking", "Target", "Settled", "WentBack", "Released", "Unknown"]},
        "step": {
            "type": ["object", "null"],
            "properties": {"name": nullable("string"), "weight": {"type": "integer"}},
            "required": ["name", "weight"],
            "description": "the step that was entered, while walking",
        },
        "target": traffic.clone(),
        "desired": traffic.clone(),
        "live": traffic,
        "revision": {"type": ["string", "null"], "pattern": "^.+@sha1:[0-9a-f]{40}$"},
        "reason": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "message": {"type": "string"}},
            "required": ["name", "message"],
        },
        "next": {"type": ["string", "null"], "format": "date-time", "description": "when it moves next, where that is known"},
        "entered": {"type": ["string", "null"], "format": "date-time"},
        "converged": {"type": ["string", "null"], "format": "date-time"},
    });
    let required: Vec<&String> = properties.as_object().map(|map| map.keys().collect()).unwrap_or_default();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tidegate status -o json",
        "type": "object",
        "required": ["apiVersion", "kind", "cluster", "plans"],
        "properties": {
            "apiVersion": {"const": "tidegate.dev/v1alpha1"},
            "kind": {"const": "StatusList"},
            "cluster": {"type": "string"},
            "plans": {"type": "array", "items": {"type": "object", "properties": properties, "required": required}},
        },
    })
}
