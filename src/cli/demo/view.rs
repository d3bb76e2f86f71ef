//! The live view: an independent watch of the route, a line per change.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::watch;

use crate::{
    cluster::{self, Access, Cluster, Seen},
    istio::ObjectKind,
    rollout::{Journal, Phase},
};

use crate::cli::terminal::say;

use super::{Failure, shop::Shop};

const BAR: usize = 40;

/// What is live, as a watch tells it.
pub(super) struct View {
    route: watch::Receiver<Option<Arc<Value>>>,
}

impl View {
    /// Starts watching, and printing a line at each change of weights.
    pub(super) async fn open(shop: &Shop, color: bool) -> Result<Self, Failure> {
        let access =
            Access { kubeconfig: Some(shop.kubeconfig()), context: Some("sandbox".to_owned()), ..Access::default() };
        let cluster = Cluster::connect("view", &access)
            .await
            .map_err(|error| Failure::usage(error, "this is a fault of the demo"))?;
        let (mut seen, _) = cluster::watch(&cluster);
        let (sender, route) = watch::channel(None);
        tokio::spawn(async move {
            let started = Instant::now();
            let mut last = BTreeMap::new();
            while let Some(event) = seen.recv().await {
                let Seen::Object { kind: ObjectKind::VirtualService, live, .. } = event else { continue };
                let weights = live.as_deref().map(weights).unwrap_or_default();
                if weights != last {
                    print_line(started.elapsed(), &weights, live.as_deref(), color);
                    last = weights;
                }
                sender.send_replace(live);
            }
        });
        Ok(Self { route })
    }

    /// Waits until the live weights are these.
    pub(super) async fn until(&self, wanted: &[(&str, u8)]) {
        let wanted: BTreeMap<String, u64> =
            wanted.iter().map(|(version, weight)| ((*version).to_owned(), u64::from(*weight))).collect();
        let there = |live: &Option<Arc<Value>>| live.as_deref().is_some_and(|live| weights(live) == wanted);
        if self.route.clone().wait_for(there).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the target is settled, a while at most.
    pub(super) async fn settled(&self) {
        let settled = |live: &Option<Arc<Value>>| {
            let journal = live.as_deref().and_then(Journal::on);
            matches!(journal, Some(Ok(Journal { phase: Phase::Settled, .. })))
        };
        // The next commit works either way; the story only reads better.
        let _ = tokio::time::timeout(Duration::from_secs(20), self.route.clone().wait_for(settled)).await;
    }
}

fn weights(live: &Value) -> BTreeMap<String, u64> {
    let legs = live.pointer("/spec/http/0/route").and_then(Value::as_array).cloned().unwrap_or_default();
    let alone = legs.len() == 1;
    let weight = |leg: &Value| {
        let subset = leg.pointer("/destination/subset")?.as_str()?.to_owned();
        Some((subset, leg.get("weight").and_then(Value::as_u64).unwrap_or(if alone { 100 } else { 0 })))
    };
    legs.iter().filter_map(weight).collect()
}

fn print_line(since: Duration, weights: &BTreeMap<String, u64>, live: Option<&Value>, color: bool) {
    let share = |version: &str| weights.get(version).copied().unwrap_or(0);
    let filled = usize::try_from(share("v2")).unwrap_or(0) * BAR / 100;
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled));
    let bar = if color { format!("\x1b[36m{bar}\x1b[0m") } else { bar };
    let phase = match live.and_then(Journal::on) {
        Some(Ok(journal)) => match journal.phase {
            Phase::Walking { weight } => format!("step {weight}, held {}", journal.hold),
            Phase::Target => "target, to be settled".to_owned(),
            _ => "settled".to_owned(),
        },
        _ => String::new(),
    };
    say!("  {:>5.1} s  v1 {:>3} %  {bar}  v2 {:>3} %  {phase}", since.as_secs_f64(), share("v1"), share("v2"));
}
