//! Restores that land: the document's own text, one commit a plan, and never over a person's change.

use tidegate::rollout::Phase;

use crate::bed::{Bed, REFUSED, TO_V2, UP, plan};

const FILE: &str = "plans/shop.yaml";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_answered_with_the_text_of_before_and_nothing_is_tried_again() {
    let bed = Bed::shop(&[]).await;
    let first = bed.git(&["rev-parse", "main"]);
    let failed = bed.push("A field of a newer Istio", FILE, &[REFUSED]);
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    bed.landed("shop").await;
    let messages = bed.restores();
    assert_eq!((messages.len(), bed.text("main", FILE)), (1, bed.text(&first, FILE)), "byte for byte");
    let trailers = [
        format!("Tidegate-Plan: {}/shop", bed.namespace),
        format!("Tidegate-Restores: {first}"),
        format!("Tidegate-Undoes: {failed}"),
    ];
    for trailer in trailers.iter().map(String::as_str).chain(["Tidegate-Reason: ", "fromTheFuture"]) {
        assert!(messages[0].contains(trailer), "{trailer} is missing in {}", messages[0]);
    }
    assert!(!messages[0].contains("This reverts commit"), "{}", messages[0]);
    assert_eq!(bed.walk("shop"), ["v1=100"], "no traffic moved");
    assert_eq!(bed.restores().len(), 1);
    // The same content again is a person's to judge: it is not restored over and over.
    bed.push("Once more", FILE, &[REFUSED]);
    bed.went_back("shop").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(bed.restores().len(), 1, "no loop");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_state_that_was_found_live_only_the_traffic_is_edited() {
    let bed = Bed::open(&["shop"], &[], false, &[]).await;
    let text = plan(&bed.namespace, "shop").replace(TO_V2.0, TO_V2.1);
    bed.repository.commit("A plan that walks from the start", &[(FILE, text)]);
    bed.repository.push(false);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    let asked = bed.text("main", FILE);
    bed.stop("shop").await;
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    assert_eq!(bed.text("main", FILE), asked.replace(TO_V2.1, "traffic: {v2: 0, v1: 100}"), "all other bytes stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_fix_that_is_pushed_first_wins() {
    let bed = Bed::shop(&[]).await;
    // Only git runs hooks: this repository takes people's pushes and none of tidegate's.
    bed.hook("pre-receive", Some("exit 0"));
    bed.push("A field of a newer Istio", FILE, &[REFUSED]);
    let said = bed.restore_is("shop", "Refused").await;
    assert!(said["message"].as_str().unwrap().contains("pre-receive"), "{said}");
    let fix = bed.push("A fix", FILE, &[(REFUSED.1, "timeout: 7s")]);
    bed.landed("shop").await;
    bed.hook("pre-receive", None);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!((bed.git(&["rev-parse", "main"]), bed.restores().len()), (fix, 0));
    assert_eq!(bed.live("shop").unwrap().0["spec"]["http"][0]["timeout"], "7s");
    assert_eq!(bed.restore("shop").await, serde_json::Value::Null);
    let told = |what: &str| bed.live("shop").unwrap().1.transitions.iter().any(|one| one.what.name() == what);
    assert!(told("RestoreDropped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_landed_unnoted_and_was_undone_by_a_person_does_not_land_again() {
    let mut bed = Bed::shop(&[]).await;
    bed.hook("pre-receive", Some("exit 0"));
    let before = bed.text("main", FILE);
    let failed = bed.push("A field of a newer Istio", FILE, &[REFUSED]);
    bed.restore_is("shop", "Refused").await;
    bed.kill().await;
    let trailers = format!("Tidegate-Plan: {}/shop\nTidegate-Undoes: {failed}", bed.namespace);
    bed.repository.commit(&format!("Restore shop\n\n{trailers}"), &[(FILE, before)]);
    let again = bed.push("But I want it", FILE, &[REFUSED]);
    bed.hook("pre-receive", None);
    bed.start();
    let said = bed.restore_is("shop", "Dropped").await;
    assert!(said["message"].as_str().unwrap().contains("a person's word"), "{said}");
    assert_eq!((bed.git(&["rev-parse", "main"]), bed.weights("shop")), (again, "v1=100".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_edited_at_the_tip_waits_on_a_branch_of_its_own() {
    let bed = Bed::shop(&[]).await;
    let first = bed.git(&["rev-parse", "main"]);
    let failed = bed.push("Everything to v2", FILE, &[TO_V2]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    let twice = std::fs::read_to_string(bed.repository.path().join(FILE)).unwrap();
    let tip = bed.repository.commit("The same plan twice", &[("plans/copy.yaml", twice)]);
    bed.repository.push(false);
    bed.stop("shop").await;
    bed.went_back("shop").await;
    let said = bed.restore_is("shop", "Branch").await;
    let branch = format!("tidegate/revert-{}", &failed[..12]);
    let message = said["message"].as_str().unwrap();
    assert!(message.contains(&branch) && message.contains("stands twice"), "{message}");
    assert_eq!((bed.git(&["rev-parse", "main"]), bed.text(&branch, FILE)), (tip, bed.text(&first, FILE)));
    assert_eq!(bed.weights("shop"), "v1=100");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_plans_that_fail_together_are_one_commit_each() {
    let names: Vec<String> = (0..12).map(|at| format!("shop-{at}")).collect();
    let services: Vec<&str> = names.iter().map(String::as_str).collect();
    let (pair, rest) = services.split_at(2);
    let paths: Vec<String> = rest.iter().map(|name| format!("plans/{name}.yaml")).collect();
    let mut files: Vec<(&str, &[&str])> = vec![("plans/pair.yaml", pair)];
    files.extend(paths.iter().map(String::as_str).zip(rest.chunks(1)));
    let bed = Bed::open(&services, &files, false, &[]).await;
    let first = bed.git(&["rev-parse", "main"]);
    for path in paths.iter().map(String::as_str).chain(["plans/pair.yaml"]) {
        let text = std::fs::read_to_string(bed.repository.path().join(path)).unwrap();
        bed.repository.write(path, text.replace(REFUSED.0, REFUSED.1));
    }
    bed.repository.commit_all("A field of a newer Istio, everywhere");
    bed.repository.push(false);
    bed.wait("twelve restores", || bed.restores().len() == 12).await;
    for name in &services {
        bed.landed(name).await;
    }
    assert_eq!(bed.git(&["diff", "--stat", &first, "main"]), "", "every file says what it said");
    assert_eq!(bed.git(&["log", "--merges", "--oneline", "main"]), "", "history is linear");
    let plans: std::collections::BTreeSet<String> = bed
        .restores()
        .iter()
        .filter_map(|message| message.lines().find(|line| line.starts_with("Tidegate-Plan: ")).map(str::to_owned))
        .collect();
    assert_eq!(plans.len(), 12);
    assert_eq!(bed.metric("tidegate_restores_total{outcome=\"landed\"}").await, Some(12.0));
    assert_eq!(bed.text("main", "plans/pair.yaml").matches("kind: CanaryPlan").count(), 2);
}
