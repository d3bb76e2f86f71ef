use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::istio::{
    Change, SEAL, destination_rule,
    fixtures::{any_goal, any_live, live, routing, traffic},
    virtual_service,
};

const WAIT_MS: i64 = 2_000;

/// A cluster of two objects with a clock.
struct World {
    virtual_service: Option<Value>,
    destination_rule: Option<Value>,
    dr_seen_ms: Option<i64>,
    now_ms: i64,
    route_late: bool,
    leaving: BTreeSet<VersionName>,
}

impl World {
    fn of(virtual_service: Option<Value>, destination_rule: Option<Value>) -> Self {
        let (route_late, leaving) = (false, BTreeSet::new());
        Self { virtual_service, destination_rule, dr_seen_ms: Some(-1_000_000), now_ms: 0, route_late, leaving }
    }

    fn next(&self, routing: &Routing, traffic: &Traffic, owned: &BTreeSet<VersionName>, may_remove: bool) -> Next {
        let marks = Marks { annotations: BTreeMap::from([("a".to_owned(), Some("b".to_owned()))]), ..Marks::default() };
        next(&OrderView {
            virtual_service: self.virtual_service.as_ref(),
            destination_rule: self.destination_rule.as_ref(),
            routing,
            traffic,
            subsets: &routing.versions,
            owned: &Owned { subsets: owned.clone(), traffic_policy: false },
            route_marks: &marks,
            destination_marks: &marks,
            rule_taken_ms: self.dr_seen_ms.unwrap_or(self.now_ms) + WAIT_MS,
            now_ms: self.now_ms,
            convergence_wait_ms: WAIT_MS,
            may_remove,
            route_late: self.route_late,
            leaving: &self.leaving,
        })
    }

    fn write(&mut self, edit: Edit) {
        let slot = match edit.kind {
            ObjectKind::VirtualService => &mut self.virtual_service,
            ObjectKind::DestinationRule => &mut self.destination_rule,
        };
        let before = slot.as_ref().map(|object| object["spec"].clone());
        *slot = Some(match edit.change {
            Change::Create(object) => live(object),
            Change::Patch { meant, .. } => meant,
            Change::Delete { .. } => panic!("never deleted and re-created"),
        });
        if edit.kind == ObjectKind::DestinationRule && before != slot.as_ref().map(|object| object["spec"].clone()) {
            self.dr_seen_ms = Some(self.now_ms);
        }
    }
}

fn kind(next: &Next) -> Option<ObjectKind> {
    match next {
        Next::Write(edit) => Some(edit.kind),
        _ => None,
    }
}

#[test]
fn where_nothing_is_live_the_destination_rule_comes_first_and_proxies_get_time() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let (goal, owned) = (traffic(&[("v1", 100)]), BTreeSet::new());
    let mut world = World { dr_seen_ms: None, ..World::of(None, None) };
    let Next::Write(edit) = world.next(&routing, &goal, &owned, true) else { panic!("no write") };
    assert_eq!(edit.kind, ObjectKind::DestinationRule);
    world.write(edit);
    let what = "the proxies to have the DestinationRule's new subsets";
    assert_eq!(world.next(&routing, &goal, &owned, true), Next::Wait { until_ms: WAIT_MS, what });
    world.now_ms = WAIT_MS;
    let Next::Write(edit) = world.next(&routing, &goal, &owned, true) else { panic!("no write") };
    assert_eq!(edit.kind, ObjectKind::VirtualService);
    world.write(edit);
    assert_eq!(world.next(&routing, &goal, &owned, true), Next::Nothing);
}

#[test]
fn what_may_come_late_is_sealed_off_before_anything_relies_on_its_absence() {
    let (before, after) = (routing("default", "reviews", &["v1", "v2"]), routing("default", "reviews", &["v1"]));
    let object = live(virtual_service(&before, &traffic(&[("v1", 100)])));
    let rule = live(destination_rule(&before, &before.versions));
    let both = BTreeSet::from(["v1", "v2"].map(VersionName::new));
    let mut world = World { route_late: true, ..World::of(Some(object), Some(rule)) };
    let sealed = |next: Next| match next {
        Next::Seal(Edit { kind, change: Change::Patch { meant, .. }, .. }) => {
            assert_eq!(lens::annotation(&meant, SEAL), lens::resource_version(&meant), "{meant}");
            Some(kind)
        }
        _ => None,
    };
    let goal = traffic(&[("v1", 100)]);
    let marked = world.next(&after, &goal, &both, false);
    assert_eq!(kind(&marked), Some(ObjectKind::VirtualService), "its marks");
    let Next::Write(edit) = marked else { return };
    world.write(edit);
    assert_eq!(sealed(world.next(&after, &goal, &both, true)), Some(ObjectKind::VirtualService), "a subset would go");
    world.route_late = false;
    assert_eq!(kind(&world.next(&after, &goal, &both, true)), Some(ObjectKind::DestinationRule));
    world.leaving.insert(VersionName::new("v2"));
    let raise = traffic(&[("v1", 90), ("v2", 10)]);
    assert_eq!(sealed(world.next(&before, &raise, &both, false)), Some(ObjectKind::DestinationRule), "one may go");
    assert_eq!(kind(&world.next(&before, &traffic(&[("v1", 100)]), &both, false)), None);
}

#[test]
fn weights_between_served_subsets_wait_for_nothing() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let object = live(virtual_service(&routing, &traffic(&[("v1", 50), ("v2", 50)])));
    let rule = live(destination_rule(&routing, &routing.versions));
    let world = World { dr_seen_ms: Some(0), ..World::of(Some(object), Some(rule)) };
    let next = world.next(&routing, &traffic(&[("v1", 100)]), &BTreeSet::new(), false);
    assert_eq!(kind(&next), Some(ObjectKind::VirtualService), "marks of the DestinationRule come after");
}

#[test]
fn law_03_a_way_back_stands_before_a_subset_that_it_does_not_need() {
    let before = routing("default", "reviews", &["v1", "v2"]);
    let after = routing("default", "reviews", &["v1", "v2", "v3"]);
    let object = live(virtual_service(&before, &traffic(&[("v1", 50), ("v2", 50)])));
    let mut rule = live(destination_rule(&before, &before.versions));
    let goal = traffic(&[("v1", 100)]);
    let world = World::of(Some(object.clone()), Some(rule.clone()));
    assert_eq!(kind(&world.next(&after, &goal, &BTreeSet::new(), false)), Some(ObjectKind::VirtualService));
    rule["spec"]["subsets"][0]["labels"] = json!({"version": "another"});
    let world = World::of(Some(object), Some(rule));
    assert_eq!(kind(&world.next(&after, &goal, &BTreeSet::new(), false)), Some(ObjectKind::DestinationRule));
}

#[test]
fn a_destination_of_weight_0_has_not_been_served_yet() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let mut object = live(virtual_service(&routing, &traffic(&[("v1", 50), ("v2", 50)])));
    object["spec"]["http"][0]["route"][0]["weight"] = json!(100);
    object["spec"]["http"][0]["route"][1]["weight"] = json!(0);
    let rule = live(destination_rule(&routing, &routing.versions));
    let world = World { dr_seen_ms: Some(0), ..World::of(Some(object), Some(rule)) };
    let next = world.next(&routing, &traffic(&[("v1", 95), ("v2", 5)]), &BTreeSet::new(), false);
    assert!(matches!(next, Next::Wait { until_ms: WAIT_MS, .. }), "{next:?}");
}

#[test]
fn a_subset_goes_only_when_the_routes_have_drained_and_none_refers_to_it() {
    let before = routing("default", "reviews", &["v1", "v2"]);
    let after = routing("default", "reviews", &["v2"]);
    let owned = BTreeSet::from(["v1", "v2"].map(VersionName::new));
    let goal = traffic(&[("v2", 100)]);
    let object = live(virtual_service(&before, &traffic(&[("v1", 50), ("v2", 50)])));
    let mut world = World::of(Some(object), Some(live(destination_rule(&before, &before.versions))));
    let Next::Write(edit) = world.next(&after, &goal, &owned, true) else { panic!("no write") };
    assert_eq!(edit.kind, ObjectKind::VirtualService);
    world.write(edit);
    while let Next::Write(edit) = world.next(&after, &goal, &owned, false) {
        world.write(edit);
    }
    assert_eq!(lens::subsets(world.destination_rule.as_ref().unwrap()).collect::<Vec<_>>(), ["v1", "v2"]);

    let mut mirrored = World::of(world.virtual_service.clone(), world.destination_rule.clone());
    mirrored.virtual_service.as_mut().unwrap()["spec"]["tcp"] =
        json!([{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]);
    assert_eq!(mirrored.next(&after, &goal, &owned, true), Next::Nothing, "somebody's tcp route still refers to v1");

    let Next::Write(edit) = world.next(&after, &goal, &owned, true) else { panic!("no write") };
    world.write(edit);
    assert_eq!(lens::subsets(world.destination_rule.as_ref().unwrap()).collect::<Vec<_>>(), ["v2"]);
    assert_eq!(world.next(&after, &goal, &owned, true), Next::Nothing);
}

#[test]
fn a_route_to_a_subset_that_nothing_defines_is_never_written() {
    let routing = routing("default", "reviews", &["v1"]);
    let rule = live(destination_rule(&routing, &routing.versions));
    let world = World::of(None, Some(rule));
    let next = world.next(&routing, &traffic(&[("v9", 100)]), &BTreeSet::new(), true);
    assert!(matches!(next, Next::Wait { .. }), "{next:?}");
}

proptest! {
    /// From any live objects: no proxy is ever sent to a subset that it cannot know, nothing is deleted, and it ends
    /// as meant.
    #[test]
    fn make_before_break_from_anywhere(
        (object, rule) in any_live(), (routing, traffic) in any_goal(), present in any::<(bool, bool)>(),
    ) {
        let owned = BTreeSet::from(["v1", "v2", "v3", "v4"].map(VersionName::new));
        let mut world = World::of(present.0.then_some(object), present.1.then_some(rule));
        let mut writes = 0;
        for _ in 0..12 {
            match world.next(&routing, &traffic, &owned, true) {
                Next::Nothing => break,
                Next::Wait { until_ms, .. } => {
                    prop_assert!(until_ms > world.now_ms);
                    world.now_ms = until_ms;
                }
                Next::Seal(edit) => prop_assert!(false, "nothing is late: {:?}", edit),
                Next::Write(edit) => {
                    let is_route = edit.kind == ObjectKind::VirtualService;
                    let served = |world: &World| -> BTreeSet<String> {
                        let live = world.virtual_service.iter();
                        live.flat_map(|live| lens::referenced(live, &routing.service, true)).map(str::to_owned).collect()
                    };
                    let before = served(&world);
                    world.write(edit);
                    let defined: BTreeSet<&str> = world.destination_rule.iter().flat_map(lens::subsets).collect();
                    if is_route {
                        let after = served(&world);
                        prop_assert!(after.difference(&before).all(|subset| defined.contains(subset.as_str())));
                        let fresh = world.dr_seen_ms.is_none_or(|seen| world.now_ms - seen < WAIT_MS);
                        prop_assert!(!fresh || after.is_subset(&before));
                    }
                    writes += 1;
                }
            }
        }
        prop_assert_eq!(world.next(&routing, &traffic, &owned, true), Next::Nothing);
        prop_assert!(writes <= 4, "{} writes", writes);
        let names: Vec<&str> = world.destination_rule.iter().flat_map(lens::subsets).collect();
        for version in &routing.versions {
            prop_assert!(names.contains(&version.name.as_str()));
        }
    }
}
