//! Three clusters, one of which has a fault while a plan walks: what is said of it, that nothing rises, that a revert is at
//! once in the other two, and that the third has it after its recovery, without a restart.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::bed::{EAST, Fleet, SOUTH, WEST, authority, plane};
use crate::configured::{Configured, away, cluster};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::{FAST, SLOW, V1, kubernetes};

const ALL: [&str; 3] = [EAST, WEST, SOUTH];
const HEALTHY: [&str; 2] = [EAST, WEST];
/// How long a revert may take in the clusters that answer, on a machine that does other things besides.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A plan that stands at 10 in all three, of which the third is reached by a kubeconfig of its own.
struct Walking {
    bed: Configured,
    process: Process,
}

impl Walking {
    async fn start(prefix: &str, kubeconfig: impl AsyncFnOnce(&Fleet) -> String) -> Self {
        Self::on(Fleet::over(&ALL, &[], prefix, &ALL).await, kubeconfig).await
    }

    /// The same where the third API server itself is to have the fault.
    async fn breaking(prefix: &str) -> Self {
        Self::on(Fleet::over(&ALL, &[SOUTH], prefix, &ALL).await, as_administrator).await
    }

    async fn on(fleet: Fleet, kubeconfig: impl AsyncFnOnce(&Fleet) -> String) -> Self {
        let bed = Configured::of(fleet);
        let text = kubeconfig(&bed.fleet).await;
        let south = "{name: south, kubeconfig: ../south.yaml}".to_owned();
        bed.write(&[cluster(EAST, "eu"), cluster(WEST, "us"), south]);
        std::fs::write(bed.fleet.repository.home().join("south.yaml"), text).unwrap();
        let process = bed.start();
        bed.fleet.plan(V1);
        bed.fleet.until_settled(&[("v1", 100)]).await;
        bed.fleet.plan(SLOW);
        bed.fleet.until(&ALL, 10).await;
        Self { bed, process }
    }

    fn fleet(&self) -> &Fleet {
        &self.bed.fleet
    }

    /// Waits until the third is away for a reason with these words, and says since when; returns how long that took.
    async fn until_away(&self, words: &str) -> Duration {
        let begin = Instant::now();
        let says = |status: &Value| away(status, SOUTH).is_some_and(|why| why.contains(words));
        self.bed.until_status(words, says).await;
        let status = self.fleet().status().await;
        let since = of(&status, SOUTH)["awaySince"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(since <= jiff::Timestamp::now(), "{status:#}");
        for healthy in HEALTHY {
            assert_eq!((away(&status, healthy), &of(&status, healthy)["awaySince"]), (None, &Value::Null));
        }
        begin.elapsed()
    }

    /// A commit that raises: nothing rises, and it is said why.
    async fn nothing_rises(&self) {
        self.fleet().plan(FAST);
        self.fleet().until_reason("ClusterAway", "cluster south does not answer since").await;
        for healthy in HEALTHY {
            self.fleet().stays(healthy, 10).await;
        }
    }

    /// A revert: it is live at once in the two that answer, whatever the third does.
    async fn goes_back_at_once(&self, fault: &str) {
        let begin = Instant::now();
        self.fleet().plan(V1);
        self.fleet().until(&HEALTHY, 0).await;
        let took = HEALTHY.map(|name| self.fleet().got_last(name, 0).duration_since(begin));
        println!("{fault}: a revert was live after {took:?}");
        assert!(took.iter().all(|took| *took < AT_ONCE), "{fault}: {took:?}");
    }

    /// The fault has ended: all of them have the revert, and none ever had anything else than it should.
    async fn heals(self, fault: &str, raised: &[u64]) {
        let begin = Instant::now();
        self.fleet().until_settled(&[("v1", 100)]).await;
        println!("{fault}: the third had it {:?} after its recovery", begin.elapsed());
        self.bed.until_status("all answer", |status| ALL.iter().all(|name| away(status, name).is_none())).await;
        let status = self.fleet().status().await;
        for plan in status["plans"].as_array().unwrap() {
            assert_eq!((&plan["phase"], &plan["live"]), (&json!("Settled"), &json!({"v1": 100})), "{status:#}");
        }
        let walk = [&[0, 10], raised, &[0]].concat();
        for name in ALL {
            // A watch that was torn sees it a moment later.
            let seen = || async { self.fleet().walk(name).len() >= walk.len() };
            kubernetes::eventually(&format!("the watch of {name}"), Duration::from_secs(10), seen).await;
            assert_eq!(self.fleet().walk(name), walk, "the weights of v2 in {name}");
        }
        assert!(!self.process.log().contains("panicked"), "{}", self.process.log());
    }
}

/// A cluster as the status has it.
fn of<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["clusters"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

/// The third cluster as its administrator reaches it.
async fn as_administrator(fleet: &Fleet) -> String {
    fleet.kubeconfig_of(SOUTH)
}

/// A kubeconfig of the third cluster for another user.
fn for_user(fleet: &Fleet, user: &Value) -> String {
    let mut config: Value = serde_yaml::from_str(&fleet.kubeconfig_of(SOUTH)).unwrap();
    config["users"][0]["user"] = user.clone();
    config.to_string()
}

/// Freezes the third API server until dropped.
struct Frozen;

impl Frozen {
    fn now() -> Self {
        plane(SOUTH).freeze_apiserver();
        Self
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        plane(SOUTH).thaw_apiserver();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_an_api_server_that_is_killed_holds_raises_and_no_revert() {
    let walking = Walking::breaking("killed").await;
    walking.fleet().stop(SOUTH);
    println!("killed: away after {:?}", walking.until_away("cluster south").await);
    walking.nothing_rises().await;
    walking.goes_back_at_once("killed").await;
    walking.fleet().restart(SOUTH).await;
    walking.heals("killed", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_an_api_server_that_is_frozen_holds_raises_and_no_revert() {
    let walking = Walking::breaking("frozen").await;
    let frozen = Frozen::now();
    let noticed = walking.until_away("cluster south does not answer: ").await;
    println!("frozen: away after {noticed:?}");
    assert!(noticed < Duration::from_secs(40), "{noticed:?}");
    walking.nothing_rises().await;
    walking.goes_back_at_once("frozen").await;
    drop(frozen);
    walking.heals("frozen", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_rights_that_are_taken_away_hold_raises_and_no_revert() {
    let account = async |fleet: &Fleet| {
        let (client, namespace) = (&fleet.clients[SOUTH], &fleet.namespace);
        let meta = json!({"name": "tidegate", "namespace": namespace});
        kubernetes::create(client, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})).await;
        bind(fleet).await;
        let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/serviceaccounts/tidegate/token"));
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let request = request.header("content-type", "application/json").body(body.to_string().into_bytes()).unwrap();
        let answer: Value = client.request(request).await.unwrap();
        for_user(fleet, &json!({"token": answer["status"]["token"]}))
    };
    let walking = Walking::start("forbidden", account).await;
    let (fleet, name) = (walking.fleet(), walking.fleet().namespace.clone());
    kubernetes::delete(&fleet.clients[SOUTH], "", "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", &name).await;
    // Its watches go on for a while: the write is the first to be refused.
    fleet.plan(FAST);
    fleet.until_reason("Rejected", "").await;
    println!("forbidden: {}", fleet.status().await["plans"][0]["reason"]);
    for healthy in HEALTHY {
        fleet.stays(healthy, 10).await;
    }
    walking.goes_back_at_once("forbidden").await;
    println!("forbidden: away after {:?}", walking.until_away("is forbidden: User").await);
    bind(fleet).await;
    walking.heals("forbidden", &[]).await;
}

async fn bind(fleet: &Fleet) {
    let subject = json!({"kind": "ServiceAccount", "name": "tidegate", "namespace": fleet.namespace});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": fleet.namespace}, "subjects": [subject], "roleRef": role,
    });
    kubernetes::create(&fleet.clients[SOUTH], binding).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_answers_that_take_ten_seconds_slow_a_walk_and_no_revert_and_slower_ones_are_none() {
    let proxy = Proxy::start(&plane(SOUTH).kubeconfig_text()).await;
    let walking = Walking::start("slow", async |_: &Fleet| proxy.kubeconfig_text()).await;
    proxy.delay(Duration::from_secs(10));
    let begin = Instant::now();
    walking.fleet().plan(FAST);
    walking.fleet().until(&ALL, 100).await;
    println!("slow: two steps took {:?}", begin.elapsed());
    assert!(
        begin.elapsed() > Duration::from_secs(10),
        "the second step waits for the third cluster's answer to the first"
    );
    let status = walking.fleet().status().await;
    let slow = of(&status, SOUTH);
    assert!(slow["away"].is_null() && slow["answerMs"].as_u64().unwrap() >= 10_000, "{slow:#}");
    assert!(of(&status, EAST)["answerMs"].as_u64().unwrap() < 5_000, "{status:#}");
    proxy.delay(Duration::from_secs(60));
    println!("slower: away after {:?}", walking.until_away("no answer in 15s").await);
    walking.goes_back_at_once("slow").await;
    proxy.delay(Duration::ZERO);
    walking.heals("slow", &[50, 100]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_credentials_that_end_hold_raises_and_no_revert_until_there_are_others() {
    let expiring = async |fleet: &Fleet| certificate(fleet, 25);
    let walking = Walking::start("expired", expiring).await;
    println!("expired: away after {:?}", walking.until_away("Unauthorized").await);
    walking.nothing_rises().await;
    walking.goes_back_at_once("expired").await;
    let file = walking.fleet().repository.home().join("south.yaml");
    std::fs::write(file, certificate(walking.fleet(), 3_600)).unwrap();
    walking.heals("expired", &[]).await;
}

/// A kubeconfig with a client certificate that is good for so many seconds.
fn certificate(fleet: &Fleet, seconds: i64) -> String {
    let (certificate, key) = authority().client_for("/O=system:masters/CN=walker", seconds);
    let user =
        json!({"client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key)});
    for_user(fleet, &user)
}

#[tokio::test(flavor = "multi_thread")]
async fn law_10_a_credential_plugin_that_hangs_stops_only_its_cluster_and_is_healed_without_a_restart() {
    let token = plane(SOUTH).token();
    let gives = |seconds: i64| {
        let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        let given = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": {"token": token, "expirationTimestamp": until.to_string()},
        });
        format!("echo '{given}'")
    };
    let with_plugin = async |fleet: &Fleet| {
        let script = fleet.repository.home().join("plugin");
        std::fs::write(&script, gives(30)).unwrap();
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": [script],
            "interactiveMode": "IfAvailable",
        });
        for_user(fleet, &json!({"exec": exec}))
    };
    let walking = Walking::start("plugin", with_plugin).await;
    let script = walking.fleet().repository.home().join("plugin");
    std::fs::write(&script, "echo Password: >&2; sleep 600").unwrap();
    let words = "credential plugin `sh` did not end in 10s: it may be waiting for input";
    println!("plugin: away after {:?}", walking.until_away(words).await);
    walking.nothing_rises().await;
    walking.goes_back_at_once("plugin").await;
    std::fs::write(&script, gives(3_600)).unwrap();
    walking.heals("plugin", &[]).await;
}
