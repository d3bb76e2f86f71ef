use super::*;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event, watcher};

/// Generous: it only bounds how long a failure takes.
const PATIENCE: Duration = Duration::from_secs(10);

async fn next<T: Debug, E: Debug>(stream: &mut (impl Stream<Item = Result<T, E>> + Unpin)) -> T {
    let item = tokio::time::timeout(PATIENCE, stream.next()).await.expect("an event comes in time");
    item.expect("the watch goes on").expect("the watch is not refused")
}

pub async fn a_watcher_sees_every_change(room: &Room, streaming: bool) {
    room.create(web("a", [100, 0])).await;
    room.create(web("b", [100, 0])).await;
    let config = if streaming { watcher::Config::default().streaming_lists() } else { watcher::Config::default() };
    let mut events = pin!(watcher(room.services(), config));
    assert!(matches!(next(&mut events).await, Event::Init));
    for expected in ["a", "b"] {
        match next(&mut events).await {
            Event::InitApply(object) => assert_eq!(object.name_any(), expected),
            other => panic!("expected {expected}, got {other:?}"),
        }
    }
    assert!(matches!(next(&mut events).await, Event::InitDone));
    room.create(web("c", [100, 0])).await;
    match next(&mut events).await {
        Event::Apply(object) => assert_eq!(object.name_any(), "c"),
        other => panic!("expected c, got {other:?}"),
    }
    let patch = Patch::Merge(json!({"spec": {"hosts": ["x"]}}));
    let written = room.services().patch("a", &PatchParams::default(), &patch).await.unwrap();
    match next(&mut events).await {
        Event::Apply(object) => assert_eq!(object, written),
        other => panic!("expected a, got {other:?}"),
    }
    room.services().delete("b", &Default::default()).await.unwrap();
    match next(&mut events).await {
        Event::Delete(object) => assert_eq!(object.name_any(), "b"),
        other => panic!("expected that b is gone, got {other:?}"),
    }
}

fn told<K: ResourceExt + Debug>(event: WatchEvent<K>) -> (&'static str, String) {
    match event {
        WatchEvent::Added(object) => ("added", object.name_any()),
        WatchEvent::Modified(object) => ("modified", object.name_any()),
        WatchEvent::Deleted(object) => ("deleted", object.name_any()),
        WatchEvent::Bookmark(_) => ("bookmark", String::new()),
        WatchEvent::Error(status) => ("error", status.reason),
    }
}

pub async fn a_selector_turns_changes_into_arrivals_and_departures(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    let params = WatchParams::default().labels("app=chosen").timeout(60);
    let api = room.services();
    let mut events = pin!(api.watch(&params, &version(&made)).await.unwrap());
    for (label, expected) in [("chosen", "added"), ("chosen", "modified"), ("other", "deleted")] {
        let patch = json!({"metadata": {"labels": {"app": label}, "annotations": {"round": expected}}});
        api.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        assert_eq!(told(next(&mut events).await), (expected, "web".to_owned()));
    }
}

pub async fn pods_are_watched_by_their_metadata(room: &Room) {
    let pods = room.api("", "v1", "Pod");
    let pod = |name: &str| {
        object(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}
        }))
    };
    let made = pods.create(&PostParams::default(), &pod("p")).await.unwrap();
    let listed = pods.list_metadata(&Default::default()).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(pods.get_metadata("p").await.unwrap().uid(), made.uid());
    let mut events = pin!(pods.watch_metadata(&WatchParams::default().timeout(60), &version(&made)).await.unwrap());
    pods.create(&PostParams::default(), &pod("q")).await.unwrap();
    match next(&mut events).await {
        WatchEvent::Added(found) => {
            assert_eq!((found.name_any().as_str(), found.types.unwrap().kind.as_str()), ("q", "PartialObjectMetadata"));
        }
        other => panic!("expected q, got {other:?}"),
    }
}

pub async fn a_watch_resumes_where_it_left_off(room: &Room) {
    let first = room.create(web("a", [100, 0])).await;
    room.create(web("b", [100, 0])).await;
    room.services().delete("a", &Default::default()).await.unwrap();
    let api = room.services();
    let params = WatchParams::default().timeout(60);
    let mut events = pin!(api.watch(&params, &version(&first)).await.unwrap());
    assert_eq!(told(next(&mut events).await), ("added", "b".to_owned()));
    let last = next(&mut events).await;
    match &last {
        WatchEvent::Deleted(gone) => assert!(version(gone) > version(&first), "a deletion has a version of its own"),
        other => panic!("expected that a is gone, got {other:?}"),
    }
    let mut present = pin!(api.watch(&params, "0").await.unwrap());
    assert_eq!(told(next(&mut present).await), ("added", "b".to_owned()));
    let short = WatchParams::default().timeout(1);
    let mut ending = pin!(api.watch(&short, &version(&first)).await.unwrap());
    let mut seen = 0;
    while let Some(event) = tokio::time::timeout(PATIENCE, ending.next()).await.expect("the watch ends in time") {
        event.unwrap();
        seen += 1;
    }
    assert!(seen >= 2);
}
