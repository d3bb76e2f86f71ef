//! Replays one history on one server and checks after each commit what it has led to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tidegate::plan::Plan;
use tidegate::rollout::{Journal, Phase};

use crate::history::{self, Commit};
use crate::quiet;
use crate::story::{self, Labels};
use crate::support::kubernetes::{self, Recorder, eventually};
use crate::support::world::{Bed, World};
use crate::timeline::{self, Change};

/// How long a commit may take to settle, on a machine that has other things to do.
const SOON: Duration = Duration::from_secs(60);
/// The hold of every step in a replay.
const HOLD: Duration = Duration::from_secs(1);

/// A Service of a scenario.
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Its port.
    pub port: u16,
    /// Values of the label `version` of its pods.
    pub versions: &'static [&'static str],
}

/// The weights that one VirtualService goes through.
pub type Walk = (&'static str, &'static [&'static str]);

/// A scenario: what is there, and where each commit moves traffic.
pub struct Scenario {
    /// The name of its history.
    pub name: &'static str,
    /// Its namespaces; the first is that of Services and plans.
    pub namespaces: &'static [&'static str],
    /// Its Services.
    pub services: &'static [Service],
    /// Namespace and name of the Gateway beside the plans.
    pub gateway: Option<(&'static str, &'static str)>,
    /// What the watch sees after each commit.
    pub moves: &'static [&'static [Walk]],
}

/// Replays a scenario.
pub async fn replay(scenario: &Scenario, bed: Bed) {
    let mut world = World::open(bed, scenario.name).await;
    for namespace in scenario.namespaces {
        world.namespace(namespace).await;
    }
    let namespace = scenario.namespaces[0];
    for service in scenario.services {
        world.service(namespace, service.name, service.port, service.versions).await;
    }
    let recorder = world.record(namespace).await;
    let commits = history::commits(scenario.name);
    let mut ids: Vec<String> = Vec::new();
    let mut passed = 0;
    for (place, commit) in commits.iter().enumerate() {
        // The first commit and the last one are made while nobody follows the repository.
        let (first, last) = (place == 0, place + 1 == commits.len());
        if last && !first {
            world.stop().await;
        }
        ids.push(history::make(&world.repository, scenario.name, &commits, &ids));
        if first || last {
            let shown = diff_shows_and_writes_nothing(&world, &recorder, passed).await;
            let names_gateway = shown.lines().any(|line| line.starts_with("+++ plan/gateway/"));
            assert_eq!(names_gateway, first && scenario.gateway.is_some(), "{shown}");
            world.start().await;
        }
        let expected = expected_commits(&commits, &ids);
        settled(&recorder, commit, &expected).await;

        let events = timeline::events(&recorder);
        timeline::check_every_write(&events);
        let changes = timeline::changes(&events, passed);
        passed = events.len();
        check_walks(&changes, scenario.moves[place], &commit.label);
        let labels = ids.iter().map(String::as_str).zip(commits.iter().map(|commit| commit.label.as_str()));
        let labels = Labels(labels.collect());
        let objects = objects(&world, scenario, commit).await;
        golden(scenario.name, &commit.label, &story::text(&changes, &objects, &world.status(namespace).await, &labels));
        let printed = world.diff().await;
        assert_eq!((printed.code, printed.out.as_str()), (0, ""), "{}: {printed:?}", commit.label);
    }
    stays_quiet(&world, scenario, &recorder).await;
    let ending = world.stop().await;
    assert!(ending.waiting.is_empty() && ending.findings.is_empty() && ending.unreached.is_empty());
}

/// For each plan the commit that changed it last, and so the one that its journal must name.
fn expected_commits(commits: &[Commit], ids: &[String]) -> BTreeMap<String, String> {
    let mut expected = BTreeMap::new();
    let mut before = BTreeMap::new();
    for (commit, id) in commits.iter().zip(ids) {
        for plan in commit.plans() {
            if before.insert(plan.key.clone(), plan.digest.clone()).as_ref() != Some(&plan.digest) {
                expected.insert(plan.object().name, id.clone());
            }
        }
    }
    expected
}

/// Waits until every plan of the commit has settled, its copy of the journal is written and old subsets are gone.
async fn settled(recorder: &Recorder, commit: &Commit, expected: &BTreeMap<String, String>) {
    let plans = commit.plans();
    let what = format!("{} is settled", commit.label);
    eventually(&what, SOON, || {
        let events = timeline::events(recorder);
        let last = |kind: &str, name: &str| {
            events.iter().rev().find(|event| event.kind == kind && event.name == name).map(|event| &event.object)
        };
        let done = plans.iter().all(|plan: &std::sync::Arc<Plan>| {
            let (route, rule) = (plan.object().name, &plan.routing.destination_rule.name);
            let (Some(route_live), Some(rule_live)) = (last("VirtualService", &route), last("DestinationRule", rule))
            else {
                return false;
            };
            let Some(Ok(journal)) = Journal::on(route_live) else { return false };
            let versions: Vec<String> = plan.routing.versions.iter().map(|version| version.name.to_string()).collect();
            journal.revision.commit == expected[&route]
                && journal.phase == Phase::Settled
                && Journal::on(rule_live) == Some(Ok(journal))
                && timeline::subsets(&rule_live["spec"]) == versions
        });
        async move { done }
    })
    .await;
}

fn check_walks(changes: &[Change], moves: &[Walk], label: &str) {
    let mut walks: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.kind == "VirtualService") {
        walks.entry(&change.name).or_default().push(change);
    }
    for (route, walk) in &mut walks {
        let expected = moves.iter().find(|(name, _)| name == route).map_or(&[][..], |(_, walk)| walk);
        walk.dedup_by(|later, earlier| later.what == earlier.what);
        let seen: Vec<&str> = walk.iter().map(|change| change.what.as_str()).collect();
        // A change of pins or http leaves the weights as they are: once the same weights are seen again.
        assert!(seen == expected || (expected.is_empty() && seen.len() == 1), "{label}: {route} went {seen:?}");
        timeline::check_holds(walk, HOLD);
    }
    assert!(moves.iter().all(|(route, _)| walks.contains_key(route)), "{label}: {:?}", walks.keys());
}

async fn objects(world: &World, scenario: &Scenario, commit: &Commit) -> Vec<Value> {
    let mut objects = Vec::new();
    for plan in commit.plans() {
        let (key, rule) = (plan.object(), &plan.routing.destination_rule.name);
        objects.push(world.live("DestinationRule", &key.namespace, rule).await.unwrap());
        objects.push(world.live("VirtualService", &key.namespace, &key.name).await.unwrap());
    }
    if let Some((namespace, name)) = scenario.gateway {
        objects.push(world.live("Gateway", namespace, name).await.unwrap());
    }
    objects
}

fn golden(scenario: &str, label: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("golden/{scenario}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(label, text));
}

/// `tidegate diff` before a sync: a unified diff, exit code 1, and not one write.
async fn diff_shows_and_writes_nothing(world: &World, recorder: &Recorder, passed: usize) -> String {
    let printed = world.diff().await;
    assert_eq!(printed.code, 1, "{printed:?}");
    for part in ["--- ", "+++ ", "@@ ", "virtualservices/"] {
        assert!(printed.out.contains(part), "{part}: {printed:?}");
    }
    assert_eq!(recorder.events().len(), passed, "a diff has written");
    printed.out
}

/// A settled world costs no writes: nothing that the server makes of an object is taken for drift.
async fn stays_quiet(world: &World, scenario: &Scenario, recorder: &Recorder) {
    let gateway = async || match scenario.gateway {
        Some((namespace, name)) => {
            let gateways = kubernetes::api(world.client(), namespace, "networking.istio.io/v1", "Gateway");
            gateways.get(name).await.unwrap().metadata.resource_version
        }
        None => None,
    };
    let before = gateway().await;
    quiet::stays_quiet(recorder).await;
    assert_eq!(gateway().await, before);
}
