use super::*;
use kube::api::{Patch, PatchParams};

async fn patched(room: &Room, patch: Value) -> kube::Result<DynamicObject> {
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    room.services().patch("web", &PatchParams::default(), &Patch::<()>::Json(patch)).await
}

pub async fn a_json_patch_is_all_or_nothing(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    let weights = |from: &DynamicObject, canary: i64| {
        let route = "/spec/http/0/route";
        json!([
            {"op": "test", "path": "/metadata/uid", "value": from.uid()},
            {"op": "test", "path": "/metadata/resourceVersion", "value": from.resource_version()},
            {"op": "test", "path": format!("{route}/1/destination"), "value": {"host": "web", "subset": "v2"}},
            {"op": "replace", "path": format!("{route}/0/weight"), "value": 100 - canary},
            {"op": "replace", "path": format!("{route}/1/weight"), "value": canary},
            {"op": "add", "path": "/metadata/annotations", "value": {"tidegate.dev/journal": "{}"}},
        ])
    };
    let moved = patched(room, weights(&made, 5)).await.unwrap();
    assert_eq!(generation(&moved), 2);
    assert_eq!(moved.data["spec"]["http"][0]["route"][1]["weight"], 5);
    let failed =
        (422, "Invalid".to_owned(), "the server rejected our request due to an error in our request".to_owned());
    assert_eq!(refused(patched(room, weights(&made, 50)).await), failed);
    let absent = json!([{"op": "test", "path": "/spec/tls", "value": null}]);
    assert_eq!(version(&patched(room, absent).await.unwrap()), version(&moved), "what is not there is null");
    let nowhere = json!([{"op": "replace", "path": "/spec/tls/0/match", "value": []}]);
    assert_eq!(refused(patched(room, nowhere).await), failed);
    assert_eq!(room.services().get("web").await.unwrap(), moved);
}

pub async fn a_merge_patch_may_name_the_version_it_expects(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    let merge = |patch: Value| {
        let api = room.services();
        async move { api.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await }
    };
    let moved =
        merge(json!({"metadata": {"resourceVersion": version(&made)}, "spec": {"hosts": ["a"]}})).await.unwrap();
    assert_eq!(moved.data["spec"]["hosts"], json!(["a"]));
    let stale = merge(json!({"metadata": {"resourceVersion": version(&made)}, "spec": {"hosts": ["b"]}})).await;
    let (code, reason, _) = refused(stale);
    assert_eq!((code, reason.as_str()), (409, "Conflict"));
    let unconditional = merge(json!({"metadata": {"resourceVersion": null}, "spec": {"hosts": ["b"]}})).await;
    assert_eq!(refused(unconditional).0, 422);
    assert_eq!(refused(merge(json!({"metadata": {"uid": "another"}})).await).0, 422);
    assert_eq!(refused(merge(json!({"metadata": {"name": "other"}})).await).0, 400);
    assert_eq!(refused(merge(json!({"metadata": {"namespace": "other"}})).await).0, 400);
    assert_eq!(refused(merge(json!({"metadata": {"annotations": {"n": 1}}})).await).0, 422);
    let unknown = merge(json!({"metadata": {"unknown": true}})).await.unwrap();
    assert_eq!(version(&unknown), version(&moved), "metadata that nobody knows is dropped");
    let other = room.services().patch("none", &PatchParams::default(), &Patch::Merge(json!({}))).await;
    assert_eq!(refused(other).0, 404);
}

pub async fn a_patch_of_the_wrong_form_is_refused(room: &Room) {
    room.create(web("web", [100, 0])).await;
    let strategic = room.services().patch("web", &PatchParams::default(), &Patch::Strategic(json!({}))).await;
    let (code, reason, _) = refused(strategic);
    assert_eq!((code, reason.as_str()), (415, "UnsupportedMediaType"));
    let anonymous = room.services().patch("web", &PatchParams::default(), &Patch::Apply(web("web", [90, 10]))).await;
    let (code, reason, _) = refused(anonymous);
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
}

pub async fn a_destination_needs_a_host_and_a_weight_is_an_integer(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    for spec in [
        json!({"http": [{"route": [{"destination": {"subset": "v1"}}]}]}),
        json!({"http": [{"route": [{"destination": {"host": "web"}, "weight": "7"}]}]}),
        json!({"http": [{"route": [{"destination": {"host": "web"}, "weight": 7.5}]}]}),
        json!({"http": {}}),
    ] {
        let patch = Patch::Merge(json!({"spec": spec}));
        let (code, reason, message) = refused(room.services().patch("web", &PatchParams::default(), &patch).await);
        assert_eq!((code, reason.as_str()), (422, "Invalid"), "{message}");
        assert!(message.starts_with("VirtualService.networking.istio.io \"web\" is invalid: "), "{message}");
        assert!(message.contains("spec.http"), "{message}");
    }
    assert_eq!(room.services().get("web").await.unwrap(), made);
    let rules = room.api("networking.istio.io", "v1", "DestinationRule");
    let rule = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "web"}, "spec": {"subsets": [{"labels": {"version": "v1"}}]}
    });
    let (code, _, message) = refused(rules.create(&PostParams::default(), &object(rule)).await);
    assert_eq!(code, 422);
    assert!(message.contains("spec.subsets[0].name") && message.contains("spec.host"), "{message}");
}
