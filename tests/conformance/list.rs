use super::*;
use kube::api::{ListParams, VersionMatch};

async fn names(room: &Room, params: ListParams) -> Vec<String> {
    let list = room.services().list(&params).await.expect("a list is answered");
    list.items.iter().map(ResourceExt::name_any).collect()
}

pub async fn objects_are_picked_by_labels_and_fields(room: &Room) {
    for name in ["a", "b", "c"] {
        room.create(web(name, [100, 0])).await;
    }
    let all = ListParams::default;
    assert_eq!(names(room, all()).await, ["a", "b", "c"]);
    assert_eq!(names(room, all().labels("app=b")).await, ["b"]);
    assert_eq!(names(room, all().labels("app in (a,c),app!=c")).await, ["a"]);
    assert_eq!(names(room, all().labels("app notin (a)")).await, ["b", "c"]);
    assert_eq!(names(room, all().labels("!app")).await, Vec::<String>::new());
    assert_eq!(names(room, all().labels("tier!=x")).await, ["a", "b", "c"]);
    assert_eq!(names(room, all().fields("metadata.name=c")).await, ["c"]);
    assert_eq!(names(room, all().fields("metadata.name!=c")).await, ["a", "b"]);
    let everywhere: Api<DynamicObject> =
        Api::all_with(room.client.clone(), &kind("networking.istio.io", "v1beta1", "VirtualService"));
    let found = everywhere.list(&all().fields(&format!("metadata.namespace={}", room.namespace))).await.unwrap();
    assert_eq!(found.items.len(), 3);
    let metadata = room.services().list_metadata(&all().labels("app=b")).await.unwrap();
    assert_eq!(metadata.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b"]);
    assert_eq!(metadata.items[0].types.as_ref().map(|types| types.kind.as_str()), Some("PartialObjectMetadata"));
}

pub async fn a_list_in_pages_is_one_state(room: &Room) {
    for name in ["a", "b", "c", "d"] {
        room.create(web(name, [100, 0])).await;
    }
    let first = room.services().list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.items.len(), 2);
    assert_eq!(first.metadata.remaining_item_count, Some(2));
    let token = first.metadata.continue_.clone().expect("there is more");
    room.create(web("e", [100, 0])).await;
    room.services().delete("c", &Default::default()).await.unwrap();
    let rest = room.services().list(&ListParams::default().limit(9).continue_token(&token)).await.unwrap();
    assert_eq!(rest.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c", "d"]);
    let state = first.metadata.resource_version.as_deref().unwrap();
    assert_eq!(rest.metadata.resource_version.as_deref(), Some(state));
    let exact = ListParams::default().at(state).matching(VersionMatch::Exact);
    assert_eq!(names(room, exact).await, ["a", "b", "c", "d"]);
    let newer = ListParams::default().at(state).matching(VersionMatch::NotOlderThan);
    assert_eq!(names(room, newer).await, ["a", "b", "d", "e"]);
}

pub async fn options_that_mean_nothing_are_refused(room: &Room) {
    let refusal = |params: ListParams| {
        let api = room.services();
        async move { refused(api.list(&params).await) }
    };
    assert_eq!(refusal(ListParams::default().labels("a in")).await.0, 400);
    assert_eq!(refusal(ListParams::default().fields("spec.x=1")).await.0, 400);
    assert_eq!(refusal(ListParams::default().continue_token("abc").limit(1)).await.0, 400);
}
