//! A death at every point where one could matter: before and after each write, each Git operation and each decision.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tidegate::rollout::STOP;

use crate::MACHINE;
use crate::kills::end;
use crate::kubernetes::{api, eventually, told, weights};
use crate::process::Process;
use crate::shop::{SOON, Shop};

/// How many shops are open at a time.
const AT_A_TIME: usize = 6;
const TWO: &str = "  versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}\n";
/// The walk stands at 50 until somebody says otherwise.
const HALF: &str = "  steps: [{weight: 10, hold: 0s}, {weight: 50, hold: 1h}]\n";
const TENTH: &str = "  steps: [{weight: 10, hold: 1h}]\n";
const FAST: &str = "  steps: [{weight: 20, hold: 0s}]\n";

/// A walk that is reverted, one that is stopped and then reverted, and one that ends at its target.
async fn story(shop: &Shop) {
    shop.plan("web", &format!("{TWO}  traffic: {{v1: 100}}"));
    shop.until_settled("web", &[("v1", 100)]).await;
    shop.plan("web", &format!("{TWO}{HALF}  traffic: {{v2: 100}}"));
    shop.until_live("web", &[("v1", 50), ("v2", 50)]).await;
    shop.repository.revert("HEAD");
    shop.until_settled("web", &[("v1", 100)]).await;
    shop.plan("web", &format!("{TWO}{TENTH}  traffic: {{v2: 100}}"));
    shop.until_live("web", &[("v1", 90), ("v2", 10)]).await;
    stop(shop).await;
    shop.until_live("web", &[("v1", 100)]).await;
    // The branch is checked out there: the commit is made, and refused when it is pushed.
    let refused = || async { !told(&shop.client, &shop.namespace, "RestoreRefused").await.is_empty() };
    eventually("the restore is tried", SOON, refused).await;
    shop.repository.revert("HEAD");
    let lifted = || async { shop.live("web").is_some_and(|live| live["metadata"]["annotations"].get(STOP).is_none()) };
    eventually("the stop is taken off", SOON, lifted).await;
    shop.until_settled("web", &[("v1", 100)]).await;
    shop.plan("web", &format!("{TWO}{FAST}  traffic: {{v2: 100}}"));
    shop.until_settled("web", &[("v2", 100)]).await;
    let settled = shop.journal("web").map(|journal| journal.state);
    let end = Instant::now() + SOON;
    // A process that dies in the very push leaves git's lock in a repository by path: a person takes it away.
    let lock = shop.repository.path().join(".git/refs/notes/tidegate.lock");
    while shop.noted("web").map(|journal| journal.state) != settled {
        let log = std::fs::read_to_string(shop.repository.home().join("log")).unwrap();
        assert!(Instant::now() < end, "what settled is not noted in Git after {SOON:?}: {log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let held = lock
            .metadata()
            .and_then(|file| file.modified())
            .is_ok_and(|since| since.elapsed().is_ok_and(|held| held > Duration::from_secs(3)));
        if held {
            println!("removed {}", lock.display());
            std::fs::remove_file(&lock).unwrap();
        }
    }
}

async fn stop(shop: &Shop) {
    let routes = api(&shop.client, &shop.namespace, "networking.istio.io/v1", "VirtualService");
    let patch = Patch::Merge(json!({"metadata": {"annotations": {STOP: "a person, for a reason"}}}));
    routes.patch("web", &PatchParams::default(), &patch).await.unwrap();
}

/// The weights of the story, in order.
fn declared() -> Vec<Vec<(String, u64)>> {
    let v2 = [0, 10, 50, 0, 10, 0, 20, 100];
    let legs = |v2: u64| [("v1", 100 - v2), ("v2", v2)].map(|(name, weight)| (name.to_owned(), weight));
    v2.into_iter().map(|v2| legs(v2).into_iter().filter(|(_, weight)| *weight > 0).collect()).collect()
}

/// The points that a process passes in the story, with how often.
async fn recorded(calm: &Shop) -> BTreeMap<String, usize> {
    let record = calm.repository.home().join("failpoints");
    let _process = calm.start_with(&[("TIDEGATE_FAILPOINTS".to_owned(), record.display().to_string())]);
    story(calm).await;
    // What the story waits for last is seen before the process goes on from there.
    let noted = || async {
        let passed = names(&record);
        passed.get("git.note.after") == passed.get("git.note.before")
    };
    eventually("the point after the last note is passed", SOON, noted).await;
    names(&record)
}

fn names(record: &Path) -> BTreeMap<String, usize> {
    let mut passed = BTreeMap::new();
    for name in std::fs::read_to_string(record).unwrap().lines() {
        *passed.entry(name.to_owned()).or_default() += 1;
    }
    passed
}

/// Keeps a process running on the shop: when it has died, the next one starts. Returns never.
async fn supervise(shop: &Shop, mut process: Process, deaths: &AtomicUsize) {
    loop {
        if !process.runs() {
            deaths.fetch_add(1, Ordering::SeqCst);
            process = shop.start();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Tells the story with a death at one passing of one point; returns whether it died, and what came of it.
async fn dies_at(point: &str, passing: usize, calm: &str) -> bool {
    let shop = Shop::open("point", &["web"]).await;
    let process = shop.start_with(&[("TIDEGATE_FAILPOINT".to_owned(), format!("{point}:{passing}"))]);
    let deaths = AtomicUsize::new(0);
    let told = async {
        story(&shop).await;
        // Every story passes each point once, the last of them perhaps after what the story waits for.
        let died = || async { passing > 1 || deaths.load(Ordering::SeqCst) > 0 };
        eventually(&format!("{point} is passed"), SOON, died).await;
    };
    tokio::select! {
        () = told => {}
        () = supervise(&shop, process, &deaths) => {}
    }
    let deaths = deaths.into_inner();
    assert!(deaths <= 1, "{point}:{passing}: {deaths} deaths");
    assert_eq!(shop.recorder.walk("web"), declared(), "{point}:{passing}: every weight is the one a step declares");
    let end = end(&shop);
    assert!(end == calm, "{point}:{passing}:\n{}", similar::TextDiff::from_lines(calm, &end).unified_diff());
    deaths == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn law_11_a_death_at_any_point_ends_as_no_death_does() {
    let _beside = MACHINE.read().await;
    let calm = Shop::open("calm", &["web"]).await;
    let points = recorded(&calm).await;
    assert_eq!(calm.recorder.walk("web"), declared());
    for name in ["route.write", "rule.write", "git.look", "git.fetch", "git.push", "git.note"] {
        for when in ["before", "after"] {
            assert!(points.contains_key(&format!("{name}.{when}")), "{name}.{when} is missing: {points:?}");
        }
    }
    let last = calm.live("web").unwrap();
    assert_eq!(weights(&last), [("v2".to_owned(), 100)]);
    let calm = end(&calm);
    let mut cases = Vec::new();
    for (name, times) in &points {
        let mut passings = vec![1, times.div_ceil(2), *times];
        passings.dedup();
        cases.extend(passings.into_iter().map(|passing| (name.clone(), passing)));
    }
    let runs = cases.iter().map(|(point, passing)| dies_at(point, *passing, &calm));
    let died: Vec<bool> = stream::iter(runs).buffered(AT_A_TIME).collect().await;
    let deaths = died.iter().filter(|died| **died).count();
    println!("{} points, {} cases, {deaths} deaths", points.len(), cases.len());
}
