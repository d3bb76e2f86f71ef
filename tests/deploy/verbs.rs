//! Nothing more than enough: each verb of each rule is taken away in turn, and something breaks that a table names.
//!
//! One story needs every right: plans come, walk with a new version, and go; plain objects come and change; a write is
//! lost on the way. Its API server does not stream lists, as older ones do not, so that `list` is needed too.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::ListParams;
use serde_json::Value;

use crate::controlplane::ControlPlane;
use crate::kubernetes::{Endpoint, api, endpoint_slice, service, virtual_service, weights};
use crate::proxy::{Kind, Proxy, When};
use crate::world::{Running, World, rbac, without};

const PATIENCE: Duration = Duration::from_secs(30);
/// How many of the stories run at once.
const AT_ONCE: usize = 6;

const NETWORKING: &str = "networking.istio.io/v1";
const SECURITY: &str = "security.istio.io/v1";

/// The plain kinds: API version, kind, resource, and the least spec that the API server takes.
const PLAIN: [(&str, &str, &str, &str); 7] = [
    (
        NETWORKING,
        "Gateway",
        "gateways",
        "{selector: {app: gate}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example.com]}]}",
    ),
    (
        NETWORKING,
        "ServiceEntry",
        "serviceentries",
        "{hosts: [b.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}",
    ),
    (NETWORKING, "Sidecar", "sidecars", "{egress: [{hosts: [\"./*\"]}]}"),
    (NETWORKING, "WorkloadEntry", "workloadentries", "{address: 10.2.0.1}"),
    (SECURITY, "PeerAuthentication", "peerauthentications", "{mtls: {mode: STRICT}}"),
    (SECURITY, "RequestAuthentication", "requestauthentications", "{}"),
    (SECURITY, "AuthorizationPolicy", "authorizationpolicies", "{}"),
];

fn plan(name: &str, versions: &str, traffic: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {name}, namespace: NAMESPACE}}\n\
         spec: {{service: {name}, versions: {versions}, prune: true, from: {{v1: 100}},\n  \
         steps: [{{weight: 10, hold: 0s}}, {{weight: 50, hold: 0s}}], traffic: {traffic}}}\n"
    )
}

fn plain(stage: u8) -> (&'static str, String) {
    let document = |(api_version, kind, _, spec): &(&str, &str, &str, &str)| {
        format!(
            "apiVersion: {api_version}\nkind: {kind}\n\
             metadata: {{name: plain, namespace: NAMESPACE, annotations: {{stage: \"{stage}\"}}}}\nspec: {spec}\n"
        )
    };
    ("plans/plain.yaml", PLAIN.iter().map(document).collect::<Vec<_>>().join("---\n"))
}

const TWO: &str = "{v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}";
const THREE: &str = "{v1: {labels: {version: v1}}, v2: {labels: {version: v2}}, v3: {labels: {version: v3}}}";

/// What the story has brought about so far.
async fn facts(world: &World) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let mut note = |holds: bool, fact: String| holds.then(|| facts.insert(fact));
    let (client, namespace) = (&world.client, &world.namespace);
    for name in ["web", "old"] {
        let route = virtual_service(client, namespace, name).await;
        let rule = api(client, namespace, NETWORKING, "DestinationRule").get_opt(name).await.unwrap();
        note(route.is_some(), format!("{name} has a VirtualService"));
        note(rule.is_some(), format!("{name} has a DestinationRule"));
        if name == "web" {
            note(route.is_some_and(|route| weights(&route) == [("v2".to_owned(), 100)]), "web has moved".to_owned());
            let subsets = rule.map(|rule| rule.data["spec"]["subsets"].clone()).unwrap_or_default();
            let third = subsets.as_array().is_some_and(|subsets| subsets.iter().any(|subset| subset["name"] == "v3"));
            note(third, "web has a new subset".to_owned());
        }
    }
    for (api_version, kind, ..) in PLAIN {
        let live = api(client, namespace, api_version, kind).get_opt("plain").await.unwrap();
        let stage = live.as_ref().map(|live| live.metadata.annotations.clone().unwrap_or_default()["stage"].clone());
        note(live.is_some(), format!("the {kind} is there"));
        note(stage.is_some_and(|stage| stage == "2"), format!("the {kind} has changed"));
    }
    let events = api(client, namespace, "events.k8s.io/v1", "Event").list(&ListParams::default()).await.unwrap().items;
    note(events.iter().any(|event| event.data["reason"] == "StepEntered"), "an Event tells of a step".to_owned());
    note(events.iter().any(|event| event.data["series"]["count"].as_u64() > Some(1)), "Events are counted".to_owned());
    facts
}

/// The facts of the story with all rights, by stage.
fn whole(stage: usize) -> BTreeSet<String> {
    let mut facts = vec!["web has a VirtualService".to_owned(), "web has a DestinationRule".to_owned()];
    facts.extend(PLAIN.iter().map(|(_, kind, ..)| format!("the {kind} is there")));
    if stage > 0 {
        facts.extend(PLAIN.iter().map(|(_, kind, ..)| format!("the {kind} has changed")));
        let more = ["web has moved", "web has a new subset", "an Event tells of a step", "Events are counted"];
        facts.extend(more.map(str::to_owned));
    }
    if stage == 1 {
        facts.extend(["old has a VirtualService".to_owned(), "old has a DestinationRule".to_owned()]);
    }
    facts.into_iter().collect()
}

/// What breaks without a verb: verbs, resources, the facts (by how they begin) that never come about, and those that
/// stay for ever.
type Row = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const ROWS: [Row; 9] = [
    // The caches are never complete, and nothing moves.
    (
        "list watch",
        "virtualservices destinationrules endpointslices pods",
        &["web ", "old ", "an Event", "Events"],
        &[],
    ),
    // A write whose answer was lost is never looked after.
    (
        "get",
        "virtualservices destinationrules",
        &["web has a VirtualService", "web has moved", "web has a new subset", "an Event", "Events"],
        &[],
    ),
    (
        "create",
        "virtualservices",
        &[
            "web has a VirtualService",
            "web has moved",
            "web has a new subset",
            "old has a VirtualService",
            "an Event",
            "Events",
        ],
        // What never settled is not pruned.
        &["old has a DestinationRule"],
    ),
    // Subsets come before routes.
    ("create", "destinationrules", &["web ", "old ", "an Event", "Events"], &[]),
    (
        "patch",
        "virtualservices destinationrules",
        &["web has moved", "web has a new subset", "an Event", "Events"],
        &[],
    ),
    ("delete", "virtualservices", &[], &["old has a VirtualService", "old has a DestinationRule"]),
    ("delete", "destinationrules", &[], &["old has a DestinationRule"]),
    ("create", "events", &["an Event", "Events"], &[]),
    ("patch", "events", &["Events"], &[]),
];

/// The facts of the story without a verb, by stage; none where no row says what breaks.
fn expected(stage: usize, verb: &str, resource: &str) -> Option<BTreeSet<String>> {
    let mut facts = whole(stage);
    if let Some((_, kind, ..)) = PLAIN.iter().find(|(_, _, plural, _)| *plural == resource) {
        // Server-side apply is a patch that may create.
        facts.retain(|fact| !fact.contains(&format!(" {kind} ")));
        return ["create", "patch"].contains(&verb).then_some(facts);
    }
    let named = |names: &str, name: &str| names.split(' ').any(|one| one == name);
    let (.., lacks, keeps) = ROWS.iter().find(|row| named(row.0, verb) && named(row.1, resource))?;
    facts.retain(|fact| !lacks.iter().any(|beginning| fact.starts_with(beginning)));
    if stage == 2 {
        facts.extend(keeps.iter().map(|fact| (*fact).to_owned()));
    }
    Some(facts)
}

/// Runs the story with this role. A stage ends once its facts are the expected ones, the last one once also the log says
/// `words`; errs with what is so instead. Returns the log.
async fn tell(
    plane: &ControlPlane,
    lose: impl Fn(&mut Value),
    expected: impl Fn(usize) -> BTreeSet<String>,
    words: &str,
) -> Result<String, String> {
    let files = [("plans/web.yaml", plan("web", TWO, "{v1: 100}")), plain(1)];
    let mut world = World::new(plane, &files, lose).await;
    service(&world.client, &world.namespace, "old", 8080).await;
    let endpoints = [Endpoint::of("web-v1", "10.1.0.1")];
    endpoint_slice(&world.client, &world.namespace, "old", "old-1", &endpoints).await;
    let proxy = Arc::new(Proxy::start(&std::fs::read_to_string(&world.kubeconfig).unwrap()).await);
    world.kubeconfig = proxy.kubeconfig();
    let thief = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move { drop(proxy.catch(PATIENCE * 3, |kind| (kind == Kind::Weights).then_some(When::Before)).await) }
    });
    let log = world.repository.home().join("log");
    let mut command = world.run(&[]);
    command.env("TIDEGATE_LOG", "info,tidegate=debug").stdout(Stdio::null()).stderr(File::create(&log).unwrap());
    let _running = Running(command.spawn().unwrap());
    // Its fields quote what the server says.
    let read = || std::fs::read_to_string(&log).unwrap().replace('\\', "");
    for stage in 0..3 {
        match stage {
            0 => {}
            1 => {
                let web = ("plans/web.yaml", plan("web", THREE, "{v2: 100}"));
                world.commit("Walk", &[web, ("plans/old.yaml", plan("old", TWO, "{v1: 100}")), plain(2)]);
            }
            _ => drop(world.repository.remove("Remove old", &["plans/old.yaml"])),
        }
        let (expected, deadline) = (expected(stage), Instant::now() + PATIENCE);
        loop {
            let facts = facts(&world).await;
            if facts == expected && (stage < 2 || read().contains(words)) {
                break;
            }
            if Instant::now() > deadline {
                let (lacks, has) = (expected.difference(&facts), facts.difference(&expected));
                let (lacks, has): (Vec<_>, Vec<_>) = (lacks.collect(), has.collect());
                return Err(format!("stage {stage} lacks {lacks:?} and has {has:?}, `{words}` is awaited:\n{}", read()));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    thief.abort();
    Ok(read())
}

/// Each verb of each resource of the role.
fn rights() -> Vec<(String, String)> {
    let texts = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
    let role = rbac().into_iter().find(|document| document["kind"] == "ClusterRole").unwrap();
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for resource in texts(&rule["resources"]) {
            rights.extend(texts(&rule["verbs"]).into_iter().map(|verb| (verb, resource.clone())));
        }
    }
    rights
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_one_verb_something_breaks() {
    let rights = rights();
    for (verb, resource) in &rights {
        assert!(expected(0, verb, resource).is_some(), "no row says what breaks without {verb} of {resource}");
    }
    for (verbs, resources, ..) in ROWS {
        for (verb, resource) in verbs.split(' ').flat_map(|verb| resources.split(' ').map(move |one| (verb, one))) {
            assert!(rights.contains(&(verb.to_owned(), resource.to_owned())), "the role has no {verb} of {resource}");
        }
    }
    let plane = &ControlPlane::start_with(&[], &["--feature-gates=WatchList=false"]);
    let log = tell(plane, |_| {}, whole, "").await.unwrap();
    assert!(!log.contains("forbidden"), "{log}");
    let stories = rights.iter().map(|(verb, resource)| async move {
        let words = format!("cannot {verb} resource \"{resource}\"");
        let told = tell(plane, without(verb, resource), |stage| expected(stage, verb, resource).unwrap(), &words).await;
        told.err().map(|error| format!("without {verb} of {resource}, {error}"))
    });
    let broken: Vec<String> =
        futures::stream::iter(stories).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    println!("{} verbs, each of them needed", rights.len());
}
