//! An API server that is not a cluster's any more, or does not answer.

use std::{path::PathBuf, sync::Arc, time::Instant};

use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    cluster::{Access, Cluster, Member, Outcome, Seen},
    git,
    istio::{Change, Edit, ObjectKind},
    plan::ObjectKey,
    reconcile::{
        engine::{Engine, Incoming},
        fleet::Fleet,
    },
    rollout::Settings,
};

const EAST: &str = "east";

/// A client of a server that nobody asks anything.
async fn client(folder: &std::path::Path, server: &str) -> (Member, Cluster) {
    let path = folder.join(server);
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:1/{server}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    let access = Access { kubeconfig: Some(path), ..Access::default() };
    let cluster = Cluster::connect(EAST, &access).await.unwrap();
    (
        Member {
            name: EAST.to_owned(),
            labels: Default::default(),
            mesh: None,
            role: Default::default(),
            access,
            writes_max: None,
            proxies: None,
        },
        cluster,
    )
}

/// An engine of one cluster that nobody drives, with a client of its first server.
async fn engine(folder: &std::path::Path) -> (Engine, Member, Cluster) {
    let interval = std::time::Duration::from_secs(30);
    let source = git::Source::new(&folder.display().to_string(), "main", "plans", interval).unwrap();
    let (sender, _) = mpsc::unbounded_channel();
    let (sights, _) = mpsc::channel(1);
    let (news, _) = mpsc::channel(1);
    let fleet = Fleet::new(sights, news, None);
    let engine = Engine::new(Some(&source), PathBuf::new(), Settings::default(), 300, fleet, sender);
    let (member, first) = client(folder, "first").await;
    (engine, member, first)
}

fn key() -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: "web".into() }
}

/// A write of the route that was answered with this resourceVersion.
fn written(server: u64, version: &str) -> Incoming {
    let live = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": version}});
    let patch = json!([{"op": "add", "path": "/metadata/annotations", "value": {}}]);
    let change = Change::Patch { patch: serde_json::from_value(patch).unwrap(), meant: live.clone() };
    let edit = Arc::new(Edit { kind: ObjectKind::VirtualService, key: key(), change });
    let (worker, outcome, began) = (key(), Outcome::Applied(Some(Arc::new(live))), Instant::now());
    Incoming::Written { worker, server: (EAST.to_owned(), server), edit, outcome, began }
}

fn version(engine: &Engine) -> Option<String> {
    let live = engine.objects.get(EAST, ObjectKind::VirtualService, &key())?;
    live["metadata"]["resourceVersion"].as_str().map(str::to_owned)
}

fn server(engine: &Engine) -> u64 {
    engine.view.places[EAST].server
}

/// A commit is not kept back by a cluster to which nothing can be written.
#[tokio::test]
async fn what_comes_while_no_cluster_answers_is_told_at_once_and_again_when_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let (mut engine, member, first) = engine(folder.path()).await;
    engine.configure(vec![member], vec![first]);
    let link = (EAST.to_owned(), engine.fleet.link_of(EAST));
    engine.seen(&link, Seen::Synced);
    let since = engine.clock.now();
    engine.seen(&link, Seen::Away { error: "it is gone".into(), since });
    engine.backlog.want([key()].into_iter());
    engine.catch_up();
    assert!(engine.backlog.is_empty());
    engine.backlog.want([key()].into_iter());
    engine.seen(&link, Seen::Back);
    assert!(engine.backlog.is_empty());
}

#[tokio::test]
async fn a_late_answer_of_a_server_that_was_replaced_is_not_taken_for_the_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (mut engine, member, first) = engine(folder.path()).await;
    engine.configure(vec![member], vec![first]);
    let before = server(&engine);
    engine.in_flight = 4;
    engine.incoming(written(before, "1"));
    assert_eq!(version(&engine).as_deref(), Some("1"));

    // Other credentials for the same server: its answers are good.
    let (_, again) = client(folder.path(), "first").await;
    let link = engine.fleet.link_of(EAST);
    engine.linked(link, again);
    assert_eq!(server(&engine), before);
    engine.incoming(written(before, "2"));
    assert_eq!(version(&engine).as_deref(), Some("2"));

    let (_, other) = client(folder.path(), "second").await;
    let link = engine.fleet.link_of(EAST);
    engine.linked(link, other);
    assert_ne!(server(&engine), before);
    engine.incoming(written(before, "3"));
    assert_eq!(version(&engine), None, "nothing is known of the new server yet");
    let now = server(&engine);
    engine.incoming(written(now, "4"));
    assert_eq!((version(&engine).as_deref(), engine.in_flight), (Some("4"), 0));

    // Nor is an answer taken that nobody waits for any more.
    let late = Incoming::Namespace { server: (EAST.to_owned(), now), namespace: "shop".into(), missing: true };
    engine.incoming(late);
    assert!(engine.view.namespaces.is_empty());
}
