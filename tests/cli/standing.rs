//! `run --once`, `status` and `why`: where a plan stands, in every format.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::bed::{Bed, SOON};
use crate::process::{command, run};
use crate::schema::faults;

const STEPS: &str = "from: {v1: 100}\n  steps: [{name: first-light, weight: 10, hold: 1h}, {weight: 50, hold: 1h}]";

/// A bed whose `web` is in the first step and whose `api` is settled.
async fn walking() -> Bed {
    let bed = Bed::open().await;
    bed.plan("api", "traffic: {v1: 60, v3: 40}");
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    assert_eq!(bed.once().await.code, 0);
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    let _process = bed.start();
    bed.until_held("web", "v1=90 v2=10").await;
    bed.until_settled("api", "v1=60 v3=40").await;
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn one_round_does_what_is_due_and_prints_what_it_left() {
    let bed = Bed::open().await;
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    let once = bed.once().await;
    assert_eq!(once.code, 0, "{once:?}");
    assert_eq!(bed.weights("web"), "v1=100");
    assert!(once.stdout.starts_with("shop/web: "), "{}", once.stdout);
    // Another round goes on from there.
    let again = bed.once().await;
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(again.stdout.lines().count(), 1, "{}", again.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_as_json_is_what_its_schema_says() {
    let bed = walking().await;
    let schema: Value =
        serde_json::from_str(&run(bed.repository.home(), &["schema", "--status"]).await.stdout).unwrap();
    let status = bed.ask(&["status", "-o", "json"]).await;
    assert_eq!((status.code, status.stderr.as_str()), (0, ""));
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(faults(&schema, &status, ""), Vec::<String>::new());
    let [api, web] = status["plans"].as_array().unwrap().as_slice() else { panic!("{status:#}") };
    assert_eq!(
        (&web["namespace"], &web["name"], &web["phase"], &web["step"]["name"], &web["step"]["weight"]),
        (&"shop".into(), &"web".into(), &"Walking".into(), &"first-light".into(), &10.into())
    );
    assert_eq!((&web["live"], &web["desired"]), (&serde_json::json!({"v1": 90, "v2": 10}), &web["live"]));
    assert_eq!(web["target"], serde_json::json!({"v2": 100}));
    assert_eq!(web["revision"], format!("main@sha1:{}", bed.repository.tip()));
    assert_eq!(
        (&api["phase"], &api["next"], &api["reason"]["name"]),
        (&"Settled".into(), &Value::Null, &"Settled".into())
    );
    let entered: jiff::Timestamp = web["entered"].as_str().unwrap().parse().unwrap();
    let next: jiff::Timestamp = web["next"].as_str().unwrap().parse().unwrap();
    assert!((3600..3630).contains(&(next.as_second() - entered.as_second())), "{web:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_the_same_in_every_format_and_of_one_namespace() {
    let bed = walking().await;
    let json: Value = serde_json::from_str(&bed.ask(&["status", "-o", "json"]).await.stdout).unwrap();
    let yaml = bed.ask(&["status", "-o", "yaml"]).await.stdout;
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap()["plans"][0], json["plans"][0]);
    let table = bed.ask(&["status"]).await.stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAMESPACE", "NAME", "PHASE", "STEP", "TARGET", "LIVE", "NEXT", "REASON"]);
    assert_eq!(rows[1][..3], ["shop", "api", "Settled"]);
    assert_eq!(rows[2][..8], ["shop", "web", "Walking", "10", "first-light", "v2=100", "v1=90", "v2=10"]);
    let wide = bed.ask(&["status", "-o", "wide"]).await.stdout;
    assert!(wide.contains(&format!("main@sha1:{}", bed.repository.tip())), "{wide}");
    let elsewhere = bed.ask(&["status", "-n", "elsewhere"]).await;
    assert_eq!((elsewhere.code, elsewhere.stdout.as_str()), (0, "no plan is applied in this cluster\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_that_watches_shows_a_change() {
    let bed = walking().await;
    let mut watch = command(bed.repository.home(), &bed.on_cluster(&["status", "--watch", "-o", "json"]));
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut until = async |wanted: &str| {
        let found = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains(wanted) {
                    return;
                }
            }
            panic!("the watch ended before {wanted:?}");
        };
        tokio::time::timeout(SOON, found).await.unwrap_or_else(|_| panic!("no {wanted:?} in {SOON:?}"));
    };
    until("\"v2\": 10").await;
    let _process = bed.start();
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    until("\"v1\": 100").await;
    watch.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn why_is_one_sentence() {
    let bed = walking().await;
    let why = bed.ask(&["why", "web"]).await;
    assert_eq!(why.code, 0, "{why:?}");
    assert!(why.stdout.starts_with("shop/web: ") && why.stdout.lines().count() == 1, "{}", why.stdout);
    assert!(why.stdout.contains("hold") && why.stdout.contains('Z'), "{}", why.stdout);
    let settled = bed.ask(&["why", "shop/api"]).await;
    assert_eq!(settled.code, 0, "{settled:?}");
    let unknown = bed.ask(&["why", "wbe"]).await;
    assert_eq!(unknown.code, 2);
    assert_eq!(
        unknown.stderr,
        "error: no plan `wbe` is applied in this cluster\n\
         hint: `tidegate status` lists the plans; what keeps another one out is said by `tidegate run --once`\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_ends_with_code_3() {
    let bed = Bed::open().await;
    bed.plan("web", "traffic: {v1: 100}");
    let url = bed.server.url().to_owned();
    let Bed { server, repository } = bed;
    server.stop().await;
    let kubeconfig = repository.home().join("kubeconfig").display().to_string();
    let commands: [&[&str]; 4] = [
        &["status"],
        &["why", "web"],
        &["stop", "web", "--reason", "x"],
        &["run", "--once", "--repo", repository.path().to_str().unwrap()],
    ];
    for arguments in commands {
        let begun = std::time::Instant::now();
        let arguments = [arguments, &["--kubeconfig", &kubeconfig]].concat();
        let answer = run(repository.home(), &arguments).await;
        assert_eq!(answer.code, 3, "{arguments:?}: {answer:?}");
        let last = answer.stderr.lines().rev().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(last.contains("can't be reached") && last.contains(&url["http://".len()..]), "{arguments:?}: {last}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{arguments:?}: {:?}", begun.elapsed());
    }
}
