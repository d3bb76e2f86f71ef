//! `tidegate history`: what each commit asked, joined with what came of it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Bed, plan};
use crate::process::{Answer, run};
use crate::repository::Repository;
use crate::schema::faults;

const STEPS: &str = "from: {v1: 100}\n  steps: [{weight: 10, hold: 1h}, {weight: 50, hold: 1h}]\n  settle: {hold: 0s}";

async fn history(bed: &Bed, more: &[&str]) -> Answer {
    let location = bed.repository.location();
    bed.ask(&[&["history", "web", "--repo", &location], more].concat()).await
}

async fn commits(bed: &Bed, more: &[&str]) -> Vec<Value> {
    let printed = history(bed, &[&["-o", "json"], more].concat()).await;
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    let schema = run(bed.repository.home(), &["schema", "--history"]).await;
    let (schema, document): (Value, Value) =
        (serde_json::from_str(&schema.stdout).unwrap(), serde_json::from_str(&printed.stdout).unwrap());
    assert_eq!(faults(&schema, &document, ""), [""; 0]);
    document["commits"].as_array().unwrap().clone()
}

/// Commit and outcome of each, newest first.
fn outcomes(commits: &[Value]) -> Vec<(&str, &str)> {
    commits.iter().map(|one| (one["commit"].as_str().unwrap(), one["outcome"]["name"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_tells_what_came_of_each_commit_across_moves_reverts_and_removal() {
    let bed = Bed::open().await;
    let process = bed.start();
    bed.repository.commit("Add another", &[("plans/api.yaml", plan("api", "traffic: {v1: 100}"))]);
    let first = bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    bed.until_settled("web", "v1=100").await;
    let raise = bed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    bed.until_held("web", "v1=90 v2=10").await;
    let told = commits(&bed, &[]).await;
    assert_eq!(outcomes(&told), [(raise.as_str(), "UnderWay"), (first.as_str(), "Settled")]);
    assert_eq!((&told[0]["reached"], &told[0]["author"]), (&"v1=90 v2=10".into(), &"Ada".into()));
    // Neither a comment nor a move asks for anything.
    bed.repository.git(&["mv", "plans/web.yaml", "plans/shop.yaml"]);
    bed.repository.commit_all("Move it");
    let back = bed.repository.revert(&raise);
    bed.until_settled("web", "v1=100").await;
    let told = commits(&bed, &[]).await;
    let meant = [(back.as_str(), "Settled"), (raise.as_str(), "Superseded"), (first.as_str(), "Reached")];
    assert_eq!(outcomes(&told), meant);
    assert_eq!((&told[0]["file"], &told[1]["undone"]["by"]), (&"plans/shop.yaml".into(), &back.as_str().into()));
    let stop = bed.plan_at("plans/shop.yaml", "web", &format!("{STEPS}\n  traffic: {{v3: 100}}"));
    bed.until_held("web", "v1=90 v3=10").await;
    assert_eq!(bed.ask(&["stop", "web", "--reason", "ada: errors"]).await.code, 0);
    bed.until_weights("web", "v1=100").await;
    let told = history(&bed, &["--limit", "1"]).await;
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert!(lines[1].starts_with(&stop[..10]) && lines[1].contains("v3=100 by 10 50"), "{lines:?}");
    assert!(lines[1].contains(": stopped by annotation: ada: errors, reached v1=90 v3=10"), "{lines:?}");
    assert_eq!(lines[2], "there are earlier commits: --limit shows more");
    let gone = bed.repository.remove("Retire web", &["plans/shop.yaml"]);
    crate::bed::eventually("the removal is read", || process.log().contains(&gone)).await;
    let alone = bed.repository.location();
    let alone = ["history", "shop/web", "--no-cluster", "-o", "json", "--repo", &alone];
    let told: Value = serde_json::from_str(&run(bed.repository.home(), &alone).await.stdout).unwrap();
    let told = told["commits"].as_array().unwrap();
    assert_eq!(outcomes(told)[..2], [(gone.as_str(), "Removed"), (stop.as_str(), "Unknown")]);
}

#[tokio::test]
async fn a_plan_that_never_was_or_a_name_of_two_is_told() {
    let bed = Bed::open().await;
    let bank = plan("web", "traffic: {v1: 100}").replace("namespace: shop", "namespace: bank");
    bed.repository.commit("Two", &[("plans/a.yaml", plan("web", "traffic: {v1: 100}")), ("plans/b.yaml", bank)]);
    let two = history(&bed, &[]).await;
    let says = "error: `web` is the name of 2 plans\nhint: write one as namespace/name: bank/web, shop/web\n";
    assert_eq!((two.code, two.stderr.as_str()), (2, says));
    let location = bed.repository.location();
    let none = bed.ask(&["history", "shop/cart", "--repo", &location]).await;
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.stderr.starts_with("error: no commit of main has the plan shop/cart\n"), "{}", none.stderr);
    let other = bed.ask(&["history", "shop/web", "--repo", &location, "--branch", "mian"]).await;
    assert_eq!(other.code, 3, "{other:?}");
    assert!(other.stderr.contains("has no branch `mian`"), "{}", other.stderr);
}

#[tokio::test]
async fn thousands_of_commits_are_read_in_seconds() {
    const COMMITS: usize = 2_000;
    let repository = Repository::empty();
    let mut stream = String::from("reset refs/heads/main\n");
    for number in 0..COMMITS {
        // Another plan changes each time, this one every two hundredth.
        let own = format!("traffic: {{v1: {}, v2: {}}}", 100 - number / 200, number / 200);
        let files = [("plans/web.yaml", plan("web", &own)), ("plans/api.yaml", plan("api", &format!("# {number}")))];
        let message = format!("Change {number}");
        let time = 1_700_000_000 + number;
        write!(stream, "commit refs/heads/main\ncommitter Ada <ada@example.com> {time} +0000\n").unwrap();
        write!(stream, "data {}\n{message}\n", message.len()).unwrap();
        for (path, text) in files {
            write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
        }
    }
    let mut import = repository.command(&["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    let begun = Instant::now();
    let location = repository.location();
    let told = run(repository.home(), &["history", "web", "--no-cluster", "--repo", &location]).await;
    let took = begun.elapsed();
    println!("a history of {COMMITS} commits took {took:?} in this build");
    assert_eq!((told.code, told.stdout.lines().count()), (0, 11), "{told:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}
