//! Commits that are not accepted, seen from outside: signatures that lack, history that was rewritten.

use crate::bed::{Bed, eventually, plan};
use crate::process::{Answer, Process, run};
use crate::signing::SshKey;

const STEPS: &str = "from: {v1: 100}\n  steps: [{weight: 10, hold: 2s}, {weight: 50, hold: 1h}]";

/// A bed whose commits must be signed by Ada.
struct Signed {
    bed: Bed,
    ada: SshKey,
}

impl Signed {
    async fn open() -> Self {
        let bed = Bed::open().await;
        let ada = SshKey::new(&bed.repository, "ada", &["ed25519"]);
        let signed = Self { bed, ada };
        signed.trust(&signed.ada);
        signed
    }

    fn trust(&self, key: &SshKey) {
        std::fs::write(self.bed.repository.home().join("keys"), key.line("")).unwrap();
    }

    fn plan(&self, service: &str, spec: &str) -> String {
        let path = format!("plans/{service}.yaml");
        self.ada.commit(&self.bed.repository, spec, &[(&path, &plan(service, spec))])
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let keys = self.bed.repository.home().join("keys").display().to_string();
        let mut arguments = self.bed.run_arguments(&["--interval", "1s", "--verify", "every", "--verify-keys", &keys]);
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        arguments
    }

    fn start(&self) -> Process {
        let mirror = self.bed.repository.home().join("mirror").display().to_string();
        Process::start(self.bed.repository.home(), &self.arguments(&["--mirror", &mirror]))
    }

    async fn diff(&self) -> Answer {
        let keys = self.bed.repository.home().join("keys").display().to_string();
        self.bed
            .ask(&["diff", "--repo", &self.bed.repository.location(), "--verify", "tip", "--verify-keys", &keys])
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_commit_asks_for_nothing_and_holds_the_walk_until_a_signed_one() {
    let signed = Signed::open().await;
    let (bed, process) = (&signed.bed, signed.start());
    signed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    signed.plan("api", "traffic: {v1: 100}");
    bed.until_settled("web", "v1=100").await;
    bed.until_settled("api", "v1=100").await;
    signed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    bed.until_weights("web", "v1=90 v2=10").await;
    let unsigned = bed.plan("api", "traffic: {v3: 100}");
    let says = format!("the tip {} is not accepted: it is not signed", &unsigned[..10]);
    eventually("it is said", || process.log().contains(&says)).await;
    eventually("the walk says so", || process.log().contains("reason=\"TipNotAccepted\"")).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!((bed.weights("web"), bed.weights("api")), ("v1=90 v2=10".to_owned(), "v1=100".to_owned()));
    // What is in force is kept.
    let mut live = bed.live("api").unwrap();
    live["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v2".into();
    bed.store().put(live).unwrap();
    bed.until_weights("api", "v1=100").await;
    // The way back stays open.
    let stop = bed.ask(&["stop", "web", "--reason", "ada"]).await;
    assert_eq!(stop.code, 0, "{stop:?}");
    bed.until_weights("web", "v1=100").await;
    // A signed commit on top does not hide the unsigned one from `every`; a branch without it is accepted.
    signed.plan("api", "traffic: {v2: 100}");
    let below = format!("commit {} is not signed", &unsigned[..10]);
    eventually("the one below is named", || process.log().contains(&below)).await;
    bed.repository.force(&format!("{unsigned}~1"));
    signed.plan("api", "traffic: {v3: 100}");
    bed.until_settled("api", "v3=100").await;
    assert!(process.log().contains("the tip is accepted again"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_taken_away_holds_the_walk_without_a_new_commit_also_across_a_restart() {
    let signed = Signed::open().await;
    let (bed, mut process) = (&signed.bed, signed.start());
    signed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    bed.until_settled("web", "v1=100").await;
    signed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    bed.until_weights("web", "v1=90 v2=10").await;
    let bob = SshKey::new(&bed.repository, "bob", &["ed25519"]);
    signed.trust(&bob);
    let says = format!("is signed by an unknown key, SSH key {}", signed.ada.fingerprint());
    eventually("it is said", || process.log().contains(&says)).await;
    process.kill().await;
    let _again = signed.start();
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(bed.weights("web"), "v1=90 v2=10");
    signed.trust(&signed.ada);
    bed.until_weights("web", "v1=50 v2=50").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_round_and_a_diff_say_which_commit_is_not_accepted_and_end_with_1() {
    let signed = Signed::open().await;
    signed.plan("web", "traffic: {v1: 100}");
    let good = signed.diff().await;
    assert_eq!((good.code, good.stdout.contains("+  name: web")), (1, true), "{good:?}");
    let unsigned = signed.bed.plan("web", "traffic: {v2: 100}");
    let says = format!("the tip {} is not accepted: it is not signed", &unsigned[..10]);
    let once = run(signed.bed.repository.home(), &signed.arguments(&["--once"])).await;
    assert!(once.code == 1 && once.stderr.contains(&format!("error: plan repository: {says}")), "{once:?}");
    let diff = signed.diff().await;
    assert_eq!((diff.code, diff.stdout.as_str()), (1, ""), "{diff:?}");
    assert!(diff.stderr.contains(&says) && diff.stderr.contains("hint: sign it"), "{diff:?}");
    assert_eq!(signed.bed.live("web"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_rewrite_asks_for_nothing_until_a_commit_accepts_it() {
    let bed = Bed::open().await;
    let first = bed.plan("web", "traffic: {v1: 100}");
    let process =
        Process::start(bed.repository.home(), &bed.run_arguments(&["--interval", "1s", "--history-policy", "hold"]));
    bed.until_settled("web", "v1=100").await;
    let lost = bed.plan("web", "traffic: {v2: 100}");
    bed.until_settled("web", "v2=100").await;
    bed.repository.force(&first);
    eventually("it is said", || process.log().contains("history was rewritten")).await;
    assert!(process.log().contains(&format!("Tidegate-Accept-Rewrite: {lost}")), "{}", process.log());
    bed.plan("web", "traffic: {v3: 100}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(bed.weights("web"), "v2=100");
    bed.repository.commit(&format!("Yes\n\nTidegate-Accept-Rewrite: {lost}"), &[("README", "x")]);
    bed.until_settled("web", "v3=100").await;
}
