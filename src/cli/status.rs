//! `tidegate status`: where every plan stands, from the objects alone.

use std::{collections::HashSet, time::Duration};

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    cluster::{self, Cluster},
    istio::live_shares,
    plan::{ObjectKey, Traffic},
    reconcile::{Standing, Still, status_list},
    rollout::{Journal, Reason},
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
    cluster: String,
    /// The VirtualService.
    pub(super) key: ObjectKey,
    /// `repository/namespace/name`.
    pub(super) owner: String,
    /// Why it stands there.
    pub(super) reason: Reason,
    journal: Option<Journal>,
    live: Option<Traffic>,
    next: Option<Timestamp>,
}

/// Reads every plan of a cluster.
pub(super) async fn read(cluster: &Cluster) -> Result<Vec<PlanStatus>, Failure> {
    let snapshot = cluster::snapshot(cluster).await.map_err(Failure::unreached)?;
    let now = Timestamp::now();
    let offset = cluster.clock_offset_ms().map(|ahead| -ahead);
    let still = Still::new(&snapshot, HashSet::new(), offset, now);
    let of = |key: &ObjectKey, live: &Value, owner: &str| {
        let decision = still.outlook(key, None, now);
        let journal = Journal::on(live).and_then(Result::ok);
        let routing = journal.as_ref().map(|journal| journal.state.routing.clone());
        let traffic = routing.and_then(|routing| live_shares(live, &routing).traffic);
        PlanStatus {
            cluster: cluster.name().to_owned(),
            key: key.clone(),
            owner: owner.to_owned(),
            journal,
            live: traffic,
            next: decision.reason.until().or(decision.wake_at),
            reason: decision.reason,
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

    fn standing(&self) -> Standing<'_> {
        let journal = self.journal.as_ref();
        Standing {
            cluster: &self.cluster,
            owner: journal.map(|journal| &journal.owner),
            route: &self.key,
            plan: None,
            journal,
            live: self.live.as_ref(),
            reason: Some(&self.reason),
            next: self.next,
        }
    }
}

fn list(cluster: &str, plans: &[PlanStatus]) -> Value {
    status_list(cluster, &plans.iter().map(PlanStatus::standing).collect::<Vec<_>>())
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
        let standing = plan.standing();
        let step = match standing.step() {
            Some((Some(name), weight)) => format!("{weight} {name}"),
            Some((None, weight)) => weight.to_string(),
            None => "-".to_owned(),
        };
        let (namespace, name) = plan.plan();
        let mut row = vec![
            namespace,
            name,
            standing.phase().to_owned(),
            step,
            text(journal.map(|journal| &journal.plan.traffic)),
            text(plan.live.as_ref()),
            plan.next.map_or_else(|| "-".to_owned(), |at| at.strftime("%H:%M:%SZ").to_string()),
        ];
        if wide {
            row.push(journal.map_or_else(|| "?".to_owned(), |journal| journal.revision.to_string()));
            row.push(plan.reason.to_string());
        } else {
            row.push(plan.reason.name().to_owned());
        }
        rows.push(row.iter().map(|cell| terminal::plain(cell)).collect());
    }
    terminal::table(&rows)
}
