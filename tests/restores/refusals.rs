//! A server that does not take the push: traffic is back, people read the server's words, and it is not asked on and on.

use std::time::Duration;

use tidegate::rollout::Phase;

use crate::bed::{Bed, REFUSED, TO_V2, UP};

const FILE: &str = "plans/shop.yaml";

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_refuses_is_quoted_and_tried_again_slowly() {
    let mut bed = Bed::open(&["shop"], &[(FILE, &["shop"])], true, &["--git-allow-http"]).await;
    bed.push("Everything to v2", FILE, &[TO_V2]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    let attempts = bed.repository.home().join("attempts");
    let script = format!("echo once >> {}\necho 'main is protected: ask ada' >&2\nexit 1", attempts.display());
    bed.hook("pre-receive", Some(&script));
    bed.stop("shop").await;
    bed.went_back("shop").await;
    let said = bed.restore_is("shop", "Refused").await;
    assert!(said["message"].as_str().unwrap().contains("main is protected: ask ada"), "{said}");
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while bed.events("RestoreRefused").await.is_empty() {
        assert!(std::time::Instant::now() < end, "no Event tells it");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let told = bed.events("RestoreRefused").await;
    assert!(told.len() == 1 && told[0].contains("main is protected: ask ada"), "{told:?}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let count = |path: &std::path::Path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(count(&attempts), 1, "it is tried again after half a minute, not before");
    assert_eq!((bed.weights("shop").as_str(), bed.restores().len()), ("v1=100", 0));
    bed.hook("pre-receive", None);
    // A new process asks at once; this one would within the minute.
    bed.restart().await;
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    bed.landed("shop").await;
    assert_eq!(bed.restores().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_the_api_server_refuses_walks_once_it_is_mended_and_the_same_one_never_does() {
    let bed = Bed::shop(&[]).await;
    bed.push("Everything to v2, with a field of a newer Istio", FILE, &[TO_V2, REFUSED]);
    bed.wait("a restore", || !bed.restores().is_empty()).await;
    bed.landed("shop").await;
    bed.push("Once more", FILE, &[TO_V2, REFUSED]);
    let said = bed.until_reason("shop", "WentBack").await;
    assert!(said.contains("has failed before") && said.contains("other routing is tried"), "{said}");
    assert_eq!((bed.walk("shop"), bed.restores().len()), (vec!["v1=100".to_owned()], 1), "nothing of it was live");
    bed.push("Mended", FILE, &[(REFUSED.1, "timeout: 7s")]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    assert_eq!(bed.live("shop").unwrap().0["spec"]["http"][0]["timeout"], "7s");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_only_reads_says_what_it_would_commit() {
    let bed = Bed::shop(&["--read-only"]).await;
    bed.push("Everything to v2", FILE, &[TO_V2]);
    bed.until("shop", UP[1], &Phase::Walking { weight: 25 }).await;
    let tip = bed.git(&["rev-parse", "main"]);
    bed.stop("shop").await;
    bed.went_back("shop").await;
    let said = bed.restore_is("shop", "ReadOnly").await;
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("restore the plan's document to its text at main@sha1:"), "{message}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.git(&["for-each-ref", "--format=%(objectname)"]), tip, "nothing was pushed");
    assert!(!bed.repository.home().join("mirror.push").exists());
}
