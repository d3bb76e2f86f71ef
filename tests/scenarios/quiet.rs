//! What a server makes of an object (defaults, pruned fields, rewritten numbers) is not drift: nobody fights it.

use std::time::Duration;

use serde_json::Value;
use tidegate::rollout::{Journal, Phase};

use crate::support::kubernetes::{Recorded, Recorder};
use crate::support::world::{Bed, World};

const SOON: Duration = Duration::from_secs(30);
/// How long a settled world is watched for writes that nobody asked for.
const QUIET: Duration = Duration::from_secs(2);

/// Spellings that Istio's CRDs know several of, and values that mean nothing.
const ODD: &str = "\
apiVersion: tidegate.dev/v1alpha1
kind: CanaryPlan
metadata: {name: odd, namespace: NAMESPACE}
spec:
  service: odd
  port: 8080
  trafficPolicy:
    connectionPool: {http: {http1MaxPendingRequests: 10.0, maxRetries: 3}, tcp: {}}
  versions:
    v1: {labels: {version: v1}, trafficPolicy: {}}
    v2: {labels: {version: v2}}
  http:
    timeout: 1m30s
    headers: {request: {set: {x-canary: '1'}, remove: []}}
    fault: {abort: {percentage: {value: 5.0}, httpStatus: 500}}
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: ''}
    corsPolicy: {allowOrigins: [{exact: https://example.com}], maxAge: 24h, allowCredentials: false, fresh: null}
  traffic: {v1: 90, v2: 10}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_real_api_server_makes_of_an_odd_plan_is_not_drift() {
    an_odd_plan_settles(Bed::Real).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_sandbox_makes_of_an_odd_plan_is_not_drift() {
    an_odd_plan_settles(Bed::Sandbox).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_the_real_api_server_does_not_know_is_refused_and_named() {
    let (mut world, recorder) = world(Bed::Real, "unknown-field").await;
    let plan = ODD.replace("NAMESPACE", "unknown-field");
    world.repository.commit("A plan", &[("plans/odd.yaml", &plan)]);
    world.start().await;
    settled(&recorder, 0).await;
    let passed = recorder.events().len();
    let newer = plan.replace("    timeout: 1m30s", "    fromTheFuture: 7");
    world.repository.commit("A field of a newer Istio", &[("plans/odd.yaml", newer)]);
    let back = recorder
        .wait_for(SOON, |event| match Journal::on(&event.object) {
            Some(Ok(journal)) => matches!(journal.phase, Phase::WentBack { .. }),
            _ => false,
        })
        .await;
    let Phase::WentBack { cause } = Journal::on(&back.object).unwrap().unwrap().phase else { unreachable!() };
    assert!(cause.to_string().contains("unknown field \"spec.http[0].fromTheFuture\""), "{cause}");
    let timeout = |event: &Recorded| event.object["spec"]["http"][0]["timeout"].clone();
    let routes = recorder.events().split_off(passed).into_iter().filter(|event| event.kind == "VirtualService");
    assert!(routes.map(|event| timeout(&event)).all(|timeout| timeout == "1m30s"), "half of it was written");
    let passed = recorder.events().len();
    world.repository.commit("A field that it knows", &[("plans/odd.yaml", plan.replace("1m30s", "20s"))]);
    let settled = settled(&recorder, passed).await;
    assert_eq!(settled["spec"]["http"][0]["timeout"], "20s");
    stays_quiet(&recorder).await;
    world.stop().await;
}

async fn world(bed: Bed, namespace: &str) -> (World, Recorder) {
    let mut world = World::open(bed, namespace).await;
    world.namespace(namespace).await;
    world.service(namespace, "odd", 8080, &["v1", "v2"]).await;
    let recorder = world.record(namespace).await;
    (world, recorder)
}

/// Waits until both objects say so in events after the first `passed`; returns the VirtualService.
async fn settled(recorder: &Recorder, passed: usize) -> Value {
    let mut route = Value::Null;
    for kind in ["DestinationRule", "VirtualService"] {
        let settled = recorder.wait_for_after(passed, SOON, |event| {
            let journal = Journal::on(&event.object);
            event.kind == kind && journal.is_some_and(|journal| journal.unwrap().phase == Phase::Settled)
        });
        route = settled.await.object;
    }
    route
}

async fn an_odd_plan_settles(bed: Bed) {
    let (mut world, recorder) = world(bed, "odd").await;
    world.repository.commit("An odd plan", &[("plans/odd.yaml", ODD.replace("NAMESPACE", "odd"))]);
    world.start().await;
    settled(&recorder, 0).await;
    stays_quiet(&recorder).await;
    let printed = world.diff().await;
    assert_eq!((printed.code, printed.out.as_str()), (0, ""), "{printed:?}");
    let ending = world.stop().await;
    assert!(ending.waiting.is_empty(), "{:?}", ending.waiting);
}

/// Panics where anything is written within two seconds.
pub async fn stays_quiet(recorder: &Recorder) {
    let before = recorder.events().len();
    tokio::time::sleep(QUIET).await;
    let after: Vec<_> = recorder.events().drain(before..).map(|event| (event.kind, event.object)).collect();
    assert!(after.is_empty(), "somebody writes: {after:?}");
}
