use super::*;
use kube::api::{Patch, PatchParams};

async fn applied(room: &Room, manager: &str, force: bool, spec: Value) -> kube::Result<DynamicObject> {
    let mut params = PatchParams::apply(manager);
    params.force = force;
    let patch = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "web"}, "spec": spec
    });
    room.services().patch("web", &params, &Patch::Apply(patch)).await
}

pub async fn a_field_of_another_manager_is_a_conflict(room: &Room) {
    let spec = json!({"hosts": ["a"], "gateways": ["mesh"]});
    let made = applied(room, "one", false, spec.clone()).await.unwrap();
    assert_eq!(generation(&made), 1);
    let again = applied(room, "one", false, spec.clone()).await.unwrap();
    assert_eq!(version(&again), version(&made), "an apply of the same changes nothing");
    let refusal = refused(applied(room, "two", false, json!({"hosts": ["b"]})).await);
    let why = "Apply failed with 1 conflict: conflict with \"one\": .spec.hosts";
    assert_eq!(refusal, (409, "Conflict".into(), why.into()));
    let forced = applied(room, "two", true, json!({"hosts": ["b"]})).await.unwrap();
    assert_eq!(forced.data["spec"], json!({"hosts": ["b"], "gateways": ["mesh"]}));
    assert_eq!(generation(&forced), 2);
    assert_eq!(refused(applied(room, "one", false, spec).await).0, 409, "the field has gone to another");
    let patch = Patch::Merge(json!({"spec": {"hosts": ["c"]}}));
    room.services().patch("web", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(refused(applied(room, "two", false, json!({"hosts": ["b"]})).await).0, 409);
}

pub async fn what_is_no_longer_applied_goes(room: &Room) {
    applied(room, "one", false, json!({"hosts": ["a"], "gateways": ["mesh"], "exportTo": ["."]})).await.unwrap();
    applied(room, "two", false, json!({"gateways": ["mesh"]})).await.unwrap();
    let mut managed = room.services().get("web").await.unwrap();
    managed.metadata.resource_version = None;
    let refusal = room.services().patch("web", &PatchParams::apply("one"), &Patch::Apply(managed)).await;
    assert_eq!(refused(refusal).0, 400, "what was read can't be applied as it stands");
    let left = applied(room, "one", false, json!({"hosts": ["a"]})).await.unwrap();
    assert_eq!(left.data["spec"], json!({"hosts": ["a"], "gateways": ["mesh"]}));
    let params = PatchParams { dry_run: true, ..PatchParams::apply("one") };
    let patch = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "web"}, "spec": {"hosts": ["z"]}});
    let rehearsed = room.services().patch("web", &params, &Patch::Apply(patch)).await.unwrap();
    assert_eq!(rehearsed.data["spec"]["hosts"], json!(["z"]));
    assert_eq!(room.services().get("web").await.unwrap(), left);
}
