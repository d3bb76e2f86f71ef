//! What came of commits, as git itself shows it.

use std::time::Duration;

use tidegate::rollout::Phase;

use crate::bed::{Bed, TO_V2, UP};

const FILE: &str = "plans/shop.yaml";
const NOTES: [&str; 1] = ["--git-notes"];

#[tokio::test(flavor = "multi_thread")]
async fn each_step_and_the_target_are_noted_on_the_commit_that_asked() {
    let bed = Bed::shop(&NOTES).await;
    let first = bed.git(&["rev-parse", "main"]);
    bed.until_noted(&first, "shop", "Settled", "v1=100").await;
    let commit = bed.push("Everything to v2", FILE, &[TO_V2]);
    let note = bed.until_noted(&commit, "shop", "Passed", UP[0]).await;
    assert_eq!((&note["phase"], &note["step"], &note["cluster"]), (&"Walking".into(), &10.into(), &"testbed".into()));
    assert_eq!(bed.weights("shop"), UP[1], "25 is live, and only 10 has passed");
    let faster = bed.push("Hold no longer", FILE, &[("hold: 1h", "hold: 2s")]);
    let note = bed.until_noted(&faster, "shop", "Settled", "v2=100").await;
    let happened: Vec<&str> = note["happened"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for said in ["TargetEntered v2=100", "Settled v2=100"] {
        assert!(happened.iter().any(|line| line.contains(said)), "{said} is not in {happened:?}");
    }
    // Each keeps what came of it, and the branch is left alone.
    assert_eq!(bed.noted(&commit, "shop").unwrap()["traffic"], UP[0], "25 passed under the other commit");
    assert_eq!(bed.noted(&first, "shop").unwrap()["what"], "Settled");
    assert_eq!((bed.git(&["rev-parse", "main"]), bed.restores().len()), (faster, 0));
    let position = format!("refs/notes/tidegate:positions/{0}/{0}/shop/testbed", bed.namespace);
    assert!(bed.git(&["show", &position]).contains(r#""phase":{"is":"settled"}"#));
    assert_eq!(bed.git(&["fsck", "--full", "--strict", "--no-dangling"]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_noted_beside_the_commit_that_answers_it() {
    let bed = Bed::shop(&NOTES).await;
    let failed = bed.push("Everything to v2", FILE, &[TO_V2]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    bed.endpoints("shop", &["v1"]).await;
    bed.went_back("shop").await;
    let note = bed.until_noted(&failed, "shop", "WentBack", "v1=100").await;
    assert_eq!(note["why"], "version v2 had no ready endpoint");
    bed.landed("shop").await;
    let restored = bed.git(&["rev-parse", "main"]);
    bed.until_noted(&restored, "shop", "Settled", "v1=100").await;
    assert_eq!(bed.noted(&failed, "shop"), Some(note), "and the failure stays noted");
    assert_eq!(bed.restores().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_notes_holds_up_nothing_and_the_next_process_notes_what_settled() {
    let http = "--git-allow-http";
    let mut bed = Bed::open(&["shop"], &[(FILE, &["shop"])], true, &[http]).await;
    bed.hook("update", Some("case $1 in refs/notes/*) echo 'no notes here'; exit 1;; esac"));
    bed.flag(&[http, NOTES[0]]).await;
    bed.wait("a refusal", || bed.log().contains("no notes here")).await;
    let commit = bed.push("Everything to v2", FILE, &[TO_V2]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    let stop = bed.stop("shop").await;
    bed.went_back("shop").await;
    assert!(stop.elapsed() < Duration::from_secs(5), "traffic waits for no note");
    bed.landed("shop").await;
    let refused = bed.metric("tidegate_notes_total{operation=\"write\",outcome=\"refused\"}").await.unwrap();
    assert!((1.0..4.0).contains(&refused), "{refused} tries: no busy loop");
    assert_eq!(bed.git(&["for-each-ref", "refs/notes"]), "");
    bed.hook("update", None);
    bed.restart().await;
    let tip = bed.git(&["rev-parse", "main"]);
    bed.until_noted(&tip, "shop", "Settled", "v1=100").await;
    assert_eq!(bed.noted(&commit, "shop"), None, "what was not written is lost with the process");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_plans_are_noted_together() {
    let names: Vec<String> = (0..12).map(|number| format!("shop-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bed = Bed::open(&names, &[("plans/all.yaml", &names)], true, &["--git-notes", "--git-allow-http"]).await;
    let first = bed.git(&["rev-parse", "main"]);
    for name in &names {
        bed.until_noted(&first, name, "Settled", "v1=100").await;
    }
    let commits: usize = bed.git(&["rev-list", "--count", "refs/notes/tidegate"]).parse().unwrap();
    println!("12 plans settled in {commits} commits of notes");
    assert!(commits <= 8, "{commits} commits of notes for 12 plans");
}
