//! One route without an API server: its worker, driven until nothing is left to do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate::cluster::Outcome;
use tidegate::istio::{Change, ObjectKind};
use tidegate::plan::{Document, ObjectKey, Plan, Revision, Routing, parse_file};
use tidegate::reconcile::{Effect, Event, Sight, Worker};
use tidegate::rollout::{ClusterView, Endpoints, GitSight, Journal, Lease, Owner, Settings, Wanted, World};

use crate::plans::plan;

const CLUSTER: &str = "here";

/// A world in which every version has two ready endpoints and nothing is in the way.
pub struct Well(pub Timestamp);

impl Sight for Well {
    fn ready(&self, _: &str, _: &str, _: &str, _: &BTreeMap<String, String>) -> Option<u32> {
        Some(2)
    }

    fn claims(&self, _: &str, _: &ObjectKey, _: &Routing) -> Vec<ObjectKey> {
        Vec::new()
    }

    fn clock_offset_ms(&self, _: &str) -> Option<i64> {
        Some(0)
    }

    fn dependency(&self, _: &str, _: &Routing) -> Option<String> {
        None
    }

    fn git(&self) -> GitSight {
        GitSight { last_look: Some(self.0), max_age_s: 300, refused: None }
    }

    fn lives(&self, _: &str) -> bool {
        true
    }
}

/// A settled route.
pub struct Route {
    pub worker: Worker,
    pub now: Timestamp,
    wanted: Wanted,
    objects: BTreeMap<ObjectKind, Arc<Value>>,
}

impl Route {
    /// A plan of two steps that has walked to its target and is settled there.
    pub fn settled() -> Self {
        let mut now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut objects: BTreeMap<ObjectKind, Arc<Value>> = BTreeMap::new();
        let mut worker = Worker::new(document(0).object(), Settings::default(), [CLUSTER.to_owned()]);
        let gone = |kind| Event::Object { cluster: CLUSTER.to_owned(), kind, live: None };
        let mut events = VecDeque::from([gone(ObjectKind::VirtualService), gone(ObjectKind::DestinationRule)]);
        let mut version = 0;
        let mut wanted = Wanted::Unknown;
        for v2 in [0, 50] {
            let plan = document(v2);
            let owner = Owner { repository: "bench".to_owned(), plan: plan.key.clone() };
            let revision = Revision { branch: "main".to_owned(), commit: format!("{v2:040}") };
            wanted = Wanted::Plan { plan, revision, owner, newer_invalid: false };
            events.push_back(Event::Wanted(wanted.clone()));
            for _ in 0..200 {
                let Some(event) = events.pop_front() else {
                    now += SignedDuration::from_secs(60);
                    events.push_back(Event::Look);
                    continue;
                };
                for effect in worker.handle(event, now, &Well(now)) {
                    let Effect::Write { cluster, edit, .. } = effect else { continue };
                    version += 1;
                    let (Change::Create(live) | Change::Patch { meant: live, .. }) = &edit.change else { continue };
                    let mut live = live.clone();
                    live["metadata"]["uid"] = json!(format!("uid-{}", edit.kind.plural()));
                    live["metadata"]["resourceVersion"] = json!(version.to_string());
                    let live = Arc::new(live);
                    objects.insert(edit.kind, live.clone());
                    events.push_back(Event::Written {
                        cluster,
                        kind: edit.kind,
                        outcome: Outcome::Applied(Some(live)),
                    });
                }
            }
        }
        let route = Self { worker, now, wanted, objects };
        assert!(route.journal().is_settled() && route.journal().state.traffic.to_string().contains("50"));
        route
    }

    fn journal(&self) -> Journal {
        Journal::on(&self.objects[&ObjectKind::VirtualService]).unwrap().unwrap()
    }

    /// What a decision about it sees.
    pub fn world(&self) -> World {
        let journal = Arc::new(self.journal());
        let live = |kind| Some(self.objects[&kind].clone());
        let copy = Journal::on(&self.objects[&ObjectKind::DestinationRule]).unwrap().unwrap();
        let ready = Endpoints { ready: Some(2), none_since: None };
        let view = ClusterView {
            virtual_service: live(ObjectKind::VirtualService),
            destination_rule: live(ObjectKind::DestinationRule),
            copy: Some(Arc::new(copy)),
            journal: Some(Ok(journal.clone())),
            memory: Some(journal.clone()),
            spec_seen: Some(self.now),
            subsets_seen: Some(self.now),
            endpoints: journal.plan.routing.versions.iter().map(|version| (version.name.clone(), ready)).collect(),
            clock_offset_ms: Some(0),
            ..ClusterView::empty()
        };
        World {
            wanted: self.wanted.clone(),
            former: None,
            repository: None,
            living_owners: vec![journal.owner.to_string()],
            git: Well(self.now).git(),
            lease: Lease::Alone,
            clusters: BTreeMap::from([(CLUSTER.to_owned(), view)]),
            settings: Settings::default(),
        }
    }
}

fn document(v2: u8) -> Arc<Plan> {
    let text = plan("shop", "reviews", v2, &["{weight: 1, hold: 10s}", "{weight: 10, hold: 10s}"]);
    let file = parse_file("plans/reviews.yaml", text.as_bytes());
    match file.documents.into_iter().next() {
        Some((Document::Plan(plan), _)) => plan,
        _ => panic!("the plan is refused: {:?}", file.findings),
    }
}
