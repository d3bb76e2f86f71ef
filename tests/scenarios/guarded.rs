//! A guard over what is settled asks its API server nothing, and over a walk it does.

use std::time::Duration;

use serde_json::Value;
use tidegate::cluster::{Cluster, Verb};
use tidegate::reconcile::{self, Ask, GuardOptions, Report};
use tidegate::rollout::{Journal, Phase, Reason, Settings};
use tokio::sync::{mpsc, oneshot};

use crate::support::kubernetes::eventually;
use crate::support::world::{Bed, World};

const SOON: Duration = Duration::from_secs(30);
/// A cluster of which nothing is heard for ten seconds is probed, unless all rests.
const WINDOW: Duration = Duration::from_secs(12);

/// So many plans with two versions each, whoever raises has come so far with all of them, and is gone.
async fn left(name: &str, count: usize, traffic: &str, phase: &Phase) -> World {
    let mut world = World::open(Bed::Sandbox, name).await;
    world.namespace(name).await;
    let names: Vec<String> = (0..count).map(|at| format!("web-{at}")).collect();
    for name_of_one in &names {
        world.service(name, name_of_one, 8080, &["v1", "v2"]).await;
        let plan = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {name_of_one}, namespace: {name}}}\n\
             spec: {{service: {name_of_one}, versions: {{v1: {{labels: {{version: v1}}}}, v2: {{labels: {{version: v2}}}}}}, \
             from: {{v1: 100}}, steps: [{{weight: 10, hold: 1h}}], traffic: {traffic}}}\n"
        );
        world.repository.write(&format!("plans/{name_of_one}.yaml"), &plan);
    }
    world.repository.commit_all("All of them");
    world.start().await;
    for name_of_one in &names {
        // The copy of the journal is written last.
        let kind = if *phase == Phase::Settled { "DestinationRule" } else { "VirtualService" };
        let reached = || async {
            let live: Option<Value> = world.live(kind, name, name_of_one).await;
            live.as_ref().and_then(Journal::on).is_some_and(|journal| journal.unwrap().phase == *phase)
        };
        eventually("it has come so far", SOON, reached).await;
    }
    world.stop().await;
    world
}

/// A guard in this process.
struct Guard {
    cluster: Cluster,
    asks: mpsc::Sender<Ask>,
    _stop: oneshot::Sender<()>,
}

impl Guard {
    async fn start(world: &World) -> Self {
        let (member, cluster) = world.cluster().await;
        let (asks, asked) = mpsc::channel(1);
        let options = GuardOptions {
            member,
            cluster: cluster.clone(),
            settings: Settings::default(),
            instance: None,
            asks: Some(asked),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(reconcile::guard(options, async {
            // Dropped without a word is an end, too.
            let _ = stopped.await;
        }));
        Self { cluster, asks, _stop: stop }
    }

    async fn report(&self) -> Report {
        let (answer, report) = oneshot::channel();
        self.asks.send(Ask { whole: true, answer }).await.unwrap();
        report.await.unwrap()
    }

    /// The requests so far that were no watch.
    fn asked(&self) -> u64 {
        self.cluster.requests().iter().filter(|((verb, _), _)| *verb != Verb::Watch).map(|(_, count)| count).sum()
    }

    /// How many of them come in a window that begins once each plan was decided on, and is settled or is not.
    async fn asks(&self, plans: usize, settled: bool) -> u64 {
        let all = || async {
            let report = self.report().await;
            let is_settled = |reason: &Reason| matches!(reason, Reason::Settled);
            let there = report.plans.iter().filter(|plan| plan.reason.as_ref().map(is_settled) == Some(settled));
            report.ready && there.count() == plans
        };
        eventually("every plan was decided on", SOON, all).await;
        let before = self.asked();
        tokio::time::sleep(WINDOW).await;
        self.asked() - before
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_of_settled_plans_asks_nothing_but_its_watches() {
    let settled = async {
        let world = left("at-rest", 3, "{v1: 100}", &Phase::Settled).await;
        Guard::start(&world).await.asks(3, true).await
    };
    let walking = async {
        let world = left("walking", 1, "{v2: 100}", &Phase::Walking { weight: 10 }).await;
        Guard::start(&world).await.asks(1, false).await
    };
    let (settled, walking) = tokio::join!(settled, walking);
    assert_eq!(settled, 0);
    assert!(walking > 0, "the window is as long as silence is borne in a walk");
}
