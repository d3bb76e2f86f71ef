use super::*;
use kube::api::{DeleteParams, Patch, PatchParams};

pub async fn an_object_gets_what_the_server_keeps_about_it(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    assert_eq!(made.metadata.namespace.as_deref(), Some(room.namespace.as_str()));
    assert_eq!(generation(&made), 1);
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let mut unnamed = web("", [100, 0]);
    unnamed["metadata"] = json!({"generateName": "web-"});
    let named = room.create(unnamed).await.name_any();
    assert!(named.starts_with("web-") && named.len() == 9, "{named}");
    assert_eq!(room.services().get("web").await.unwrap(), made);
}

pub async fn a_name_is_taken_once_and_a_namespace_must_be_there(room: &Room) {
    room.create(web("web", [100, 0])).await;
    let again = room.services().create(&PostParams::default(), &object(web("web", [0, 100]))).await;
    let taken = "virtualservices.networking.istio.io \"web\" already exists";
    assert_eq!(refused(again), (409, "AlreadyExists".into(), taken.into()));
    let missing = room.services().get("none").await;
    let none = "virtualservices.networking.istio.io \"none\" not found";
    assert_eq!(refused(missing), (404, "NotFound".into(), none.into()));
    let nowhere: Api<DynamicObject> =
        Api::namespaced_with(room.client.clone(), "nowhere", &kind("networking.istio.io", "v1", "VirtualService"));
    let lost = nowhere.create(&PostParams::default(), &object(web("web", [100, 0]))).await;
    assert_eq!(refused(lost), (404, "NotFound".into(), "namespaces \"nowhere\" not found".into()));
    let ill = room.services().create(&PostParams::default(), &object(web("Web_1", [100, 0]))).await;
    let (code, reason, _) = refused(ill);
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    let mut wrong = web("other", [100, 0]);
    wrong["kind"] = "DestinationRule".into();
    let (code, reason, _) = refused(room.services().create(&PostParams::default(), &object(wrong)).await);
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    let unserved: Api<DynamicObject> = Api::namespaced_with(
        room.client.clone(),
        &room.namespace,
        &kind("networking.istio.io", "v9", "VirtualService"),
    );
    assert_eq!(refused(unserved.get("web").await).0, 404);
}

pub async fn a_generation_counts_changes_of_the_spec_alone(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    let merge = |patch: Value| {
        let api = room.services();
        async move { api.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap() }
    };
    let same = merge(json!({"spec": {"hosts": ["web"]}})).await;
    assert_eq!((version(&same), generation(&same)), (version(&made), 1), "a change of nothing keeps the version");
    let noted = merge(json!({"metadata": {"annotations": {"a": "b"}}})).await;
    assert_ne!(version(&noted), version(&made));
    assert_eq!(generation(&noted), 1);
    let moved = merge(json!({"spec": {"hosts": ["web", "web.shop"]}})).await;
    assert_eq!(generation(&moved), 2);
    let faked = merge(json!({"metadata": {"generation": 77, "creationTimestamp": null}})).await;
    assert_eq!(version(&faked), version(&moved), "the server's own metadata can't be written");
    let dropped = merge(json!({"status": {"observedGeneration": "1"}})).await;
    assert_eq!(version(&dropped), version(&moved), "a status is not written with the object");
    let cleared = merge(json!({"metadata": {"annotations": null}})).await;
    assert!(cleared.annotations().is_empty());
}

pub async fn a_replacement_must_name_the_version_it_replaces(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    let replace = |object: DynamicObject| {
        let api = room.services();
        async move { api.replace("web", &PostParams::default(), &object).await }
    };
    let mut next = made.clone();
    next.data["spec"]["http"][0]["route"][0]["weight"] = 90.into();
    let written = replace(next.clone()).await.unwrap();
    assert_eq!(generation(&written), 2);
    let (code, reason, message) = refused(replace(next.clone()).await);
    assert_eq!((code, reason.as_str()), (409, "Conflict"));
    assert!(message.contains("the object has been modified"), "{message}");
    next.metadata.resource_version = None;
    assert_eq!(refused(replace(next.clone()).await).0, 422);
    next.metadata.resource_version = written.resource_version();
    next.metadata.uid = Some("another".into());
    assert_eq!(refused(replace(next.clone()).await).0, 409);
    next.metadata.name = Some("other".into());
    let (code, _, message) = refused(replace(next).await);
    assert_eq!(code, 400, "{message}");
    let unconditional = room.api("", "v1", "ConfigMap");
    let config = |value: &str| {
        object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": value}}))
    };
    unconditional.create(&PostParams::default(), &config("1")).await.unwrap();
    let replaced = unconditional.replace("c", &PostParams::default(), &config("2")).await.unwrap();
    assert_eq!(replaced.data["data"]["a"], "2");
    assert_eq!(replaced.metadata.generation, None);
    let missing = unconditional.replace("d", &PostParams::default(), &config("2")).await;
    assert_eq!(refused(missing).0, 400);
}

pub async fn a_rehearsal_changes_nothing(room: &Room) {
    let dry = PostParams { dry_run: true, field_manager: None };
    let rehearsed = room.services().create(&dry, &object(web("web", [100, 0]))).await.unwrap();
    assert_eq!(rehearsed.resource_version(), None);
    assert_eq!(refused(room.services().get("web").await).0, 404);
    let made = room.create(web("web", [100, 0])).await;
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"hosts": ["other"]}}));
    let rehearsed = room.services().patch("web", &params, &patch).await.unwrap();
    assert_eq!(rehearsed.data["spec"]["hosts"], json!(["other"]));
    assert_eq!((version(&rehearsed), generation(&rehearsed)), (version(&made), 2));
    room.services().delete("web", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.unwrap();
    assert_eq!(room.services().get("web").await.unwrap(), made);
}
