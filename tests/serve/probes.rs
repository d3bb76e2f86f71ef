//! Health, readiness, paths that are none, ports that are taken, and the end.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::kubernetes::eventually;
use crate::process;
use crate::proxy::Proxy;
use crate::running::{Running, arguments, commit, refused};
use crate::shop::{SOON, Shop};

const SETTLED: &str = "traffic: {v1: 100}";

#[tokio::test(flavor = "multi_thread")]
async fn it_is_alive_before_it_is_ready_and_says_what_is_missing() {
    let mut shop = Shop::open("probes", &["web"]).await;
    shop.proxy = Proxy::away(&crate::controlplane::ControlPlane::shared().kubeconfig_text()).await;
    let running = Running::on(shop, &[]).await;
    let (alive, ready) = (running.get("/healthz").await, running.get("/readyz").await);
    assert_eq!((alive.code, alive.json()), (200, json!({"alive": true})));
    assert_eq!((ready.code, &ready.json()["ready"]), (503, &json!(false)), "{ready:?}");
    let why = |kind: &'static str| {
        let running = &running;
        async move {
            let missing = running.get("/readyz").await.json()["missing"].clone();
            missing.as_array().unwrap().iter().any(|one| one[kind].is_string() && one["error"].is_string())
        }
    };
    eventually("the cluster's error is told", SOON, || why("cluster")).await;
    eventually("the repository's error is told", SOON, || why("repository")).await;
    assert_eq!(running.metric("tidegate_ready").await, Some(0.0));
    assert_eq!(running.metric("tidegate_cluster_reachable{cluster=\"proxy\"}").await, Some(0.0));
    commit(&running.shop, SETTLED);
    running.shop.proxy.open().await;
    running.until_ready().await;
    assert_eq!(running.get("/readyz").await.json(), json!({"ready": true, "missing": []}));
    // A page may be half a second old.
    running.until_metric("tidegate_ready", 1.0).await;
    running.until_metric("tidegate_cluster_reachable{cluster=\"proxy\"}", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_refused_as_json_and_an_end_is_an_end() {
    let mut running = Running::open("paths", &[]).await;
    eventually("the loop runs", SOON, || async { running.get("/healthz").await.code == 200 }).await;
    for (answer, code) in [
        (running.get("/").await, 404),
        (running.get("/metrics/").await, 404),
        (running.get("/webhook").await, 404),
        (running.get("/webhook/github").await, 405),
        (running.post("/metrics", &[], b"x").await, 405),
        (running.post("/webhook/gitkraken", &[], b"{}").await, 404),
    ] {
        assert_eq!(answer.code, code, "{answer:?}");
        assert!(answer.json()["error"].is_string(), "{answer:?}");
    }
    assert!(running.get("/webhook/github").await.head.contains("\nallow: post"));
    // An open connection on which nothing is asked holds nothing up.
    let _idle = TcpStream::connect(&running.address).await.unwrap();
    let begun = Instant::now();
    assert_eq!(running.end().await, 0, "{}", running.process.log());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_cannot_be_served_is_said_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    std::fs::create_dir(home.path().join("nowhere")).unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "short\n").unwrap();
    let (here, secret) = (home.path().join("nowhere").display().to_string(), secret.display().to_string());
    let cases: [(&[&str], &str, &str); 5] = [
        (&["--listen", &address], &format!("error: cannot listen on {address}: "), "with --listen"),
        (&["--listen", "192.0.2.1:80"], "error: cannot listen on 192.0.2.1:80: ", "0.0.0.0"),
        (&["--listen", "here"], "error: invalid value 'here'", "as `127.0.0.1:8080`, or `off`"),
        (&["--webhook-secret-file", &secret], "error: --webhook-secret-file is given", "hint: give an address"),
        (
            &["--listen", "127.0.0.1:0", "--webhook-secret-file", &secret],
            "is shorter than 16 bytes",
            "hint: `openssl rand -hex 32`",
        ),
    ];
    for (more, says, hint) in cases {
        let answer = refused(home.path(), &here, more).await;
        assert_eq!(answer.code, 2, "{more:?}: {answer:?}");
        assert!(answer.stderr.contains(says) && answer.stderr.contains(hint), "{more:?}: {}", answer.stderr);
        assert!(!answer.stderr.contains("short\n"), "{}", answer.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_round_serves_nothing() {
    let shop = Shop::open("round", &["web"]).await;
    commit(&shop, SETTLED);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let answer = process::run(shop.repository.home(), &arguments(&shop, &["--once", "--listen", &address])).await;
    assert_eq!(answer.code, 0, "{answer:?}");
}
