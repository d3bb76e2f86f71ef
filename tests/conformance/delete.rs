use super::*;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};

fn only(uid: Option<String>, version: Option<String>) -> DeleteParams {
    DeleteParams { preconditions: Some(Preconditions { uid, resource_version: version }), ..DeleteParams::default() }
}

pub async fn preconditions_are_kept(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    for params in [only(Some("another".into()), None), only(None, Some("1".into()))] {
        let (code, reason, _) = refused(room.services().delete("web", &params).await);
        assert_eq!((code, reason.as_str()), (409, "Conflict"));
    }
    let gone = room.services().delete("web", &only(made.uid(), made.resource_version())).await.unwrap();
    let status = gone.right().expect("a deletion at once answers with a Status");
    assert_eq!(status.details.map(|details| details.uid), made.uid());
    assert_eq!(refused(room.services().delete("web", &DeleteParams::default()).await).0, 404);
    let next = room.create(web("web", [100, 0])).await;
    assert_ne!(next.uid(), made.uid());
}

pub async fn a_finalizer_holds_an_object(room: &Room) {
    let mut held = web("web", [100, 0]);
    held["metadata"]["finalizers"] = json!(["tidegate.dev/test"]);
    room.create(held).await;
    let marked =
        room.services().delete("web", &DeleteParams::default()).await.unwrap().left().expect("it is still there");
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(generation(&marked), 2);
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    room.services().patch("web", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(refused(room.services().get("web").await).0, 404);
}

pub async fn a_collection_is_deleted_by_selector(room: &Room) {
    for name in ["a", "b", "c"] {
        room.create(web(name, [100, 0])).await;
    }
    let params = ListParams::default().labels("app in (a,b)");
    room.services().delete_collection(&DeleteParams::default(), &params).await.unwrap();
    let left = room.services().list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c"]);
}
