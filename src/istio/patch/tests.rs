use proptest::prelude::*;

use super::*;
use crate::istio::{
    drift,
    fixtures::{any_goal, any_json, any_live, live, routing, traffic, version},
    lens, matches_meant,
};

fn marks(journal: &str) -> Marks {
    Marks {
        labels: BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "tidegate".to_owned())]),
        annotations: BTreeMap::from([
            ("tidegate.dev/journal".to_owned(), Some(journal.to_owned())),
            ("tidegate.dev/stop".to_owned(), None),
        ]),
    }
}

fn patch_of(edit: &Edit) -> (Value, &Value) {
    match &edit.change {
        Change::Patch { patch, meant } => (serde_json::to_value(patch).unwrap(), meant),
        other => panic!("no patch: {other:?}"),
    }
}

/// The object after the edit, as a server would do it.
fn applied(live: &Value, edit: Option<Edit>) -> Value {
    let mut object = live.clone();
    if let Some(edit) = edit {
        let Change::Patch { patch, meant } = edit.change else { panic!("no patch") };
        json_patch::patch(&mut object, &patch).unwrap();
        assert_eq!(object, meant, "what is meant is what the patch does");
    }
    object
}

/// The object without what tidegate owns of it.
fn others(mut object: Value, spec_fields: &[&str], subsets: &[&str]) -> Value {
    for path in ["/spec", "/metadata/labels", "/metadata/annotations"] {
        let Some(map) = object.pointer_mut(path).and_then(Value::as_object_mut) else { continue };
        map.retain(|key, _| {
            !spec_fields.contains(&key.as_str())
                && !key.starts_with("tidegate.dev")
                && key != "app.kubernetes.io/managed-by"
        });
        if let Some(list) = map.get_mut("subsets").and_then(Value::as_array_mut) {
            list.retain(|subset| !subset["name"].as_str().is_some_and(|name| subsets.contains(&name)));
        }
    }
    // What tidegate had to make room for its own marks.
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, value| {
            !["labels", "annotations"].contains(&key.as_str()) || value.as_object().is_some_and(|map| !map.is_empty())
        });
    }
    object
}

#[test]
fn other_weights_of_the_same_destinations_are_set_one_by_one_with_tests() {
    let routing = routing("default", "reviews", &["v1", "v2", "v3"]);
    let object = live(desired::virtual_service(&routing, &traffic(&[("v1", 80), ("v2", 10), ("v3", 10)])));
    let meant = traffic(&[("v1", 70), ("v2", 20), ("v3", 10)]);
    let edit = route_edit(Some(&object), &routing, &meant, &Marks::default()).unwrap();
    let host = "reviews.default.svc.cluster.local";
    let expected = json!([
        {"op": "test", "path": "/metadata/uid", "value": "7f3c"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "41"},
        {"op": "test", "path": "/spec/http/0/route/0/destination", "value": {"host": host, "subset": "v1"}},
        {"op": "test", "path": "/spec/http/0/route/1/destination", "value": {"host": host, "subset": "v2"}},
        {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 70},
        {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": 20},
    ]);
    assert_eq!(patch_of(&edit).0, expected);
    assert_eq!(edit.key.to_string(), "default/reviews");
}

#[test]
fn a_new_destination_replaces_the_route_list_alone() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let object = live(desired::virtual_service(&routing, &traffic(&[("v1", 100)])));
    let edit = route_edit(Some(&object), &routing, &traffic(&[("v1", 95), ("v2", 5)]), &Marks::default()).unwrap();
    let (patch, _) = patch_of(&edit);
    let paths: Vec<_> = patch.as_array().unwrap().iter().map(|op| op["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/metadata/uid", "/metadata/resourceVersion", "/spec/http/0/route"]);
}

#[test]
fn marks_alone_touch_metadata_alone_and_their_keys_are_escaped() {
    let routing = routing("default", "reviews", &["v1"]);
    let all = traffic(&[("v1", 100)]);
    let mut object = live(desired::virtual_service(&routing, &all));
    object["metadata"]["annotations"] = json!({"tidegate.dev/stop": "alice", "theirs": "kept"});
    let edit = route_edit(Some(&object), &routing, &all, &marks("j")).unwrap();
    let (patch, meant) = patch_of(&edit);
    assert_eq!(
        patch.as_array().unwrap()[2..],
        [
            json!({"op": "add", "path": "/metadata/labels", "value": {"app.kubernetes.io/managed-by": "tidegate"}}),
            json!({"op": "add", "path": "/metadata/annotations/tidegate.dev~1journal", "value": "j"}),
            json!({"op": "remove", "path": "/metadata/annotations/tidegate.dev~1stop"}),
        ]
    );
    assert_eq!(meant["metadata"]["annotations"], json!({"tidegate.dev/journal": "j", "theirs": "kept"}));
}

#[test]
fn what_means_the_same_is_left_as_somebody_wrote_it() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let mut object = live(desired::virtual_service(&routing, &traffic(&[("v1", 100)])));
    object["spec"]["hosts"] = json!(["reviews"]);
    object["spec"]["gateways"] = json!(["mesh"]);
    object["spec"]["http"][0]["match"] = json!([]);
    object["spec"]["http"][0]["route"][0] = json!({"destination": {"host": "reviews", "subset": "v1"}, "weight": 0});
    assert_eq!(route_edit(Some(&object), &routing, &traffic(&[("v1", 100)]), &Marks::default()), None);
}

#[test]
fn an_object_that_is_not_there_is_created_with_its_marks() {
    let routing = routing("default", "reviews", &["v1"]);
    let edit = route_edit(None, &routing, &traffic(&[("v1", 100)]), &marks("j")).unwrap();
    let Change::Create(object) = edit.change else { panic!("no create") };
    assert_eq!(object["metadata"]["annotations"], json!({"tidegate.dev/journal": "j"}));
    assert_eq!(lens::label(&object, "app.kubernetes.io/managed-by"), Some("tidegate"));
    assert!(matches!(
        destinations_edit(None, &routing, &routing.versions, &Owned::default(), &Marks::default()),
        Some(Edit { kind: ObjectKind::DestinationRule, change: Change::Create(_), .. })
    ));
}

#[test]
fn a_subset_of_somebody_else_keeps_place_and_value() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let mut object = live(desired::destination_rule(&routing, &[version("v1"), version("v0"), version("v2")]));
    object["spec"]["subsets"].as_array_mut().unwrap().insert(1, json!({"name": "theirs", "x": null}));
    object["spec"]["trafficPolicy"] = json!({"tls": {"mode": "DISABLE"}});
    let owned = Owned { subsets: BTreeSet::from(["v0", "v1", "v2"].map(VersionName::new)), ..Owned::default() };
    let edit = destinations_edit(Some(&object), &routing, &[version("v2"), version("v3")], &owned, &Marks::default());
    let after = applied(&object, edit);
    let names: Vec<_> = lens::subsets(&after).collect();
    assert_eq!(names, ["theirs", "v2", "v3"]);
    assert_eq!(after["spec"]["trafficPolicy"], json!({"tls": {"mode": "DISABLE"}}));
}

#[test]
fn only_an_object_with_an_identity_is_deleted_and_exactly_it() {
    let routing = routing("default", "reviews", &["v1"]);
    let object = desired::virtual_service(&routing, &traffic(&[("v1", 100)]));
    assert_eq!(delete_edit(ObjectKind::VirtualService, &object), None);
    let edit = delete_edit(ObjectKind::VirtualService, &live(object)).unwrap();
    assert_eq!(edit.change, Change::Delete { uid: "7f3c".to_owned(), resource_version: "41".to_owned() });
}

proptest! {
    #[test]
    fn law_09_a_route_edit_reaches_the_goal_leaves_the_rest_and_is_idempotent(
        (object, _) in any_live(), (routing, traffic) in any_goal(), marked in any::<bool>(),
    ) {
        let marks = if marked { marks("j") } else { Marks::default() };
        let after = applied(&object, route_edit(Some(&object), &routing, &traffic, &marks));
        prop_assert_eq!(route_edit(Some(&after), &routing, &traffic, &marks), None);
        prop_assert_eq!(drift(&after, &routing, &traffic), crate::istio::Drift::default());
        if object["spec"].is_object() {
            let mut owned = vec!["hosts", "gateways", "http"];
            owned.extend(routing.virtual_service.export_to.as_ref().map(|_| "exportTo"));
            prop_assert_eq!(others(after.clone(), &owned, &[]), others(object, &owned, &[]));
        }
        // What was meant reads back as the goal, for a reader that knows nothing of how it was written.
        let shares = lens::live_shares(&after, &routing);
        let declared_last = shares.traffic.as_ref();
        prop_assert_eq!(declared_last, Some(&traffic));
        prop_assert!(shares.foreign.iter().all(|finding| finding.contains("tcp") || finding.contains("tls")), "{:?}", shares.foreign);
    }

    #[test]
    fn law_09_a_destinations_edit_reaches_the_goal_leaves_the_rest_and_is_idempotent(
        (_, object) in any_live(), (routing, _) in any_goal(), owns_v4 in any::<bool>(),
    ) {
        let subsets = owns_v4.then(|| VersionName::new("v4")).into_iter().collect();
        let owned = Owned { subsets, ..Owned::default() };
        let edit = destinations_edit(Some(&object), &routing, &routing.versions, &owned, &marks("j"));
        let after = applied(&object, edit);
        prop_assert_eq!(destinations_edit(Some(&after), &routing, &routing.versions, &owned, &marks("j")), None);
        for version in &routing.versions {
            let found: Vec<&Value> = items(spec(&after, "subsets")).iter().filter(|s| s["name"] == version.name.as_str()).collect();
            prop_assert_eq!(found.len(), 1);
            prop_assert!(same(found[0], &desired::subset(version)));
        }
        if object["spec"]["subsets"].is_array() {
            let mut fields = vec!["host"];
            fields.extend(routing.traffic_policy.as_ref().map(|_| "trafficPolicy"));
            fields.extend(routing.destination_rule.export_to.as_ref().map(|_| "exportTo"));
            let mut names: Vec<&str> = routing.versions.iter().map(|version| version.name.as_str()).collect();
            names.extend(owns_v4.then_some("v4"));
            prop_assert_eq!(others(after, &fields, &names), others(object, &fields, &names));
        }
    }

    #[test]
    fn weights_alone_never_replace_a_list((routing, traffic) in any_goal(), shift in any::<u8>()) {
        let served: Vec<_> = traffic.iter().collect();
        let most = served[0].1 - 1;
        if served.len() < 2 || most == 0 {
            return Ok(());
        }
        let shift = 1 + shift % most;
        let moved = served.iter().enumerate().map(|(at, (name, weight))| {
            ((*name).clone(), match at { 0 => weight - shift, 1 => weight + shift, _ => *weight })
        });
        let moved = Traffic::new(moved).unwrap();
        let object = live(desired::virtual_service(&routing, &traffic));
        let edit = route_edit(Some(&object), &routing, &moved, &Marks::default()).unwrap();
        let (patch, meant) = patch_of(&edit);
        prop_assert!(patch.as_array().unwrap().iter().all(|op| op["op"] == "test" || op["path"].as_str().unwrap().ends_with("/weight")));
        prop_assert!(matches_meant(&live(desired::virtual_service(&routing, &moved)), meant));
    }

    #[test]
    fn no_json_makes_an_edit_panic(object in any_json(), (routing, traffic) in any_goal()) {
        let _ = route_edit(Some(&object), &routing, &traffic, &marks("j"));
        let _ = destinations_edit(Some(&object), &routing, &routing.versions, &Owned::default(), &marks("j"));
        let _ = delete_edit(ObjectKind::VirtualService, &object);
        let _ = drift(&object, &routing, &traffic);
        let _ = matches_meant(&object, &object);
    }
}
