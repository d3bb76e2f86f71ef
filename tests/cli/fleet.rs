//! `status`, `why`, `diff` and `stop` with `--config`: the clusters of a configuration file, asked themselves.

use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::sandbox::{Options, Server};

use crate::bed::{Bed, eventually, serve};
use crate::process::{Answer, Process, run};
use crate::schema::faults;

pub const STEPS: &str = "from: {v1: 100}\n  steps: [{weight: 10, hold: 1h}, {weight: 50, hold: 1h}]";

/// Two sandboxes, and the configuration file of both beside the first one's repository.
pub struct Two {
    pub east: Bed,
    pub west: Server,
}

impl Two {
    pub async fn open() -> Self {
        let (east, west) = (Bed::open().await, Server::start(Options::default()).await.unwrap());
        for (number, service) in ["web", "api"].into_iter().enumerate() {
            serve(west.store(), service, number);
        }
        let home = east.repository.home();
        std::fs::write(home.join("west"), west.kubeconfig()).unwrap();
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nrepositories: [{{url: '{}', name: plans}}]\nclusters:\n\
             - {{name: west, kubeconfig: west}}\n- {{name: east, kubeconfig: kubeconfig}}\n",
            east.repository.location()
        );
        std::fs::write(home.join("tidegate.yaml"), text).unwrap();
        Self { east, west }
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let file = self.east.repository.home().join("tidegate.yaml").display().to_string();
        arguments.iter().map(|word| (*word).to_owned()).chain(["--config".to_owned(), file]).collect()
    }

    pub async fn ask(&self, arguments: &[&str]) -> Answer {
        run(self.east.repository.home(), &self.arguments(arguments)).await
    }

    /// `web` in its first step in both clusters, `api` settled in the east alone.
    pub async fn walking(&self) -> Process {
        let process = self.start();
        self.east.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
        self.east.plan("api", "clusters: [east]\n  traffic: {v1: 100}");
        self.east.until_settled("api", "v1=100").await;
        self.until_settled_in_both().await;
        self.east.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
        self.east.until_held("web", "v1=90 v2=10").await;
        eventually("the west stands there, too", || self.weight_in_west() == Some(10)).await;
        process
    }

    pub async fn until_settled_in_both(&self) {
        self.east.until_settled("web", "v1=100").await;
        eventually("the west has it", || self.weight_in_west() == Some(0)).await;
    }

    pub fn start(&self) -> Process {
        let run = ["run", "--convergence-wait", "100ms", "--read-only"];
        Process::start(self.east.repository.home(), &self.arguments(&run))
    }

    /// What v2 has in the west; none where there is no route.
    pub fn weight_in_west(&self) -> Option<u64> {
        let live = self.west.store().get("virtualservices", "shop", "web")?;
        let legs = live["spec"]["http"][0]["route"].as_array()?.clone();
        let v2 = legs.iter().find(|leg| leg["destination"]["subset"] == "v2");
        Some(v2.map_or(0, |leg| leg["weight"].as_u64().unwrap_or(100)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_is_seen_stopped_and_compared_without_a_process() {
    let two = Two::open().await;
    let mut process = two.walking().await;
    process.kill().await;
    let matrix = two.ask(&["status", "-o", "matrix"]).await;
    assert_eq!((matrix.code, matrix.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(matrix.stdout, @r"
    PLAN       west   east      REASON
    shop/api   -      settled   Settled
    shop/web   10%    10%       Hold

    `-` the plan is not for it
    ");
    let json: Value = serde_json::from_str(&two.ask(&["status", "-o", "json"]).await.stdout).unwrap();
    let home = two.east.repository.home();
    let schema: Value = serde_json::from_str(&run(home, &["schema", "--status"]).await.stdout).unwrap();
    assert_eq!(faults(&schema, &json, ""), Vec::<String>::new());

    // What stands in the west is not what was written there.
    let mut live = two.west.store().get("virtualservices", "shop", "web").unwrap();
    live["spec"]["http"][0]["timeout"] = "7s".into();
    two.west.store().put(live).unwrap();
    let diff = two.ask(&["diff"]).await;
    assert_eq!((diff.code, diff.stderr.as_str()), (1, ""), "{}", diff.stdout);
    let head = "cluster west\n--- live/virtualservices/shop/web\n+++ plan/virtualservices/shop/web\n";
    assert!(diff.stdout.starts_with(head) && diff.stdout.contains("\n-    timeout: \"7s\"\n"), "{}", diff.stdout);
    assert!(!diff.stdout.contains("cluster east"), "{}", diff.stdout);

    let why = two.ask(&["why", "web"]).await;
    assert!(why.stdout.starts_with("shop/web: "), "{why:?}");
    let stop = two.ask(&["stop", "web", "--reason", "ada"]).await;
    assert_eq!((stop.code, stop.stderr.as_str()), (0, ""));
    // Each is told at once, whichever is first.
    let mut lines: Vec<&str> = stop.stdout.lines().collect();
    lines[..2].sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @r"
    cluster east: stopped web: VirtualService shop/web carries tidegate.dev/stop
    cluster west: stopped web: VirtualService shop/web carries tidegate.dev/stop
    tidegate takes it off once Git asks for what traffic went back to
    by hand, for the next commit to rise: kubectl -n shop annotate virtualservice web tidegate.dev/stop-, in each cluster
    ");
    for store in [two.east.store(), two.west.store()] {
        let live = store.get("virtualservices", "shop", "web").unwrap();
        assert_eq!(live["metadata"]["annotations"]["tidegate.dev/stop"], "ada");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_is_told_and_the_others_are_still_shown() {
    let two = Two::open().await;
    let mut process = two.walking().await;
    process.kill().await;
    let Two { east, west } = two;
    let home = east.repository.home();
    let file = home.join("tidegate.yaml").display().to_string();
    west.stop().await;
    let begun = Instant::now();
    let ask = async |arguments: &[&str]| {
        let arguments = [arguments, &["--config", &file]].concat();
        run(home, &arguments).await
    };
    let matrix = ask(&["status", "-o", "matrix"]).await;
    assert_eq!(matrix.code, 3, "{matrix:?}");
    let lines: Vec<&str> = matrix.stdout.lines().collect();
    assert!(lines[0].starts_with("cluster west is away: ") && lines[0].contains("can't be reached"), "{}", lines[0]);
    let rows: Vec<Vec<&str>> = lines[2..].iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["PLAN", "west", "east", "REASON"], "{}", matrix.stdout);
    assert_eq!(rows[1], ["shop/api", "-", "settled", "Settled"], "{}", matrix.stdout);
    assert_eq!(rows[2][..3], ["shop/web", "?", "10%"], "{}", matrix.stdout);
    let why = ask(&["why", "web"]).await;
    assert!(
        why.stdout.starts_with("shop/web: holds") || why.stdout.contains("cluster west does not answer"),
        "{why:?}"
    );

    east.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    let diff = ask(&["diff"]).await;
    assert_eq!(diff.code, 3, "{diff:?}");
    assert!(diff.stderr.starts_with("error: ") && diff.stderr.contains("west"), "{}", diff.stderr);
    assert!(diff.stdout.contains("cluster east\n--- live/virtualservices/shop/web"), "a way back: {}", diff.stdout);
    let stop = ask(&["stop", "web", "--reason", "ada"]).await;
    assert_eq!(stop.code, 3, "{stop:?}");
    assert!(stop.stdout.starts_with("cluster east: stopped web"), "{stop:?}");
    assert!(stop.stderr.starts_with("error: cluster west "), "{stop:?}");
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leads_and_who_is_away_stands_above_the_table() {
    let bed = Bed::open().await;
    let table = async |document: &str| {
        let server = crate::canned::serve(document).await;
        run(bed.repository.home(), &["status", "--server", &server]).await.stdout
    };
    let shown = table(
        r#"{"plans": [], "lease": {"holder": "tidegate-0_ab12", "leads": true, "term": 7}, "clusters": [
            {"name": "east", "role": "primary", "mesh": "shop", "away": null, "awaySince": null},
            {"name": "far", "role": "remote", "mesh": "shop", "away": null, "awaySince": null},
            {"name": "west", "role": "primary", "away": "no answer in 15s", "awaySince": "2026-11-30T05:10:28.5Z"}]}"#,
    )
    .await;
    insta::assert_snapshot!(shown, @r"
    leader: tidegate-0_ab12 (term 7)
    cluster west is away since 2026-11-30 05:10:28Z: no answer in 15s
    remote in mesh shop, so no plan goes there and endpoints count: far

    no plan is applied in these clusters
    ");
    let shown =
        table(r#"{"plans": [], "lease": {"holder": null, "leads": false, "term": null}, "clusters": []}"#).await;
    assert_eq!(shown, "warning: nobody leads: nothing rises\n\nno plan is applied in this cluster\n");
    let shown = table(r#"{"plans": [], "lease": {"holder": "b", "leads": false, "term": null}}"#).await;
    assert!(shown.starts_with("leader: b\n\n"), "{shown}");
    let shown = table(r#"{"plans": [], "lease": null}"#).await;
    assert_eq!(shown, "no plan is applied in this cluster\n");
}

#[tokio::test]
async fn a_file_and_flags_that_name_a_cluster_exclude_each_other() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["status", "--config", "a.yaml", "--context", "b"][..],
        &["why", "web", "--config", "a.yaml", "--server", "http://127.0.0.1:1"],
        &["diff", "--config", "a.yaml", "--kubeconfig", "b"],
        &["stop", "web", "--reason", "x", "--config", "a.yaml", "--context", "b"],
    ] {
        let answer = run(home.path(), arguments).await;
        assert_eq!(answer.code, 2, "{arguments:?}: {answer:?}");
        assert!(answer.stderr.contains("cannot be used with"), "{arguments:?}: {}", answer.stderr);
    }
    let missing = run(home.path(), &["diff", "--kubeconfig", "a"]).await;
    assert!(missing.code == 2 && missing.stderr.contains("--repo"), "{missing:?}");
}
