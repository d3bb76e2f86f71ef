//! `kill -9`, fifty times in a row.

use std::sync::Mutex;
use std::time::Duration;

use crate::MACHINE;
use crate::kubernetes::{virtual_service, weights};
use crate::proxy::{Kind, When};
use crate::shop::{SOON, Shop};

const KILLS: usize = 50;

/// Where the process dies, over and over: three of seven are between two transitions, the others within one.
const MARKS: [(Kind, When); 7] = [
    (Kind::Weights, When::After),
    (Kind::Journal, When::Before),
    (Kind::Journal, When::After),
    (Kind::Weights, When::After),
    (Kind::Journal, When::Before),
    (Kind::Journal, When::After),
    (Kind::Weights, When::Before),
];

const TWO: &str = "  versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}\n";
const NEXT: &str =
    "  versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}, v3: {labels: {version: v3}}}\n";
const BUILT: &str =
    "  versions: {v1: {labels: {version: v1}, build: two}, v2: {labels: {version: v2}}, v3: {labels: {version: v3}}}\n";
const SLOW: &str = "  steps: [{weight: 5, hold: 1s}, {weight: 10, hold: 1s}, {weight: 20, hold: 3s}, {weight: 40, hold: 1s}, \
                    {weight: 60, hold: 1s}, {weight: 80, hold: 1s}]\n";
const SLOW_WEIGHTS: &[u64] = &[5, 10, 20, 40, 60, 80, 100];
const FAST: &str = "  steps: [{weight: 10, hold: 1s}, {weight: 50, hold: 1s}]\n";

/// A walk that is reverted at 20, walked again, a third version, and a new build of the first one.
async fn story(shop: &Shop) {
    shop.plan("web", &format!("{TWO}  traffic: {{v1: 100}}"));
    shop.until_settled("web", &[("v1", 100)]).await;
    shop.plan("web", &format!("{TWO}{SLOW}  traffic: {{v2: 100}}"));
    shop.until_live("web", &[("v1", 80), ("v2", 20)]).await;
    shop.repository.revert("HEAD");
    shop.until_settled("web", &[("v1", 100)]).await;
    shop.repository.revert("HEAD");
    shop.until_settled("web", &[("v2", 100)]).await;
    shop.plan("web", &format!("{NEXT}{FAST}  traffic: {{v3: 100}}"));
    shop.until_settled("web", &[("v3", 100)]).await;
    shop.plan("web", &format!("{BUILT}{SLOW}  traffic: {{v1: 100}}"));
    shop.until_settled("web", &[("v1", 100)]).await;
}

/// The weights of the story, as its plans declare them.
fn declared() -> Vec<Vec<(String, u64)>> {
    let raise = |from: &'static str, to: &'static str, weights: &'static [u64]| {
        weights.iter().map(move |weight| match weight {
            100 => vec![(to.to_owned(), 100)],
            weight => {
                let mut legs = vec![(from.to_owned(), 100 - weight), (to.to_owned(), *weight)];
                legs.sort();
                legs
            }
        })
    };
    let start = vec![("v1".to_owned(), 100)];
    std::iter::once(start.clone())
        .chain(raise("v1", "v2", &[5, 10, 20]))
        .chain([start])
        .chain(raise("v1", "v2", SLOW_WEIGHTS))
        .chain(raise("v2", "v3", &[10, 50, 100]))
        .chain(raise("v3", "v1", SLOW_WEIGHTS))
        .collect()
}

/// Kills the process at the marks, notes after how many writes each death came, and then lets it live.
async fn kill(shop: &Shop, deaths: &Mutex<Vec<usize>>) {
    let mut process = shop.start();
    for number in 0..KILLS {
        let (kind, when) = MARKS[number % MARKS.len()];
        let caught = shop
            .proxy
            .catch(SOON * 2, move |write| match write {
                Kind::Subsets => Some(When::After),
                // Every other time only, or it would never be written.
                Kind::Copy => (number % 2 == 0).then_some(When::Before),
                write => (write == kind).then_some(when),
            })
            .await;
        process.kill().await;
        deaths.lock().unwrap().push(caught.done);
        drop(caught);
        process = shop.start();
    }
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(process.runs(), "{}", process.log());
    }
}

/// Everything that must be as if nothing had happened.
pub fn end(shop: &Shop) -> String {
    let journal = shop.journal("web").unwrap();
    let settled: Vec<_> = journal.settled.iter().map(|settled| settled.state.traffic.to_string()).collect();
    let history: Vec<_> =
        journal.transitions.iter().map(|past| format!("{} {}", past.what.name(), past.traffic)).collect();
    let rule = shop.recorder.events().into_iter().rev().find(|event| event.kind == "DestinationRule").unwrap();
    let live = shop.live("web").unwrap();
    let text = format!(
        "{:#}\n{:#}\n{:?} {} {:?}\nproof {:?}\nsettled {settled:#?}\nfailed {:?}\nway back {:?}\n{history:#?}",
        live["spec"],
        rule.object["spec"],
        journal.phase,
        journal.state.traffic,
        journal.subsets,
        journal.proof,
        journal.failed,
        journal.way_back
    );
    text.replace(&shop.namespace, "NAMESPACE")
}

/// Whether a death after that many writes lay between two writes of one transition.
fn within(done: &[Kind], death: usize) -> bool {
    let before = death.checked_sub(1).and_then(|last| done.get(last));
    matches!(
        (before, done.get(death)),
        (Some(Kind::Subsets), Some(Kind::Weights))
            | (Some(Kind::Weights), Some(Kind::Journal))
            | (Some(Kind::Journal), Some(Kind::Copy))
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn law_11_fifty_kills_in_a_row_end_as_an_undisturbed_walk_does() {
    let _beside = MACHINE.read().await;
    let (calm, killed) = tokio::join!(Shop::open("calm", &["web"]), Shop::open("killed", &["web"]));
    let undisturbed = async {
        let _process = calm.start();
        story(&calm).await;
    };
    let disturbed = async {
        let deaths = Mutex::new(Vec::new());
        tokio::select! {
            () = story(&killed) => {}
            () = kill(&killed, &deaths) => {}
        }
        deaths.into_inner().unwrap()
    };
    let ((), deaths) = tokio::join!(undisturbed, disturbed);
    assert_eq!(deaths.len(), KILLS, "the story was over before the last kill");
    let done = killed.proxy.done();
    let within = deaths.iter().filter(|death| within(&done, **death)).count();
    println!(
        "{KILLS} kills, {within} of them within a transition; {} writes, undisturbed {}",
        done.len(),
        calm.proxy.done().len()
    );
    assert!(within >= 25, "{within} of {deaths:?} in {done:?}");
    assert_eq!(calm.recorder.walk("web"), declared());
    assert_eq!(killed.recorder.walk("web"), declared(), "every weight that was ever live is the one a step declares");
    pretty(&end(&calm), &end(&killed));
    let live = virtual_service(&killed.client, &killed.namespace, "web").await.unwrap();
    assert_eq!(weights(&live), [("v1".to_owned(), 100)]);
}

fn pretty(calm: &str, killed: &str) {
    let difference = similar::TextDiff::from_lines(calm, killed).unified_diff().to_string();
    assert!(calm == killed, "{difference}");
}
