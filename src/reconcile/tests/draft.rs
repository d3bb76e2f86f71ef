//! Plans of service `web` in namespace `shop`, written in a line each.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::simulation::Sim;
use crate::{
    plan::{
        Chosen, Digest, DriftPolicy, Host, ObjectSpec, OnFailure, OnPartial, Pin, Plan, PlanKey, Readiness, Route,
        Routing, Span, Step, Traffic, Version, VersionName,
    },
    rollout::Phase,
};

/// The steps of the stories.
pub(super) const STEPS: &str = "10:5m 25:10m 50:10m";

/// Everything on v1.
pub(super) fn on_v1() -> Draft {
    plan("v1=100").steps(STEPS).from("v1=100")
}

/// Everything to v2, step by step.
pub(super) fn to_v2() -> Draft {
    plan("v2=100").steps(STEPS).from("v1=100")
}

/// A world in which v1 has all traffic, settled.
pub(super) fn settled_on_v1() -> Sim {
    let mut sim = Sim::new();
    sim.push(on_v1()).pass("1h");
    assert_eq!(sim.weights(), "v1=100");
    assert_eq!(sim.journal().phase, Phase::Settled);
    sim.trace();
    sim
}

/// A plan of service `web` in namespace `shop` with versions v1 to v3.
#[derive(Clone)]
pub(super) struct Draft(pub(super) Plan);

pub(super) fn traffic(text: &str) -> Traffic {
    let weights = text.split_whitespace().map(|part| {
        let (name, weight) = part.split_once('=').unwrap();
        (VersionName::new(name), weight.parse().unwrap())
    });
    Traffic::new(weights).unwrap()
}

pub(super) fn version(name: &str, label: &str) -> Version {
    Version {
        name: VersionName::new(name),
        labels: BTreeMap::from([("version".to_owned(), label.to_owned())]),
        traffic_policy: None,
        build: None,
    }
}

pub(super) fn plan(target: &str) -> Draft {
    let spec = ObjectSpec { name: "web".into(), export_to: None };
    let route = Route {
        name: "web".into(),
        hosts: vec!["web".into()],
        gateways: vec!["mesh".into()],
        matches: Vec::new(),
        http: serde_json::Map::new(),
    };
    Draft(Plan {
        key: PlanKey { namespace: "shop".into(), name: "web".into() },
        digest: Digest::of(&Value::Null),
        routing: Routing {
            namespace: "shop".into(),
            service: Host::resolve("web", "shop"),
            port: None,
            versions: ["v1", "v2", "v3"].map(|name| version(name, name)).to_vec(),
            traffic_policy: None,
            routes: vec![route],
            pins: Vec::new(),
            virtual_service: spec.clone(),
            destination_rule: spec,
        },
        traffic: traffic(target),
        steps: Vec::new(),
        settle: Span::ZERO,
        from: None,
        take_ownership: false,
        prune: false,
        drift: DriftPolicy::Correct,
        on_failure: OnFailure::Rollback,
        on_partial: OnPartial::RollbackAll,
        quorum: None,
        waves: Vec::new(),
        attempt: Plan::first_attempt(),
        progress_deadline: Plan::usual_progress_deadline(),
        readiness: Readiness::default(),
        pause: false,
        suspend: false,
        clusters: Chosen::All,
    })
}

impl Draft {
    /// Steps as `10:5m 25:1h`; the target settles by the last hold.
    pub(super) fn steps(mut self, text: &str) -> Self {
        let step = |part: &str| {
            let (weight, hold) = part.split_once(':').unwrap();
            Step { name: None, weight: weight.parse().unwrap(), hold: hold.parse().unwrap() }
        };
        self.0.steps = text.split_whitespace().map(step).collect();
        self.0.settle = self.0.steps.last().map_or(Span::ZERO, |step| step.hold);
        self
    }

    pub(super) fn from(mut self, text: &str) -> Self {
        self.0.from = Some(traffic(text));
        self
    }

    pub(super) fn name(mut self, name: &str) -> Self {
        self.0.key.name = name.into();
        self
    }

    pub(super) fn versions(mut self, versions: &[Version]) -> Self {
        self.0.routing.versions = versions.to_vec();
        self
    }

    pub(super) fn build(mut self, name: &str, build: &str) -> Self {
        let version = self.0.routing.versions.iter_mut().find(|version| version.name.as_str() == name).unwrap();
        version.build = Some(build.into());
        self
    }

    pub(super) fn pin(mut self, name: &str, to: &str) -> Self {
        let matches = json!({"headers": {"qa": {"exact": "yes"}}}).as_object().unwrap().clone();
        self.0.routing.pins.push(Pin { name: name.into(), matches: vec![matches], to: VersionName::new(to) });
        self
    }

    pub(super) fn timeout(mut self, timeout: &str) -> Self {
        self.0.routing.routes[0].http.insert("timeout".into(), json!(timeout));
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.0);
        self
    }

    pub(super) fn done(mut self) -> Arc<Plan> {
        self.0.digest = Digest::of(&Value::Null);
        self.0.digest = Digest::of(&serde_json::to_value(&self.0).unwrap());
        Arc::new(self.0)
    }
}
