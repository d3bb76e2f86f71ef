//! Of several clusters the one that holds a plan up is named, whatever it holds it up by.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    draft::{Draft, plan},
    pair::{EAST, Pair, WEST, settled, to_v2},
};
use crate::{
    istio::ObjectKind,
    plan::{DriftPolicy, ObjectKey, OnFailure, VersionName},
    rollout::{
        Altered, ClusterView, Endpoints, Fight, Image, Images, JournalError, Noted, Proxies, Reason, STOP, Taken,
        Wanted, World, decide,
    },
};

/// Two clusters at one moment.
#[derive(Clone)]
struct Moment {
    world: World,
    now: Timestamp,
}

impl Moment {
    fn of(pair: &Pair, seconds: i64) -> Self {
        let now = pair.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let mut world = pair.worker.clone().world(now, &pair.around);
        world.git.last_look = Some(now);
        Self { world, now }
    }

    /// Something is so in one cluster of the two.
    fn with(mut self, change: impl FnOnce(&mut ClusterView, Timestamp)) -> Self {
        change(self.world.clusters.get_mut(WEST).unwrap(), self.now);
        self
    }

    fn reason(&self) -> Reason {
        decide(&self.world, self.now).reason
    }
}

/// A walk that has held its first step.
fn due(draft: Draft) -> Moment {
    let mut pair = settled();
    pair.push(draft);
    pair.pass(100);
    Moment::of(&pair, 600)
}

/// A target that has held.
fn held(draft: Draft) -> Moment {
    let mut pair = settled();
    pair.ready("west/v3", Some(0));
    pair.push(draft);
    for seconds in [303, 603, 603, 60] {
        pair.pass(seconds);
    }
    Moment::of(&pair, 900)
}

fn at_rest(draft: Draft) -> Moment {
    let mut pair = settled();
    pair.push(draft);
    pair.pass(60);
    Moment::of(&pair, 60)
}

/// A plan that nothing is live of.
fn first(draft: Draft) -> Moment {
    let mut pair = Pair::new();
    pair.queue.clear();
    let mut known = settled();
    known.push(draft);
    pair.worker.want(known.worker.wanted.clone());
    Moment::of(&pair, 0)
}

fn none_ready(view: &mut ClusterView, name: &str, since: Timestamp) {
    view.endpoints.insert(VersionName::new(name), Endpoints { ready: Some(0), none_since: Some(since) });
}

fn ready(view: &mut ClusterView, name: &str, count: u32) {
    view.endpoints.insert(VersionName::new(name), Endpoints { ready: Some(count), none_since: None });
}

fn other() -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: "theirs".into() }
}

/// Somebody else's route, with these marks.
fn theirs(annotations: Value, ours: bool) -> Arc<Value> {
    let labels = if ours { json!({"app.kubernetes.io/managed-by": "tidegate"}) } else { json!({}) };
    Arc::new(json!({
        "metadata": {"name": "web", "namespace": "shop", "labels": labels, "annotations": annotations},
        "spec": {"hosts": ["web"], "http": [{"name": "odd", "route": [{"destination": {"host": "odd"}}]}]},
    }))
}

fn annotated(live: &Option<Arc<Value>>, name: &str, text: &str) -> Option<Arc<Value>> {
    let mut live = Value::clone(live.as_deref().unwrap());
    live["metadata"]["annotations"][name] = text.into();
    Some(Arc::new(live))
}

fn quiet() -> Draft {
    plan("v1=100").steps("10:5m 25:10m 50:10m").from("v1=100")
}

/// Whatever can be about one cluster, each once or more by the reason's name.
static EVERYTHING: LazyLock<Vec<(&str, Moment)>> = LazyLock::new(everything);

fn everything() -> Vec<(&'static str, Moment)> {
    let walk = || due(to_v2());
    let no_steps = || plan("v1=100");
    let whole = |draft: Draft| draft.with(|plan| plan.readiness.capacity_percent = 400);
    let kept = |draft: Draft| draft.with(|plan| plan.readiness.way_back_percent = 100);
    let adopts = |draft: Draft| draft.with(|plan| plan.take_ownership = true);
    let lost = |draft: Draft| {
        first(draft).with(|view, _| {
            view.virtual_service = Some(theirs(json!({"tidegate.dev/plan": "plans/shop/web"}), true));
            view.was_ours = true;
        })
    };
    let noted = |noted: Noted| {
        let mut moment = first(no_steps());
        moment.world.settings.notes = true;
        moment.world.clusters.get_mut(EAST).unwrap().noted = Noted::Nothing;
        moment.with(|view, _| view.noted = noted)
    };
    let fight = |now: Timestamp| Fight {
        kind: ObjectKind::VirtualService,
        object: other(),
        corrections: 5,
        by: None,
        until: now.checked_add(SignedDuration::from_secs(60)).unwrap(),
    };
    let patch = |live: &Option<Arc<Value>>| {
        let mut live = Value::clone(live.as_deref().unwrap());
        live["spec"]["http"][0]["timeout"] = "7s".into();
        Some(Arc::new(live))
    };
    vec![
        ("Converging", {
            let mut pair = settled();
            pair.push(to_v2());
            let mut moment = Moment::of(&pair, 1);
            moment.world.settings.asks_proxies = true;
            let since = Taken::Since(moment.now);
            let taken = Proxies { route: since.clone(), rule: since };
            moment.world.clusters.get_mut(EAST).unwrap().proxies = Some(taken);
            let waited = Taken::Awaited { why: "one of istiod's proxies has not".into() };
            moment.with(|view, _| {
                view.unanswered = false;
                view.proxies = Some(Proxies { route: waited.clone(), rule: waited });
            })
        }),
        ("EndpointsNotReady", walk().with(|view, now| none_ready(view, "v2", now))),
        ("EndpointsNotReady", held(to_v2()).with(|view, now| none_ready(view, "v2", now))),
        ("CapacityShort", due(whole(to_v2())).with(|view, _| ready(view, "v2", 1))),
        ("WayBackShort", due(kept(to_v2())).with(|view, _| ready(view, "v1", 1))),
        ("PinNotReady", held(to_v2().pin("qa", "v3"))),
        ("HostClaimed", walk().with(|view, _| view.claims = vec![other()])),
        ("HostClaimed", first(no_steps()).with(|view, _| view.claims = vec![other()])),
        ("SubsetsShadowed", walk().with(|view, _| view.shadow = Some(other()))),
        ("DependencyNotApplied", walk().with(|view, _| view.dependency = Some("Gateway shop/in".into()))),
        ("MeshIncomplete", walk().with(|view, _| view.beyond = Some("cluster far of the mesh of west is away".into()))),
        ("ClockSkew", walk().with(|view, _| view.clock_offset_ms = Some(9_000))),
        ("ClusterAway", walk().with(|view, now| view.away_since = Some(now))),
        ("ClusterNew", {
            let mut pair = settled();
            pair.ready("west/v1", Some(0));
            pair.meets(WEST);
            pair.push(to_v2());
            Moment::of(&pair, 60)
        }),
        (
            "Stopped",
            at_rest(quiet().timeout("3s"))
                .with(|view, _| view.virtual_service = annotated(&view.virtual_service, STOP, "ada")),
        ),
        ("WentBack", walk().with(|view, now| none_ready(view, "v2", now - SignedDuration::from_secs(60)))),
        (
            "WentBack",
            walk().with(|view, _| {
                let refused = Taken::Refused { why: "proxy web-1 says no".into() };
                view.proxies = Some(Proxies { route: refused.clone(), rule: refused });
            }),
        ),
        ("FailureHeld", {
            let holds = to_v2().with(|plan| plan.on_failure = OnFailure::Hold);
            due(holds).with(|view, now| none_ready(view, "v2", now - SignedDuration::from_secs(60)))
        }),
        ("NoWayBack", {
            let mut moment = walk();
            for view in moment.world.clusters.values_mut() {
                none_ready(view, "v1", moment.now);
            }
            moment.with(|view, _| view.rejected = Some("denied".into()))
        }),
        (
            "OwnedBySomebodyElse",
            first(no_steps()).with(|view, _| view.virtual_service = Some(theirs(json!({}), false))),
        ),
        (
            "OwnedBySomebodyElse",
            first(no_steps()).with(|view, _| view.destination_rule = Some(theirs(json!({}), false))),
        ),
        ("OwnedByOtherPlan", {
            let mut moment = first(no_steps());
            moment.world.living_owners = vec!["plans/shop/web".to_owned()];
            if let Wanted::Plan { owner, .. } = &mut moment.world.wanted {
                owner.plan.name = "other".to_owned();
            }
            moment.with(|view, _| *view = walk().world.clusters.remove(WEST).unwrap())
        }),
        (
            "CannotAdopt",
            first(adopts(no_steps())).with(|view, _| view.virtual_service = Some(theirs(json!({}), false))),
        ),
        (
            "CannotAdopt",
            first(adopts(no_steps())).with(|view, _| {
                let mut rule = Value::clone(&theirs(json!({}), false));
                rule["spec"] = json!({"host": "web", "subsets": [{"name": "v1", "labels": {"version": "v9"}}]});
                view.destination_rule = Some(Arc::new(rule));
            }),
        ),
        ("JournalLost", lost(no_steps())),
        ("JournalNewer", walk().with(|view, _| view.journal = Some(Err(JournalError::Newer(9))))),
        ("NotesNotRead", noted(Noted::UNASKED)),
        ("NoteUnreadable", noted(Noted::of("{"))),
        ("Rejected", first(no_steps()).with(|view, _| view.rejected = Some("denied".into()))),
        (
            "Rejected",
            walk().with(|view, _| {
                view.rejected = Some("no right".into());
                view.forbidden = true;
            }),
        ),
        ("ImagesChanged", {
            let mut pair = Pair::new();
            for cluster in [EAST, WEST] {
                pair.run(cluster, "v1", "web:1");
            }
            pair.push(quiet());
            pair.pass(60);
            pair.run(WEST, "v1", "web:2");
            pair.pass(1);
            Moment::of(&pair, 1)
        }),
        (
            "CannotServe",
            at_rest(quiet()).with(|view, now| {
                none_ready(view, "v1", now);
                let mut live = Value::clone(view.virtual_service.as_deref().unwrap());
                live["spec"]["http"][0]["route"] =
                    json!([{"destination": {"host": "web", "subset": "v2"}, "weight": 100}]);
                view.virtual_service = Some(Arc::new(live));
            }),
        ),
        ("Drift", {
            let warns = quiet().with(|plan| plan.drift = DriftPolicy::Warn);
            at_rest(warns).with(|view, _| view.virtual_service = patch(&view.virtual_service))
        }),
        ("DriftFight", walk().with(|view, now| view.fight = Some(fight(now)))),
        (
            "WriteAltered",
            walk().with(|view, now| {
                view.altered = Some(Altered { kind: ObjectKind::VirtualService, at: "/spec".into(), until: now });
            }),
        ),
    ]
}

/// Whether a reason may be about one cluster of several; a new one has to say.
fn may_be_of_one(reason: &Reason) -> bool {
    match reason.plainly() {
        Reason::Settled
        | Reason::GitUnknown
        | Reason::Hold { .. }
        | Reason::Blind { .. }
        | Reason::NoLease { .. }
        | Reason::TipNotAccepted { .. }
        | Reason::GuardOnly
        | Reason::NewerInvalid
        | Reason::Refused { .. }
        | Reason::Paused
        | Reason::Suspended
        | Reason::Relabelled { .. }
        | Reason::NoBaseline
        | Reason::JournalTooLarge { .. }
        | Reason::Released
        | Reason::Writing => false,
        Reason::Converging { .. }
        | Reason::Endpoints { .. }
        | Reason::CapacityShort { .. }
        | Reason::WayBackShort { .. }
        // What a worker is told of a namespace names its cluster by itself.
        | Reason::NoNamespace { .. }
        | Reason::Pin { .. }
        | Reason::Stopped { .. }
        | Reason::WentBack { .. }
        | Reason::FailureHeld { .. }
        | Reason::NoWayBack { .. }
        | Reason::Foreign { .. }
        | Reason::OtherPlan { .. }
        | Reason::Claimed { .. }
        | Reason::Shadowed { .. }
        | Reason::Dependency { .. }
        | Reason::MeshIncomplete { .. }
        | Reason::CannotAdopt { .. }
        | Reason::JournalLost { .. }
        | Reason::JournalNewer { .. }
        | Reason::NotesUnknown { .. }
        | Reason::NoteUnreadable { .. }
        | Reason::ClockSkew { .. }
        | Reason::Away { .. }
        | Reason::NewCluster { .. }
        | Reason::Rejected { .. }
        | Reason::ImagesChanged { .. }
        | Reason::CannotServe { .. }
        | Reason::Drift { .. }
        | Reason::DriftFight { .. }
        | Reason::WriteAltered { .. } => true,
        Reason::In { .. } => unreachable!("it is plain"),
    }
}

#[test]
fn law_13_of_several_clusters_the_one_that_holds_a_plan_up_is_named() {
    let mut met = BTreeSet::new();
    for (name, moment) in EVERYTHING.iter() {
        let reason = moment.reason();
        assert_eq!(reason.name(), *name, "{reason}");
        assert!(may_be_of_one(&reason), "{reason}");
        assert!(reason.to_string().contains(WEST) && !reason.to_string().contains(EAST), "{name}: {reason}");
        // Of what failed, the cause says where.
        let told = ["WentBack", "FailureHeld", "NoWayBack", "MeshIncomplete"].contains(name);
        assert!(told || reason.cluster().is_some_and(|cluster| cluster == WEST), "{name}: {reason:?}");
        met.insert(*name);
    }
    assert_eq!(met.len(), 29, "all but the namespace: {met:?}");
}

#[test]
fn where_there_is_one_cluster_it_is_not_named() {
    for (name, moment) in EVERYTHING.iter() {
        let mut moment = moment.clone();
        moment.world.clusters.remove(EAST);
        let reason = moment.reason();
        let by_itself = ["ClusterAway", "MeshIncomplete", "Drift", "DriftFight", "WriteAltered"].contains(name);
        assert!(!matches!(reason, Reason::In { .. }), "{name}: {reason}");
        assert!(by_itself || !reason.to_string().contains("cluster west"), "{name}: {reason}");
    }
}

#[test]
fn a_stop_that_stands_in_all_clusters_is_of_none() {
    let mut moment = at_rest(quiet().timeout("3s"));
    for view in moment.world.clusters.values_mut() {
        view.virtual_service = annotated(&view.virtual_service, STOP, "ada");
    }
    let reason = moment.reason();
    assert_eq!((reason.name(), reason.cluster()), ("Stopped", None), "{reason}");
}

#[test]
fn images_that_changed_in_all_clusters_are_of_none() {
    let mut moment = EVERYTHING.iter().find(|(name, _)| *name == "ImagesChanged").unwrap().1.clone();
    let images = Images::of(Image::of([("web:2", None)]));
    moment.world.clusters.get_mut(EAST).unwrap().images.extend(images.map(|images| (VersionName::new("v1"), images)));
    let reason = moment.reason();
    assert_eq!((reason.name(), reason.cluster()), ("ImagesChanged", None), "{reason}");
}

#[test]
fn a_wave_of_one_cluster_is_named_among_those_of_the_plan() {
    let waves = vec![vec![WEST.to_owned()], vec![EAST.to_owned()]];
    let mut pair = settled();
    pair.ready("west/v2", Some(0));
    pair.push(to_v2().with(|plan| plan.waves = waves));
    let reason = Moment::of(&pair, 0).reason();
    assert_eq!((reason.name(), reason.cluster().map(String::as_str)), ("EndpointsNotReady", Some(WEST)), "{reason}");
}
