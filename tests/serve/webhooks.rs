//! Deliveries as each forge sends them: heard where they are signed and about the branch, and only ever a hint.

use std::time::Duration;

use base64::Engine as _;
use ring::hmac;
use serde_json::{Value, json};

use crate::kubernetes::eventually;
use crate::running::{Running, commit, lines};
use crate::shop::{SOON, Shop};

const SECRET: &str = "the-secret-of-this-webhook";
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A shop that takes webhooks with these secrets.
async fn open(prefix: &str, secrets: &str) -> Running {
    let shop = Shop::open(prefix, &["web"]).await;
    let file = shop.repository.home().join("webhook-secret");
    std::fs::write(&file, secrets).unwrap();
    commit(&shop, "traffic: {v1: 100}");
    let running = Running::on(shop, &["--webhook-secret-file", file.to_str().unwrap()]).await;
    running.shop.until_settled("web", &[("v1", 100)]).await;
    running.until_ready().await;
    running
}

fn tag(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signature(body: &[u8]) -> String {
    hex(&tag(SECRET.as_bytes(), body))
}

/// What a forge sends for a push.
struct Push {
    forge: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// A push to the branch, as every forge sends it; `id` tells deliveries apart.
fn pushes(branch: &str, id: &str) -> Vec<Push> {
    let text = |body: Value| serde_json::to_vec(&body).unwrap();
    let reference = format!("refs/heads/{branch}");
    let author = json!({"name": "Ann", "email": "ann@example.com"});
    let commit = json!({"id": "4f2c51c5b7d8c5f3f1a1d1f5b4a3c2d1e0f9a8b7", "message": "Raise v2", "author": author});
    let plain = |more: Value| {
        let mut body = json!({"ref": reference, "before": "0".repeat(40), "after": commit["id"], "commits": [commit]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        text(body)
    };
    let github = plain(json!({"repository": {"full_name": "acme/plans"}, "pusher": author, "forced": false}));
    let gitlab =
        plain(json!({"object_kind": "push", "event_name": "push", "project": {"path_with_namespace": "acme/plans"}}));
    let gitea = plain(json!({"compare_url": "https://git.example.com/acme/plans/compare/0...4", "total_commits": 1}));
    let cloud = text(json!({"repository": {"full_name": "acme/plans"}, "push": {"changes": [
        {"new": {"type": "branch", "name": branch, "target": {"hash": commit["id"]}}, "old": null, "created": true}]}}));
    let center = text(
        json!({"eventKey": "repo:refs_changed", "changes": [{"ref": {"id": reference, "displayId": branch,
        "type": "BRANCH"}, "refId": reference, "fromHash": "0".repeat(40), "toHash": commit["id"], "type": "UPDATE"}]}),
    );
    let generic = text(json!({"ref": branch}));
    let (sha256, id) = (|body: &[u8]| format!("sha256={}", signature(body)), id.to_owned());
    let standard = {
        let signed = [id.as_bytes(), b".1763700000.", &gitlab].concat();
        format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(tag(KEY, &signed)))
    };
    let push = |forge, headers: Vec<(&'static str, String)>, body: Vec<u8>| Push { forge, headers, body };
    vec![
        push(
            "github",
            vec![
                ("X-GitHub-Event", "push".into()),
                ("X-GitHub-Delivery", id.clone()),
                ("X-Hub-Signature-256", sha256(&github)),
                ("X-Hub-Signature", "sha1=0".into()),
            ],
            github.clone(),
        ),
        push(
            "gitlab",
            vec![
                ("X-Gitlab-Event", "Push Hook".into()),
                ("X-Gitlab-Token", SECRET.into()),
                ("X-Gitlab-Event-UUID", id.clone()),
            ],
            gitlab.clone(),
        ),
        push(
            "gitlab",
            vec![
                ("X-Gitlab-Event", "Push Hook".into()),
                ("Idempotency-Key", format!("{id}-signed")),
                ("webhook-id", id.clone() + "-signed"),
                ("webhook-timestamp", "1763700000".into()),
                ("webhook-signature", {
                    let signed = [format!("{id}-signed.1763700000.").as_bytes(), &gitlab].concat();
                    format!("{standard} v1,{}", base64::engine::general_purpose::STANDARD.encode(tag(KEY, &signed)))
                }),
            ],
            gitlab.clone(),
        ),
        push(
            "gitea",
            vec![
                ("X-Gitea-Event", "push".into()),
                ("X-Gitea-Delivery", id.clone()),
                ("X-Gitea-Signature", signature(&gitea)),
                ("X-GitHub-Event", "push".into()),
            ],
            gitea.clone(),
        ),
        push(
            "forgejo",
            vec![
                ("X-Forgejo-Event", "push".into()),
                ("X-Forgejo-Delivery", id.clone()),
                ("X-Forgejo-Signature", signature(&gitea)),
                ("X-Gitea-Event", "push".into()),
            ],
            gitea.clone(),
        ),
        push(
            "bitbucket",
            vec![
                ("X-Event-Key", "repo:push".into()),
                ("X-Request-UUID", id.clone()),
                ("X-Hub-Signature", sha256(&cloud)),
                ("X-Attempt-Number", "1".into()),
            ],
            cloud.clone(),
        ),
        push(
            "bitbucket",
            vec![
                ("X-Event-Key", "repo:refs_changed".into()),
                ("X-Request-Id", format!("{id}-center")),
                ("X-Hub-Signature", sha256(&center)),
            ],
            center.clone(),
        ),
        push("generic", vec![("X-Signature", sha256(&generic))], generic.clone()),
    ]
}

impl Push {
    async fn send(&self, running: &Running) -> (u16, String) {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = running.post(&format!("/webhook/{}", self.forge), &headers, &self.body).await;
        (answer.code, answer.body)
    }
}

fn secrets() -> String {
    let standard = base64::engine::general_purpose::STANDARD.encode(KEY);
    format!("an-older-secret-of-this-webhook\n{SECRET}\nwhsec_{standard}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_heard_from_every_forge_and_is_only_a_hint() {
    let running = open("forges", &secrets()).await;
    for push in pushes("main", "one") {
        let before = running.looks().await;
        let (code, body) = push.send(&running).await;
        assert_eq!((code, body.contains("looked at")), (202, true), "{}: {body}", push.forge);
        let looked = || async { running.looks().await > before };
        eventually(&format!("a push at {} leads to a look", push.forge), SOON, looked).await;
    }
    // What it said came from nowhere: the branch stands where it stood, and so does the traffic.
    assert_eq!(running.get("/status").await.json()["plans"][0]["live"], json!({"v1": 100}));
    // Four looks a hint at most: at once, and at three instants while nothing is new.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let quiet = running.looks().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(running.looks().await, quiet);

    for push in pushes("main", "one").iter().filter(|push| push.forge != "generic") {
        let (code, body) = push.send(&running).await;
        assert_eq!((code, body.contains("before")), (202, true), "{}: {body}", push.forge);
    }
    for push in pushes("mainly", "two") {
        let (code, body) = push.send(&running).await;
        assert_eq!((code, body.contains("no reason")), (202, true), "{}: {body}", push.forge);
    }
    let of = |event: &'static str, value: &'static str, forge: &'static str, header: &'static str| {
        let headers = vec![(event, value.to_owned()), (header, format!("sha256={}", signature(b"{}")))];
        Push { forge, headers, body: b"{}".to_vec() }
    };
    let ping = of("X-GitHub-Event", "ping", "github", "X-Hub-Signature-256").send(&running).await;
    assert_eq!(ping.0, 200, "{}", ping.1);
    let ping = of("X-Event-Key", "diagnostics:ping", "bitbucket", "X-Hub-Signature").send(&running).await;
    assert_eq!(ping.0, 200, "{}", ping.1);
    let star = of("X-GitHub-Event", "star", "github", "X-Hub-Signature-256").send(&running).await;
    assert_eq!((star.0, star.1.contains("no reason")), (202, true));
    assert_eq!(running.looks().await, quiet, "none of these is a reason to look");
    for (outcome, count) in [("looks", 1.0), ("repeated", 1.0), ("ignored", 2.0), ("ping", 1.0)] {
        let series = format!("tidegate_webhook_deliveries_total{{provider=\"github\",outcome=\"{outcome}\"}}");
        assert_eq!(running.metric(&series).await, Some(count), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_secret_is_told_nothing_and_a_secret_can_be_replaced() {
    let running = open("strangers", &secrets()).await;
    let quiet = running.looks().await;
    let mut bodies = std::collections::BTreeSet::new();
    for push in pushes("main", "one") {
        let garbled =
            Push { body: [push.body.as_slice(), b" "].concat(), ..Push { headers: push.headers.clone(), ..push } };
        // GitLab's secret token covers no body.
        if !garbled.headers.iter().any(|(name, _)| *name == "X-Gitlab-Token") {
            let (code, body) = garbled.send(&running).await;
            assert_eq!(code, 401, "{}", garbled.forge);
            bodies.insert(body);
        }
        let unsigned =
            |name: &&str| !name.contains("Signature") && !name.contains("signature") && !name.contains("Token");
        let headers = garbled.headers.iter().filter(|(name, _)| unsigned(name)).cloned().collect();
        let (code, body) = Push { headers, ..garbled }.send(&running).await;
        assert_eq!(code, 401);
        bodies.insert(body);
    }
    for token in ["", "x", "the-secret-of-this-webhooK", &SECRET.repeat(100)] {
        let headers = vec![("X-Gitlab-Event", "Push Hook".to_owned()), ("X-Gitlab-Token", token.to_owned())];
        let (code, body) = Push { forge: "gitlab", headers, body: b"{}".to_vec() }.send(&running).await;
        assert_eq!(code, 401);
        bodies.insert(body);
    }
    assert_eq!(bodies.len(), 1, "every refusal reads the same: {bodies:?}");
    assert_eq!(running.looks().await, quiet);
    let signed_by = |secret: &str| {
        let headers = vec![("X-Signature", format!("sha256={}", hex(&tag(secret.as_bytes(), b"now"))))];
        Push { forge: "generic", headers, body: b"now".to_vec() }
    };
    let file = running.shop.repository.home().join("webhook-secret");
    let newer = "a-newer-secret-of-this-webhook";
    assert_eq!(signed_by(newer).send(&running).await.0, 401);
    std::fs::write(&file, format!("{SECRET}\n{newer}\n")).unwrap();
    assert_eq!((signed_by(newer).send(&running).await.0, signed_by(SECRET).send(&running).await.0), (202, 202));
    std::fs::write(&file, format!("{newer}\n")).unwrap();
    assert_eq!((signed_by(newer).send(&running).await.0, signed_by(SECRET).send(&running).await.0), (202, 401));
    std::fs::write(&file, "\n").unwrap();
    assert_eq!((signed_by(newer).send(&running).await.0, signed_by("").send(&running).await.0), (202, 401));
    let told = running.process.log();
    assert_eq!(told.matches("the former ones stay in force").count(), 1, "{told}");
    let shown = [told, running.get("/metrics").await.body, running.get("/status").await.body].concat();
    for secret in [SECRET, newer, "whsec_", "an-older-secret"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_there_are_no_webhooks_and_it_is_said_once() {
    let running = Running::open("secretless", &[]).await;
    for push in pushes("main", "one") {
        let (code, body) = push.send(&running).await;
        assert_eq!(code, 404, "{body}");
    }
    let hints = |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("--webhook-secret-file"));
    assert_eq!(lines(&running.process).iter().filter(|line| hints(line)).count(), 1);
}
