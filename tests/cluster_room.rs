//! Writes of the cluster room against a real control plane, and against servers that misbehave.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails")]

#[path = "support/controlplane.rs"]
mod controlplane;
#[path = "support/kubernetes.rs"]
mod kubernetes;
#[path = "support/stub.rs"]
mod stub;

use std::sync::Arc;
use std::time::Duration;

use controlplane::ControlPlane;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kubernetes::{api, create, eventually, namespace, virtual_service, weights};
use serde_json::{Value, json};
use stub::Stub;
use tidegate::cluster::{
    Access, Announcement, Announcer, Answer, Applied, CapabilityError, Cluster, IstioVersion, LookError, Outcome, Verb,
    apply, istio_version, look, other_writer, write,
};
use tidegate::istio::{Change, Edit, ObjectKind};
use tidegate::plan::ObjectKey;

const SOON: Duration = Duration::from_secs(20);

async fn cluster() -> Cluster {
    let access = Access { kubeconfig: Some(ControlPlane::shared().kubeconfig()), ..Access::default() };
    Cluster::connect("bed", &access).await.unwrap()
}

async fn stub_cluster(stub: &Stub) -> Cluster {
    let access = Access { kubeconfig: Some(stub.kubeconfig()), ..Access::default() };
    Cluster::connect("stub", &access).await.unwrap()
}

fn object(namespace: &str, canary: i64) -> Value {
    let leg = |subset: &str, weight: i64| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"hosts": ["web"], "http": [{"route": [leg("v1", 100 - canary), leg("v2", canary)]}]}})
}

fn edit(namespace: &str, change: Change) -> Edit {
    let key = ObjectKey { namespace: namespace.into(), name: "web".into() };
    Edit { kind: ObjectKind::VirtualService, key, change }
}

/// A patch of the canary's weight, as seen at `live`.
fn raise(live: &Value, canary: Value) -> Edit {
    let metadata = &live["metadata"];
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": canary},
    ]));
    let change = Change::Patch { patch: patch.unwrap(), meant: Value::Null };
    edit(metadata["namespace"].as_str().unwrap(), change)
}

fn applied(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Applied(Some(value)) => Arc::unwrap_or_clone(value),
        other => panic!("not applied: {other:?}"),
    }
}

async fn created(cluster: &Cluster, namespace: &str) -> Value {
    applied(write(cluster, &edit(namespace, Change::Create(object(namespace, 0))), false).await)
}

#[tokio::test]
async fn law_06_an_applied_write_answers_the_whole_object() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "write").await;
    let live = created(&cluster, &namespace).await;
    let live = applied(write(&cluster, &raise(&live, json!(10)), false).await);
    assert_eq!(weights(&live)[1], ("v2".to_owned(), 10));
    assert!(live["metadata"].get("managedFields").is_none());
    let key = ObjectKey { namespace, name: "web".into() };
    assert_eq!(look(&cluster, ObjectKind::VirtualService, &key).await.unwrap(), Some(live));
    assert_eq!(cluster.clock_offset_ms(), Some(0));
    assert_eq!(cluster.requests()[&(Verb::Patch, Answer::Code(200))], 1);
}

#[tokio::test]
async fn law_06_a_patch_of_what_was_seen_before_is_stale() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "write").await;
    let seen = created(&cluster, &namespace).await;
    let live = applied(write(&cluster, &raise(&seen, json!(10)), false).await);
    assert_eq!(write(&cluster, &raise(&seen, json!(20)), false).await, Outcome::Stale);
    let removal = |live: &Value| {
        let text = |name: &str| live["metadata"][name].as_str().unwrap().to_owned();
        edit(&namespace, Change::Delete { uid: text("uid"), resource_version: text("resourceVersion") })
    };
    assert_eq!(write(&cluster, &removal(&seen), false).await, Outcome::Stale);
    assert_eq!(weights(&virtual_service(cluster.client(), &namespace, "web").await.unwrap())[1].1, 10);
    assert_eq!(write(&cluster, &removal(&live), false).await, Outcome::Applied(None));
    assert_eq!(write(&cluster, &removal(&live), false).await, Outcome::Stale);
    assert_eq!(write(&cluster, &raise(&live, json!(20)), false).await, Outcome::Stale);
}

#[tokio::test]
async fn law_06_of_many_patches_at_once_exactly_one_is_applied() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "write").await;
    let seen = created(&cluster, &namespace).await;
    let edits: Vec<Edit> = (1..=8).map(|weight| raise(&seen, json!(weight))).collect();
    let outcomes = futures::future::join_all(edits.iter().map(|edit| write(&cluster, edit, false))).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Stale).count(), 7, "{outcomes:?}");
}

#[tokio::test]
async fn law_06_of_many_creations_at_once_exactly_one_is_applied() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "write").await;
    let edit = edit(&namespace, Change::Create(object(&namespace, 0)));
    let outcomes = futures::future::join_all((0..8).map(|_| write(&cluster, &edit, false))).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Stale).count(), 7, "{outcomes:?}");
}

#[tokio::test]
async fn a_weight_that_the_schema_refuses_is_rejected_with_the_servers_words() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "write").await;
    let live = created(&cluster, &namespace).await;
    match write(&cluster, &raise(&live, json!("many")), false).await {
        Outcome::Rejected { message, code: 422 } => assert!(message.contains("weight"), "{message}"),
        other => panic!("{other:?}"),
    }
    // Somebody else was there first: that it is refused as well shows at the next write.
    applied(write(&cluster, &raise(&live, json!(5)), false).await);
    assert_eq!(write(&cluster, &raise(&live, json!("many")), false).await, Outcome::Stale);
}

#[tokio::test]
async fn an_object_for_a_namespace_that_is_not_there_is_rejected() {
    let cluster = cluster().await;
    let edit = edit("nowhere", Change::Create(object("nowhere", 0)));
    match write(&cluster, &edit, false).await {
        Outcome::Rejected { message, code: 404 } => assert!(message.contains("nowhere"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_admission_refuses_is_rejected_with_its_text() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "admit").await;
    let live = created(&cluster, &namespace).await;
    let rule = json!({"apiGroups": ["networking.istio.io"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["virtualservices"]});
    let admission = "admissionregistration.k8s.io/v1";
    create(
        cluster.client(),
        json!({"apiVersion": admission, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": namespace},
            "spec": {"matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "message": "not on a Friday", "reason": "Forbidden"}]}}),
    )
    .await;
    let only = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}});
    create(
        cluster.client(),
        json!({"apiVersion": admission, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": namespace},
            "spec": {"policyName": namespace, "validationActions": ["Deny"], "matchResources": only}}),
    )
    .await;
    eventually("the policy refuses", SOON, || async {
        match write(&cluster, &raise(&live, json!(10)), true).await {
            Outcome::Rejected { message, code: 403 } => message.contains("not on a Friday"),
            _ => false,
        }
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "write").await;
    applied(write(&cluster, &edit(&namespace, Change::Create(object(&namespace, 0))), true).await);
    assert_eq!(virtual_service(cluster.client(), &namespace, "web").await, None);
    let live = created(&cluster, &namespace).await;
    assert_eq!(weights(&applied(write(&cluster, &raise(&live, json!(10)), true).await))[1].1, 10);
    assert_eq!(weights(&virtual_service(cluster.client(), &namespace, "web").await.unwrap())[1].1, 0);
}

#[tokio::test]
async fn an_answer_that_tells_nothing_leaves_the_outcome_unknown_after_one_request() {
    let live = json!({"metadata": {"namespace": "shop", "uid": "u", "resourceVersion": "1"}});
    for stub in
        [Stub::answering(503), Stub::answering(500), Stub::answering(429), Stub::answering(401), Stub::tearing()]
    {
        let cluster = stub_cluster(&stub).await;
        let outcome = write(&cluster, &raise(&live, json!(10)), false).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        assert_eq!(cluster.requests().values().sum::<u64>(), 1);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_after_fifteen_seconds() {
    let stub = Stub::hanging();
    let cluster = stub_cluster(&stub).await;
    let live = json!({"metadata": {"namespace": "shop", "uid": "u", "resourceVersion": "1"}});
    let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
    let begun = std::time::Instant::now();
    let raised = raise(&live, json!(10));
    let (written, looked) =
        tokio::join!(write(&cluster, &raised, false), look(&cluster, ObjectKind::VirtualService, &key));
    assert!(matches!(written, Outcome::Unknown { .. }), "{written:?}");
    assert!(matches!(looked, Err(LookError::Away { .. })), "{looked:?}");
    assert!((15..18).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(cluster.requests()[&(Verb::Patch, Answer::None)], 1);
}

#[tokio::test]
async fn a_refused_request_is_a_rejection_and_a_refused_look_is_forbidden() {
    let stub = Stub::answering(403);
    let cluster = stub_cluster(&stub).await;
    let live = json!({"metadata": {"namespace": "shop", "uid": "u", "resourceVersion": "1"}});
    let outcome = write(&cluster, &raise(&live, json!(10)), false).await;
    assert_eq!(outcome, Outcome::Rejected { message: "the stub says 403".into(), code: 403 });
    let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
    let looked = look(&cluster, ObjectKind::VirtualService, &key).await;
    assert!(matches!(looked, Err(LookError::Forbidden { .. })), "{looked:?}");
    let asked = other_writer(&cluster, ObjectKind::VirtualService, &key).await;
    assert!(matches!(asked, Err(LookError::Forbidden { .. })), "{asked:?}");
}

#[tokio::test]
async fn the_last_other_writer_is_known_until_its_change_is_put_back() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "writer").await;
    let key = ObjectKey { namespace: namespace.clone(), name: "web".into() };
    let asked = async || other_writer(&cluster, ObjectKind::VirtualService, &key).await.unwrap();
    assert_eq!(asked().await, None, "nobody writes what is not there");
    let live = created(&cluster, &namespace).await;
    assert_eq!(asked().await, None, "tidegate is no other");
    let services = api(cluster.client(), &namespace, "networking.istio.io/v1", "VirtualService");
    let mut theirs = object(&namespace, 50);
    theirs["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    let params = PostParams { field_manager: Some("eve".into()), ..PostParams::default() };
    let theirs = services.replace("web", &params, &serde_json::from_value(theirs).unwrap()).await.unwrap();
    let writer = asked().await.unwrap();
    assert_eq!((writer.manager.as_str(), writer.operation.as_str()), ("eve", "Update"));
    assert!(writer.at.is_some());
    applied(write(&cluster, &raise(&serde_json::to_value(theirs).unwrap(), json!(0)), false).await);
    assert_eq!(asked().await, None, "the list is one value, and now tidegate's");
}

#[tokio::test]
async fn a_server_with_another_clock_is_told_by_how_much() {
    let stub = Stub::answering(404).ahead_s(60);
    let cluster = stub_cluster(&stub).await;
    istio_version(&cluster).await.unwrap_err();
    let offset = cluster.clock_offset_ms().unwrap();
    assert!((58_000..=60_000).contains(&offset), "{offset}");
}

#[tokio::test]
async fn missing_crds_a_refusal_and_a_server_that_is_away_are_told_apart() {
    assert_eq!(istio_version(&cluster().await).await, Ok(IstioVersion::V1));
    let of = async |stub: Stub| istio_version(&stub_cluster(&stub).await).await.unwrap_err();
    assert!(matches!(of(Stub::answering(404)).await, CapabilityError::Missing { kind: "VirtualService", .. }));
    assert!(matches!(of(Stub::answering(403)).await, CapabilityError::Forbidden { .. }));
    assert!(matches!(of(Stub::answering(503)).await, CapabilityError::Away { .. }));
    assert!(matches!(of(Stub::tearing()).await, CapabilityError::Away { .. }));
}

#[tokio::test]
async fn a_plain_object_is_applied_and_a_field_of_somebody_else_is_left_alone() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "apply").await;
    let gateway = |port: u32| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "front", "namespace": namespace},
            "spec": {"selector": {"istio": "ingress"}, "servers": [{"hosts": ["*"],
                "port": {"name": "http", "number": port, "protocol": "HTTP"}}]}})
    };
    assert!(matches!(apply(&cluster, &gateway(80), false).await, Applied::Applied(_)));
    let gateways = api(cluster.client(), &namespace, "networking.istio.io/v1", "Gateway");
    let theirs = PatchParams::apply("kubectl-eve").force();
    gateways.patch("front", &theirs, &Patch::Apply(gateway(8080))).await.unwrap();
    match apply(&cluster, &gateway(80), false).await {
        Applied::Conflict { managers, message } => {
            assert_eq!(managers, ["kubectl-eve"]);
            assert!(message.contains("servers"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let mut wrong = gateway(8080);
    wrong["spec"]["servers"] = json!("none");
    let refused = apply(&cluster, &wrong, false).await;
    assert!(matches!(refused, Applied::Rejected { .. }), "{refused:?}");
}

#[tokio::test]
async fn an_event_is_found_with_its_virtual_service() {
    let cluster = cluster().await;
    let namespace = namespace(cluster.client(), "event").await;
    let live = created(&cluster, &namespace).await;
    let announcer = Announcer::start(&cluster, Some("pod-0".into()));
    announcer.announce(Announcement {
        kind: ObjectKind::VirtualService,
        key: ObjectKey { namespace: namespace.clone(), name: "web".into() },
        uid: live["metadata"]["uid"].as_str().unwrap().into(),
        warning: true,
        reason: "RolledBack",
        action: "WayBack",
        note: "v2 has no ready endpoint".repeat(100),
        folds: false,
    });
    let events = api(cluster.client(), &namespace, "events.k8s.io/v1", "Event");
    eventually("the event", SOON, || async {
        let list = events.list(&ListParams::default()).await.unwrap();
        list.items.iter().any(|event| {
            event.data["reason"] == "RolledBack" && event.data["regarding"]["uid"] == live["metadata"]["uid"]
        })
    })
    .await;
    assert_eq!(announcer.dropped(), 0);
}
