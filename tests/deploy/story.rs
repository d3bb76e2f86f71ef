//! What is played with each role: plans come, walk and go; plain objects come and change; writes are lost on the way.
//!
//! Two stories, so that each is a chain of causes: what one right breaks does not race with what another brings about.

use std::collections::BTreeSet;

use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::rollout::Journal;

use crate::SOON;
use crate::kubernetes::{Endpoint, api, delete, endpoint_slice, eventually, service, virtual_service, weights};
use crate::world::World;

/// What is played.
#[derive(Clone, Copy, Debug)]
pub enum Story {
    /// Routes, plain objects and Events.
    Walk,
    /// The CanaryPlan resource of one plan.
    Mirror,
}

impl Story {
    /// The story that needs the right to a resource.
    pub fn of(resource: &str) -> Self {
        if resource.starts_with("canaryplans") { Self::Mirror } else { Self::Walk }
    }

    pub fn stages(self) -> usize {
        match self {
            Self::Walk => 4,
            Self::Mirror => 4,
        }
    }

    /// What is in the repository at first.
    pub fn files(self) -> Vec<(&'static str, String)> {
        let web = ("plans/web.yaml", plan("web", TWO, "{v1: 100}"));
        match self {
            Self::Walk => vec![web, plain(1)],
            Self::Mirror => vec![web],
        }
    }

    /// What happens at the beginning of a stage.
    pub async fn play(self, world: &World, stage: usize) {
        match (self, stage) {
            (Self::Walk, 0) => {
                service(&world.client, &world.namespace, "old", 8080).await;
                let endpoints = [Endpoint::of("web-v1", "10.1.0.1")];
                endpoint_slice(&world.client, &world.namespace, "old", "old-1", &endpoints).await;
            }
            (Self::Walk, 1) => {
                let web = ("plans/web.yaml", plan("web", THREE, "{v2: 100}"));
                world.commit("Walk", &[web, ("plans/old.yaml", plan("old", TWO, "{v1: 100}")), plain(2)]);
            }
            (Self::Walk, 2) => {
                // Repeats of one Event are counted in it.
                for _ in 0..2 {
                    change_by_hand(world).await;
                }
            }
            (Self::Walk, _) => drop(world.repository.remove("Remove old", &["plans/old.yaml"])),
            (Self::Mirror, 0) => {}
            (Self::Mirror, 1) => world.commit("Walk", &[("plans/web.yaml", plan("web", TWO, "{v2: 100}"))]),
            (Self::Mirror, 2) => {
                if canary_plan(world).await.is_some() {
                    delete(&world.client, &world.namespace, MIRROR, "CanaryPlan", "web").await;
                }
                world.commit("Back", &[("plans/web.yaml", plan("web", TWO, "{v1: 100}"))]);
            }
            (Self::Mirror, _) => drop(world.repository.remove("Remove web", &["plans/web.yaml"])),
        }
    }

    /// What the story has brought about so far.
    pub async fn facts(self, world: &World) -> BTreeSet<String> {
        match self {
            Self::Walk => walk_facts(world).await,
            Self::Mirror => mirror_facts(world).await,
        }
    }

    /// The facts with all rights at the end of a stage.
    pub fn whole(self, stage: usize) -> BTreeSet<String> {
        match self {
            Self::Walk => walk_whole(stage),
            Self::Mirror => {
                let facts: &[&str] = match stage {
                    0 | 2 => &["a CanaryPlan is there", "it has a status"],
                    1 => &["a CanaryPlan is there", "it has a status", "it asks for v2"],
                    _ => &[],
                };
                facts.iter().map(|fact| (*fact).to_owned()).collect()
            }
        }
    }
}

const MIRROR: &str = "tidegate.dev/v1alpha1";
const NETWORKING: &str = "networking.istio.io/v1";
const SECURITY: &str = "security.istio.io/v1";

/// The plain kinds: API version, kind, resource, and the least spec that the API server takes.
pub const PLAIN: [(&str, &str, &str, &str); 7] = [
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

/// Takes all traffic away from v2 where it has walked there, and waits until it is back.
async fn change_by_hand(world: &World) {
    let moved = || async { world.live().await == [("v2".to_owned(), 100)] };
    if moved().await {
        let route = json!([{"destination": {"host": "web", "subset": "v1"}, "weight": 100}]);
        let patch = Patch::Merge(json!({"spec": {"http": [{"route": route}]}}));
        let routes = api(&world.client, &world.namespace, NETWORKING, "VirtualService");
        routes.patch("web", &PatchParams::default(), &patch).await.unwrap();
        eventually("the change is put back", SOON, moved).await;
    }
}

async fn walk_facts(world: &World) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let mut note = |holds: bool, fact: String| holds.then(|| facts.insert(fact));
    let (client, namespace) = (&world.client, &world.namespace);
    for name in ["web", "old"] {
        let route = virtual_service(client, namespace, name).await;
        let rule = api(client, namespace, NETWORKING, "DestinationRule").get_opt(name).await.unwrap();
        note(route.is_some(), format!("{name} has a VirtualService"));
        note(rule.is_some(), format!("{name} has a DestinationRule"));
        if name == "web" {
            // Settled, too: what is lowered before that is a stop.
            let settled = |route: &Value| Journal::on(route).is_some_and(|read| read.unwrap().is_settled());
            let moved = |route: &Value| weights(route) == [("v2".to_owned(), 100)] && settled(route);
            note(route.is_some_and(|route| moved(&route)), "web has moved".to_owned());
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

async fn canary_plan(world: &World) -> Option<serde_json::Value> {
    let live = api(&world.client, &world.namespace, MIRROR, "CanaryPlan").get_opt("web").await.unwrap();
    live.map(|live| live.data)
}

async fn mirror_facts(world: &World) -> BTreeSet<String> {
    let Some(live) = canary_plan(world).await else { return BTreeSet::new() };
    let facts = [
        (true, "a CanaryPlan is there"),
        (live["status"]["phase"].is_string(), "it has a status"),
        (live["spec"]["traffic"]["v2"] == 100, "it asks for v2"),
    ];
    facts.into_iter().filter(|(holds, _)| *holds).map(|(_, fact)| fact.to_owned()).collect()
}

fn walk_whole(stage: usize) -> BTreeSet<String> {
    let mut facts = vec!["web has a VirtualService".to_owned(), "web has a DestinationRule".to_owned()];
    facts.extend(PLAIN.iter().map(|(_, kind, ..)| format!("the {kind} is there")));
    if stage > 0 {
        facts.extend(PLAIN.iter().map(|(_, kind, ..)| format!("the {kind} has changed")));
        let more = ["web has moved", "web has a new subset", "an Event tells of a step"];
        facts.extend(more.map(str::to_owned));
    }
    if stage > 1 {
        facts.push("Events are counted".to_owned());
    }
    if [1, 2].contains(&stage) {
        facts.extend(["old has a VirtualService".to_owned(), "old has a DestinationRule".to_owned()]);
    }
    facts.into_iter().collect()
}
