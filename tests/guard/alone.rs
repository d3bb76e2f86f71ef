//! Whoever raises is dead: the guard goes back, and nothing else.

use std::time::{Duration, Instant};

use tidegate::rollout::{Cause, Phase};

use crate::bed::{Bed, Replica, SOON};
use crate::controlplane::ControlPlane;
use crate::kubernetes::eventually;
use crate::{MACHINE, SLOW, STILL, STOPPED, process, serve_v2, ways_back};

const ROUNDS: u64 = 3;

/// Walks to a first step, is killed there, and leaves a guard behind.
async fn killed_in_mid_walk(bed: &Bed, spec: &str, weight: u64, hub: Replica) -> Instant {
    // What was restored meanwhile is the branch's.
    bed.repository.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    let pushed = bed.plan(spec);
    bed.entered(weight, pushed).await;
    hub.kill().await
}

/// What the guard says of the plan.
async fn reason(bed: &Bed, guard: &Replica) -> String {
    let status = guard.status().await;
    let plans = status["plans"].as_array().cloned().unwrap_or_default();
    let plan = plans.iter().find(|plan| plan["namespace"] == bed.namespace.as_str());
    plan.and_then(|plan| plan["reason"]["name"].as_str()).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_a_stop_goes_back_by_the_guard_while_whoever_raises_is_dead() {
    let _alone = MACHINE.lock().await;
    let bed = Bed::open("stop").await;
    let guard = bed.guard("guard").await;
    guard.until_ready().await;
    let mut took = Vec::new();
    let mut walk = vec![0];
    for round in 0..ROUNDS {
        let hub = bed.start(&format!("hub-{round}")).await;
        bed.until_settled(&[("v1", 100)]).await;
        let spec = format!("  steps: [{{weight: {}, hold: 1h}}]\n  traffic: {{v2: 100}}", 10 + round);
        killed_in_mid_walk(&bed, &spec, 10 + round, hub).await;
        let term = bed.journal().unwrap().term;
        let stopped = if round == 0 {
            let kubeconfig = ControlPlane::shared().kubeconfig().display().to_string();
            let plan = format!("{}/web", bed.namespace);
            let stop = ["stop", &plan, "--reason", "Ann: errors", "--kubeconfig", &kubeconfig];
            let answer = process::run(bed.repository.home(), &stop).await;
            assert_eq!(answer.code, 0, "{}", answer.stderr);
            Instant::now()
        } else {
            bed.annotate("tidegate.dev/stop", &format!("Ann: errors, {round}")).await
        };
        took.push(bed.entered(0, stopped).await - stopped);
        walk.extend([10 + round, 0]);
        let journal = bed.journal().unwrap();
        assert!(matches!(journal.phase, Phase::WentBack { cause: Cause::Stop(_) }), "{:?}", journal.phase);
        assert!(journal.restore.is_some());
        assert_eq!(journal.term, term, "a guard signs nothing");
        tokio::time::sleep(STILL).await;
        assert_eq!(bed.restores(), usize::try_from(round).unwrap(), "a guard pushes nothing");
        let hub = bed.start(&format!("heir-{round}")).await;
        let pushed = || async { bed.restores() > usize::try_from(round).unwrap() };
        eventually("Git follows once somebody can push", SOON, pushed).await;
        bed.until_settled(&[("v1", 100)]).await;
        assert_eq!(ways_back(&bed), usize::try_from(round).unwrap() + 1, "whoever is back goes back no second time");
        assert_eq!(bed.weights(), walk);
        hub.kill().await;
    }
    println!("stopped while whoever raises is dead: back after {:?} ms", ms(&took));
    assert!(took.iter().all(|took| *took < STOPPED), "{took:?}");
    assert_eq!(guard.raises(), usize::try_from(ROUNDS).unwrap(), "one write of weights each");
    assert!(bed.terms().windows(2).all(|pair| pair[0] < pair[1]), "{:?}", bed.terms());
}

fn ms(of: &[Duration]) -> Vec<u128> {
    of.iter().map(Duration::as_millis).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_lost_endpoints_lead_back_by_the_guard_while_whoever_raises_is_dead() {
    let _alone = MACHINE.lock().await;
    let bed = Bed::open("gone").await;
    let hub = bed.start("hub").await;
    bed.until_settled(&[("v1", 100)]).await;
    let guard = bed.guard("guard").await;
    guard.until_ready().await;
    killed_in_mid_walk(&bed, SLOW, 10, hub).await;
    serve_v2(&bed, false).await;
    let gone = Instant::now();
    let took = bed.entered(0, gone).await - gone;
    println!("endpoints gone while whoever raises is dead: back after {} ms", took.as_millis());
    assert!((Duration::from_secs(10)..Duration::from_secs(12)).contains(&took), "{took:?}");
    assert!(matches!(bed.journal().unwrap().phase, Phase::WentBack { cause: Cause::EndpointsGone(_) }));
    assert_eq!(bed.journal().unwrap().failed.len(), 1, "it is not tried again");
    serve_v2(&bed, true).await;
    let _heir = bed.start("heir").await;
    eventually("Git follows", SOON, || async { bed.restores() == 1 }).await;
    bed.until_settled(&[("v1", 100)]).await;
    assert_eq!((bed.weights(), ways_back(&bed)), (vec![0, 10, 0], 1));
    // What was mended walks, and the guard looks on.
    bed.repository.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    bed.plan("  steps: [{weight: 20, hold: 1s}]\n  traffic: {v2: 100}\n  attempt: 2");
    bed.until_settled(&[("v2", 100)]).await;
    assert_eq!((bed.weights(), guard.raises()), (vec![0, 10, 0, 20, 100], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn law_02_nothing_rises_by_the_guard_whatever_is_due() {
    let _alone = MACHINE.lock().await;
    let bed = Bed::open("due").await;
    let hub = bed.start("hub").await;
    bed.until_settled(&[("v1", 100)]).await;
    let guard = bed.guard("guard").await;
    guard.until_ready().await;
    let spec = "  steps: [{weight: 10, hold: 2s}, {weight: 20, hold: 2s}]\n  traffic: {v2: 100}";
    killed_in_mid_walk(&bed, spec, 10, hub).await;
    let only_guards = || async { reason(&bed, &guard).await == "GuardOnly" };
    eventually("the hold has opened, and the guard says why nothing rises", SOON, only_guards).await;
    tokio::time::sleep(STILL * 3).await;
    assert_eq!((bed.weights(), guard.proxy.done()), (vec![0, 10], vec![]), "by a watch of its own, and by its proxy");
    let _heir = bed.start("heir").await;
    bed.until_settled(&[("v2", 100)]).await;
    assert_eq!((bed.weights(), guard.proxy.done()), (vec![0, 10, 20, 100], vec![]));
}
