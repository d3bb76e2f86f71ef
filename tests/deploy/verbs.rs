//! Nothing more than enough: each verb of each rule is taken away in turn, and something breaks that a table names.
//!
//! The API server of these stories does not stream lists, as older ones do not, so that `list` is needed too.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::Value;

use crate::controlplane::ControlPlane;
use crate::deploy;
use crate::kubernetes::{api, create, eventually};
use crate::proxy::{Kind, Proxy, When};
use crate::render::documents;
use crate::story::{PLAIN, Story};
use crate::world::{Running, World, rbac, without};

/// How long a stage may take. Resources that were refused are tried again 10 s later.
const PATIENCE: Duration = Duration::from_secs(40);
/// How many of the stories run at once.
const AT_ONCE: usize = 8;

/// What breaks without a verb.
struct Row {
    verbs: &'static str,
    resources: &'static str,
    /// The first stage at which it shows.
    from: usize,
    /// The facts, by how they begin, that do not come about.
    lacks: &'static [&'static str],
    /// The facts that are left at the end.
    keeps: &'static [&'static str],
}

const fn row(verbs: &'static str, resources: &'static str, lacks: &'static [&'static str]) -> Row {
    Row { verbs, resources, from: 0, lacks, keeps: &[] }
}

const EVERY_ROUTE: &[&str] = &["web ", "old ", "an Event", "Events"];
const MOVES: &[&str] = &["web has moved", "web has a new subset", "an Event", "Events"];
const MADE: &[&str] = &["web has a VirtualService", "web has moved", "web has a new subset", "an Event", "Events"];
const MADE_AT_ALL: &[&str] = &[
    "web has a VirtualService",
    "old has a VirtualService",
    "web has moved",
    "web has a new subset",
    "an Event",
    "Events",
];
const RESOURCE: &[&str] = &["a CanaryPlan", "it "];

const ROWS: &[Row] = &[
    // The caches are never complete, and nothing moves.
    row("list watch", "virtualservices destinationrules endpointslices pods", EVERY_ROUTE),
    // A write whose answer was lost is never looked after.
    row("get", "virtualservices destinationrules", MADE),
    row("create", "virtualservices", MADE_AT_ALL),
    // Subsets come before routes.
    row("create", "destinationrules", EVERY_ROUTE),
    row("patch", "virtualservices destinationrules", MOVES),
    Row { keeps: &["old has a VirtualService", "old has a DestinationRule"], ..row("delete", "virtualservices", &[]) },
    Row { keeps: &["old has a DestinationRule"], ..row("delete", "destinationrules", &[]) },
    row("create", "events", &["an Event", "Events"]),
    row("patch", "events", &["Events"]),
    row("list create", "canaryplans", RESOURCE),
    // One that somebody deleted is looked for, and made again.
    Row { from: 2, ..row("get", "canaryplans", RESOURCE) },
    row("patch", "canaryplans", &["it asks for v2"]),
    row("patch", "canaryplans/status", &["it has a status"]),
    Row { keeps: &["a CanaryPlan is there", "it has a status"], ..row("delete", "canaryplans", &[]) },
];

/// The facts of the story without a verb, by stage; none where no row says what breaks.
fn expected(stage: usize, verb: &str, resource: &str) -> Option<BTreeSet<String>> {
    let story = Story::of(resource);
    let mut facts = story.whole(stage);
    if let Some((_, kind, ..)) = PLAIN.iter().find(|(_, _, plural, _)| *plural == resource) {
        // Server-side apply is a patch that may create.
        facts.retain(|fact| !fact.contains(&format!(" {kind} ")));
        return ["create", "patch"].contains(&verb).then_some(facts);
    }
    let named = |names: &str, name: &str| names.split(' ').any(|one| one == name);
    let row = ROWS.iter().find(|row| named(row.verbs, verb) && named(row.resources, resource))?;
    facts.retain(|fact| stage < row.from || !row.lacks.iter().any(|beginning| fact.starts_with(beginning)));
    if stage + 1 == story.stages() {
        facts.extend(row.keeps.iter().map(|fact| (*fact).to_owned()));
    }
    Some(facts)
}

/// Plays a story with this role. A stage ends once its facts are the expected ones and, where they are other ones than
/// with all rights, the log says `words`; errs with what is so instead. Returns the log.
async fn tell(
    plane: &ControlPlane,
    story: Story,
    lose: impl Fn(&mut Value),
    expected: impl Fn(usize) -> BTreeSet<String>,
    words: &str,
) -> Result<String, String> {
    let mut world = World::new(plane, &story.files(), lose).await;
    let proxy = Arc::new(Proxy::start(&std::fs::read_to_string(&world.kubeconfig).unwrap()).await);
    world.kubeconfig = proxy.kubeconfig();
    let thief = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        let first_route = |kind| (kind == Kind::Weights).then_some(When::Before);
        async move { drop(proxy.catch(PATIENCE * 4, first_route).await) }
    });
    let log = world.repository.home().join("log");
    let mut command = world.run(&[]);
    command.env("TIDEGATE_LOG", "info,tidegate=debug").stdout(Stdio::null()).stderr(File::create(&log).unwrap());
    // Its fields quote what the server says.
    let read = || std::fs::read_to_string(&log).unwrap().replace('\\', "");
    let mut running = None;
    for stage in 0..story.stages() {
        story.play(&world, stage).await;
        running.get_or_insert_with(|| Running(command.spawn().unwrap()));
        let (expected, deadline) = (expected(stage), Instant::now() + PATIENCE);
        let shows = expected != story.whole(stage);
        loop {
            let facts = story.facts(&world).await;
            if facts == expected && (!shows || read().contains(words)) {
                break;
            }
            if Instant::now() > deadline {
                let lacks: Vec<_> = expected.difference(&facts).collect();
                let has: Vec<_> = facts.difference(&expected).collect();
                let log = read();
                return Err(format!("stage {stage} lacks {lacks:?} and has {has:?}, `{words}` is awaited:\n{log}"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    thief.abort();
    Ok(read())
}

/// Each verb of each resource of the role.
pub fn rights(documents: Vec<Value>) -> Vec<(String, String)> {
    rights_of(&documents.into_iter().find(|document| document["kind"] == "ClusterRole").unwrap())
}

/// Each verb of each resource of this one.
pub fn rights_of(role: &Value) -> Vec<(String, String)> {
    let texts = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for resource in texts(&rule["resources"]) {
            rights.extend(texts(&rule["verbs"]).into_iter().map(|verb| (verb, resource.clone())));
        }
    }
    rights
}

async fn define_canary_plans(plane: &ControlPlane) {
    let client = plane.client().await;
    let text = std::fs::read_to_string(deploy().join("base/crd.yaml")).unwrap();
    create(&client, documents(&text).remove(0)).await;
    let plans = api(&client, "default", "tidegate.dev/v1alpha1", "CanaryPlan");
    eventually("the definition is served", PATIENCE, || async { plans.list(&Default::default()).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_one_verb_something_breaks() {
    let rights = rights(rbac());
    for (verb, resource) in &rights {
        let story = Story::of(resource);
        let breaks = |stage| expected(stage, verb, resource).is_some_and(|facts| facts != story.whole(stage));
        assert!((0..story.stages()).any(breaks), "no row says what breaks without {verb} of {resource}");
    }
    for Row { verbs, resources, .. } in ROWS {
        for (verb, resource) in verbs.split(' ').flat_map(|verb| resources.split(' ').map(move |one| (verb, one))) {
            assert!(rights.contains(&(verb.to_owned(), resource.to_owned())), "the role has no {verb} of {resource}");
        }
    }
    let plane = &ControlPlane::start_with(&[], &["--feature-gates=WatchList=false"]);
    define_canary_plans(plane).await;
    for story in [Story::Walk, Story::Mirror] {
        let log = tell(plane, story, |_| {}, |stage| story.whole(stage), "").await.unwrap();
        assert!(!log.contains("forbidden"), "{log}");
    }
    let stories = rights.iter().map(|(verb, resource)| async move {
        let words = format!("cannot {verb} resource \"{resource}\"");
        let expected = |stage| expected(stage, verb, resource).unwrap();
        let told = tell(plane, Story::of(resource), without(verb, resource), expected, &words).await;
        told.err().map(|error| format!("without {verb} of {resource}, {error}"))
    });
    let broken: Vec<String> =
        futures::stream::iter(stories).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    println!("{} verbs, each of them needed", rights.len());
}
