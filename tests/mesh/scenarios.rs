//! Replays the histories of the five scenarios and asks, after each commit, what callers get: through the gateway, and
//! inside the mesh.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate::plan::Plan;

use crate::bed::{GATEWAY, Mesh, Place, listener_port, local, namespace};
use crate::history::{self, Commit};
use crate::shares;
use crate::support::envoy::Envoy;
use crate::support::load::{Tally, Target, burst};
use crate::support::repository::Repository;
use crate::support::workloads;

/// Requests of a check.
const REQUESTS: usize = 2_000;
/// So many that requests which a fault delays do not keep the others waiting.
const CONNECTIONS: usize = 64;

/// A scenario: what is there, and what callers get after each commit.
struct Scenario {
    name: &'static str,
    namespaces: &'static [&'static str],
    /// Services by name, with the values of the label `version` of their pods.
    services: &'static [(&'static str, &'static [&'static str])],
    /// The port of its Services in the history.
    port: &'static str,
    mutual_tls: bool,
    checks: &'static [&'static [Check]],
}

#[derive(Clone, Copy)]
enum Via {
    /// Through the gateway, by this host.
    Gateway(&'static str),
    /// From inside the mesh, to this Service.
    Mesh(&'static str),
}

/// What requests of one kind get.
struct Check {
    via: Via,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// Shares of the answers; without any, every version may answer.
    shares: &'static [(&'static str, u32)],
    delayed: u32,
    aborted: u32,
}

const fn check(via: Via, shares: &'static [(&'static str, u32)]) -> Check {
    Check { via, path: "/", headers: &[], shares, delayed: 0, aborted: 0 }
}

const fn faulty(via: Via, delayed: u32, aborted: u32) -> Check {
    Check { via, path: "/", headers: &[], shares: &[], delayed, aborted }
}

impl Check {
    const fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    const fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }
}

const OUTSIDE: Via = Via::Gateway("myservice.example.com");
const INSIDE: Via = Via::Mesh("myservice");
const PREMIUM: &[(&str, &str)] = &[("x-user-type", "premium")];
const V1: &[(&str, u32)] = &[("v1", 100)];
const V2: &[(&str, u32)] = &[("v2", 100)];
const ANY: &[(&str, u32)] = &[];

/// Both gateways and the mesh, a walk, a revert, pins, faults and routes.
const MYSERVICE: Scenario = Scenario {
    name: "myservice",
    namespaces: &["myservice"],
    services: &[("myservice", &["v1", "v2"])],
    port: "8080",
    mutual_tls: false,
    checks: &[
        &[check(OUTSIDE, V1), check(INSIDE, V1)],
        &[check(OUTSIDE, &[("v1", 95), ("v2", 5)]), check(INSIDE, &[("v1", 95), ("v2", 5)])],
        &[check(OUTSIDE, V2), check(INSIDE, V2)],
        &[check(OUTSIDE, V1), check(INSIDE, V1)],
        &[check(OUTSIDE, V2).with(PREMIUM), check(INSIDE, V2).with(PREMIUM), check(OUTSIDE, V1), check(INSIDE, V1)],
        &[
            check(OUTSIDE, V2).at("/preview"),
            check(INSIDE, V2).at("/preview"),
            check(OUTSIDE, V1).at("/preview/2"),
            check(OUTSIDE, V2).with(PREMIUM),
            check(OUTSIDE, V1),
        ],
        &[faulty(OUTSIDE, 10, 0)],
        &[faulty(OUTSIDE, 10, 5), faulty(INSIDE, 10, 5)],
        &[check(OUTSIDE, V2).at("/reports/1").with(PREMIUM), check(OUTSIDE, V1).at("/reports/1"), check(INSIDE, V1)],
        &[check(OUTSIDE, V2), check(INSIDE, V2), check(OUTSIDE, V2).at("/reports/1")],
    ],
};

/// A gateway alone, with mutual TLS behind it.
const HELLOWORLD: Scenario = Scenario {
    name: "helloworld",
    namespaces: &["helloworld"],
    services: &[("helloworld", &["v1", "v2"])],
    port: "5000",
    mutual_tls: true,
    checks: &[
        &[check(Via::Gateway("hello.example.com"), V1), check(Via::Mesh("helloworld"), ANY)],
        &[
            check(Via::Gateway("hello.example.com"), &[("v1", 80), ("v2", 20)]),
            check(Via::Gateway("helloworld.helloworld.svc.cluster.local"), &[("v1", 80), ("v2", 20)]),
            check(Via::Mesh("helloworld"), ANY),
        ],
    ],
};

/// The mesh alone, in three versions.
const BOOKINFO: Scenario = Scenario {
    name: "bookinfo",
    namespaces: &["bookinfo"],
    services: &[("productpage", &["v1"]), ("reviews", &["v1", "v2", "v3"]), ("ratings", &["v1"]), ("details", &["v1"])],
    port: "9080",
    mutual_tls: false,
    checks: &[
        &[
            check(Via::Mesh("productpage"), V1),
            check(Via::Mesh("reviews"), V1),
            check(Via::Mesh("ratings"), V1),
            check(Via::Mesh("details"), V1),
        ],
        &[check(Via::Mesh("reviews"), &[("v1", 90), ("v2", 10)]), check(Via::Mesh("details"), V1)],
        &[check(Via::Mesh("reviews"), &[("v1", 50), ("v3", 50)]), check(Via::Mesh("ratings"), V1)],
        &[check(Via::Mesh("reviews"), &[("v3", 100)]), check(Via::Mesh("productpage"), V1)],
    ],
};

/// A Gateway of another namespace, and objects with names of their own.
const KUBEFLOW: Scenario = Scenario {
    name: "kubeflow",
    namespaces: &["myapp", "kubeflow"],
    services: &[("myapp-svc", &["v2", "v3"])],
    port: "80",
    mutual_tls: false,
    checks: &[
        &[check(Via::Gateway("myapp.example.com"), &[("v2", 90), ("v3", 10)]), check(Via::Mesh("myapp-svc"), ANY)],
        &[check(Via::Gateway("myapp.example.com"), &[("v2", 10), ("v3", 90)]), check(Via::Mesh("myapp-svc"), ANY)],
    ],
};

const WWW: Via = Via::Gateway("www.example.com");
const TESTERS: &[(&str, &str)] = &[("qa", "canary-test")];
const OLD: &[(&str, u32)] = &[("website-version-1", 100)];
const NEW: &[(&str, u32)] = &[("website-version-2", 100)];
const MOST: &[(&str, u32)] = &[("website-version-1", 20), ("website-version-2", 80)];

/// Callers from outside and inside alike, and testers ahead of both.
const WEBSITE: Scenario = Scenario {
    name: "website",
    namespaces: &["website"],
    services: &[("website", &["website-version-1", "website-version-2"])],
    port: "80",
    mutual_tls: false,
    checks: &[
        &[check(WWW, OLD), check(Via::Mesh("website"), OLD)],
        &[
            check(WWW, NEW).with(TESTERS),
            check(Via::Mesh("website"), NEW).with(TESTERS),
            check(WWW, OLD),
            check(Via::Mesh("website"), OLD),
        ],
        &[check(WWW, MOST), check(Via::Mesh("website"), MOST), check(WWW, NEW).with(TESTERS)],
    ],
};

pub async fn scenario_myservice_through_envoy(mesh: Arc<Mesh>) {
    replay(mesh, &MYSERVICE).await;
}

pub async fn scenario_helloworld_through_envoy(mesh: Arc<Mesh>) {
    replay(mesh, &HELLOWORLD).await;
}

pub async fn scenario_bookinfo_through_envoy(mesh: Arc<Mesh>) {
    replay(mesh, &BOOKINFO).await;
}

pub async fn scenario_kubeflow_through_envoy(mesh: Arc<Mesh>) {
    replay(mesh, &KUBEFLOW).await;
}

pub async fn scenario_website_through_envoy(mesh: Arc<Mesh>) {
    replay(mesh, &WEBSITE).await;
}

/// A scenario on the mesh.
struct Stage<'a> {
    mesh: &'a Mesh,
    scenario: &'a Scenario,
    gateway_port: u16,
    service_port: u16,
}

/// Replays a scenario.
async fn replay(mesh: Arc<Mesh>, scenario: &Scenario) {
    shares::check();
    let stage = Stage { mesh: &mesh, scenario, gateway_port: listener_port(), service_port: listener_port() };
    let client = mesh.client().await;
    for name in scenario.namespaces {
        namespace(&client, name).await;
    }
    let certificates = scenario.mutual_tls.then_some(&mesh.certificates);
    for (name, versions) in scenario.services {
        let (namespace, port) = (scenario.namespaces[0], stage.service_port);
        workloads::service(&client, namespace, name, port, versions, certificates).await;
    }
    let commits = history::commits(scenario.name).into_iter().map(|commit| stage.here(commit)).collect::<Vec<_>>();
    assert_eq!(commits.len(), scenario.checks.len());
    let repository = Repository::empty();
    let mut ids = vec![history::make(&repository, scenario.name, &commits, &[])];
    let _process = mesh.follow(&repository, scenario.name, &["--convergence-wait", "500ms"]);
    // The commit that changed each plan last, and so the one that its journal must name.
    let mut last: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (place, commit) in commits.iter().enumerate() {
        if place > 0 {
            ids.push(history::make(&repository, scenario.name, &commits, &ids));
        }
        for plan in commit.plans() {
            let (route, digest) = (plan.object().name, format!("{:?}", plan.digest));
            let known = last.get(&route).is_some_and(|(_, before)| *before == digest);
            if !known {
                last.insert(route.clone(), (ids[place].clone(), digest));
            }
            let versions = plan.routing.versions.iter().map(|version| version.name.to_string()).collect();
            let (namespace, rule) = (scenario.namespaces[0], plan.routing.destination_rule.name.as_str());
            let at = Place { namespace, route: &route, rule, versions };
            mesh.settled(&client, &at, &last[&route].0, &stage.proxies(&plan)).await;
        }
        for check in scenario.checks[place] {
            stage.judge(check, &commit.label).await;
        }
    }
}

impl Stage<'_> {
    /// A commit with ports that are free here, faults that a test can wait for, and the tests' gateway.
    fn here(&self, commit: Commit) -> Commit {
        let gateway = "port: {number: 80, name: http, protocol: HTTP}";
        let here =
            format!("port: {{number: {}, name: http, protocol: HTTP}}\n      bind: 127.0.0.1", self.gateway_port);
        let text = commit.hasty().replace(gateway, &here).replace("fixedDelay: 5s", "fixedDelay: 2s");
        let text = text.replace("istio: ingressgateway", &format!("istio: {GATEWAY}"));
        let port = format!("\n  port: {}", self.scenario.port);
        assert!(text.contains(&port), "{}: {text}", commit.label);
        Commit { label: commit.label, text: text.replace(&port, &format!("\n  port: {}", self.service_port)) }
    }

    /// The proxies that a plan is for.
    fn proxies(&self, plan: &Plan) -> Vec<&Envoy> {
        let gateways = || plan.routing.routes.iter().flat_map(|route| &route.gateways);
        let (inside, outside) = (gateways().any(|name| name == "mesh"), gateways().any(|name| name != "mesh"));
        let proxies = [outside.then_some(&self.mesh.gateway), inside.then_some(&self.mesh.caller)];
        proxies.into_iter().flatten().collect()
    }

    fn target(&self, check: &Check) -> Target {
        let (address, host) = match check.via {
            Via::Gateway(host) => (local(self.gateway_port), host.to_owned()),
            Via::Mesh(service) => {
                let host = format!("{service}.{}.svc.cluster.local:{}", self.scenario.namespaces[0], self.service_port);
                (local(self.service_port), host)
            }
        };
        Target::with(address, &host, check.path, check.headers)
    }

    /// Sends requests and panics where they are not answered as they should be; a miss is repeated once.
    async fn judge(&self, check: &Check, label: &str) {
        let target = [self.target(check)];
        let tally = burst(&target, REQUESTS, CONNECTIONS).await;
        let Err(_) = verdict(check, &tally) else { return };
        let again = burst(&target, REQUESTS * 4, CONNECTIONS).await;
        if let Err(why) = verdict(check, &again) {
            panic!("{label}: {why}: {again:?}, and before {tally:?}");
        }
    }
}

/// Why requests were not answered as they should be.
fn verdict(check: &Check, tally: &Tally) -> Result<(), String> {
    let requests = tally.requests();
    if !tally.torn.is_empty() {
        return Err("a request has no answer".into());
    }
    let aborted = tally.status(500);
    if tally.status(200) + aborted != requests {
        return Err("an answer is neither 200 nor an injected fault".into());
    }
    if !shares::fits(aborted, requests, check.aborted) {
        return Err(format!("{aborted} of {requests} aborted instead of {} %", check.aborted));
    }
    if check.delayed > 0 && !shares::fits(tally.late, requests, check.delayed) {
        return Err(format!("{} of {requests} delayed instead of {} %", tally.late, check.delayed));
    }
    for (version, share) in check.shares {
        if !shares::fits(tally.of(version), requests, *share) {
            return Err(format!("{} of {requests} to {version} instead of {share} %", tally.of(version)));
        }
    }
    Ok(())
}
