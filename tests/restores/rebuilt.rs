//! A cluster that has lost everything goes on from the repository's notes, as an independent watch sees it.

use std::time::Duration;

use tidegate::rollout::Phase;

use crate::bed::{Bed, TO_V2, UP};

const FILE: &str = "plans/shop.yaml";
const NOTES: [&str; 1] = ["--git-notes"];
/// The first step is held for a while.
const SLOWER: (&str, &str) = ("weight: 10, hold: 0s", "weight: 10, hold: 4s");

/// At 25 percent, with 10 noted as passed.
async fn walking() -> (Bed, String) {
    let bed = Bed::shop(&NOTES).await;
    let commit = bed.push("Everything to v2", FILE, &[TO_V2, SLOWER]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    bed.until_noted(&commit, "shop", "Passed", UP[0]).await;
    (bed, commit)
}

fn weights(bed: &Bed, passed: usize) -> Vec<String> {
    bed.walk_after(passed, "shop").into_iter().map(|(weights, _)| weights).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_from_the_step_that_had_passed_and_holds_it_anew() {
    let (mut bed, commit) = walking().await;
    let passed = bed.rebuild(&NOTES).await;
    bed.wait("the walk goes on", || weights(&bed, passed).len() == 2).await;
    let walk = bed.walk_after(passed, "shop");
    assert_eq!(weights(&bed, passed), UP, "first what had passed, then the next step");
    let held = walk[1].1.duration_since(walk[0].1);
    assert!(held >= Duration::from_secs(4), "it was held for {held:?}");
    let (_, journal) = bed.live("shop").unwrap();
    assert_eq!((journal.revision.commit, bed.restores().len()), (commit, 0));
    assert!(journal.transitions.iter().any(|transition| transition.note == "from the repository's notes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_settled_is_live_again_at_once_and_a_revert_meanwhile_counts() {
    let bed = Bed::shop(&NOTES).await;
    let faster = [TO_V2, ("hold: 1h", "hold: 0s")];
    let mut bed = bed;
    let commit = bed.push("Everything to v2", FILE, &faster);
    bed.until_noted(&commit, "shop", "Settled", "v2=100").await;
    let passed = bed.rebuild(&NOTES).await;
    bed.wait("it is live", || !weights(&bed, passed).is_empty()).await;
    bed.until_reason("shop", "Settled").await;
    assert_eq!(weights(&bed, passed), ["v2=100"]);
    // Without the notes callers would have got v1, and the walk again.
    let passed = bed.rebuild(&[]).await;
    bed.wait("it walks again", || weights(&bed, passed).last().is_some_and(|last| last == "v2=100")).await;
    assert_eq!(weights(&bed, passed), ["v1=100", UP[0], UP[1], "v2=100"]);
    bed.kill().await;
    bed.push("Back to v1", FILE, &[(TO_V2.1, TO_V2.0)]);
    let passed = bed.rebuild(&NOTES).await;
    bed.wait("it is live", || !weights(&bed, passed).is_empty()).await;
    bed.until_reason("shop", "Settled").await;
    assert_eq!(weights(&bed, passed), ["v1=100"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_notes_cannot_be_read_nothing_starts() {
    let (mut bed, _) = walking().await;
    // The branch can be read, and the commit of the notes cannot.
    bed.git(&["gc", "--quiet", "--prune=now"]);
    let tip = bed.git(&["rev-parse", "refs/notes/tidegate"]);
    let packed = bed.git(&["rev-parse", "refs/notes/tidegate^{tree}"]);
    bed.kill().await;
    let reference = bed.bare.join("refs/notes/tidegate");
    std::fs::create_dir_all(reference.parent().unwrap()).unwrap();
    std::fs::write(&reference, format!("{}\n", "4f".repeat(20))).unwrap();
    let passed = bed.rebuild(&NOTES).await;
    let said = bed.until_reason("shop", "NotesNotRead").await;
    assert!(said.contains("asked since"), "{said}");
    bed.wait("it is tried", || bed.log().contains("the repository's notes: ")).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let said = bed.until_reason("shop", "NotesNotRead").await;
    assert!(said.contains("they cannot be read: "), "{said}");
    assert_eq!(weights(&bed, passed), [""; 0], "nothing is guessed");
    std::fs::write(&reference, format!("{tip}\n")).unwrap();
    bed.wait("it goes on", || !weights(&bed, passed).is_empty()).await;
    assert_eq!(weights(&bed, passed)[0], UP[0]);
    assert_eq!(bed.git(&["rev-parse", &format!("{tip}^{{tree}}")]), packed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_damaged_holds_and_taken_out_it_starts_anew() {
    let (mut bed, commit) = walking().await;
    bed.kill().await;
    let position = format!("positions/{0}/{0}/shop/testbed", bed.namespace);
    bed.amend_notes(&position, Some("{}"));
    let passed = bed.rebuild(&NOTES).await;
    let said = bed.until_reason("shop", "NoteUnreadable").await;
    assert!(said.contains("has no version"), "{said}");
    assert_eq!(weights(&bed, passed), [""; 0]);
    bed.kill().await;
    bed.amend_notes(&position, None);
    let note = bed.noted(&commit, "shop");
    // A process that runs would look again within the minute.
    bed.start();
    bed.wait("it starts", || !weights(&bed, passed).is_empty()).await;
    assert_eq!(weights(&bed, passed)[0], "v1=100");
    assert!(note.is_some(), "git leaves the notes beside it alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_tidegate_goes_on_from_notes_and_writes_none() {
    let (mut bed, _) = walking().await;
    bed.kill().await;
    let before = bed.git(&["rev-parse", "refs/notes/tidegate"]);
    let passed = bed.rebuild(&["--git-notes", "--read-only"]).await;
    bed.wait("the walk goes on", || weights(&bed, passed).len() == 2).await;
    assert_eq!(weights(&bed, passed), UP);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(bed.git(&["rev-parse", "refs/notes/tidegate"]), before);
}
