//! Holds the rules for Istio's objects against Istio itself: what its webhook refuses, the rules refuse.
//!
//! A corpus is made from a fixed seed and from a fresh one, which is printed; `TIDEGATE_VALIDATE_SEED=7` takes another
//! fixed one. `cargo test --test validate -- --nocapture` prints objects, agreements and differences.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod breaks;
#[path = "../support/controlplane.rs"]
mod controlplane;
mod corpus;
mod dice;
mod differences;
mod good;
#[path = "../support/istiod.rs"]
mod istiod;
mod oracle;

use std::collections::BTreeMap;

use breaks::Istio;
use corpus::Case;
use oracle::Verdict;
use tidegate::istio::rules::{Found, check};
use tidegate::plan::{CODES, Severity};

const FIXED_SEED: u64 = 1;
const A_RULE_MIN: usize = 20;

#[test]
fn what_istio_refuses_is_refused() {
    if let Err(why) = istiod::binary() {
        println!("SKIPPED: the rules were not held against Istio: istiod can't be had here: {why}");
        return;
    }
    let fixed = std::env::var("TIDEGATE_VALIDATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(FIXED_SEED);
    let fresh = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let istiod = istiod::Istiod::start(controlplane::ControlPlane::shared());
    for seed in [fixed, fresh] {
        compare(&istiod.url(), seed);
    }
}

fn compare(url: &str, seed: u64) {
    let cases = corpus::make(&breaks::all(), seed);
    let objects: Vec<_> = cases.iter().map(|case| case.object.clone()).collect();
    let begin = std::time::Instant::now();
    let verdicts = oracle::ask(url, &objects);
    let asked = begin.elapsed();
    let begin = std::time::Instant::now();
    let found: Vec<Vec<Found>> = objects.iter().map(check).collect();
    let checked = begin.elapsed();

    let mut tally = Tally::default();
    for ((case, verdict), found) in cases.iter().zip(&verdicts).zip(&found) {
        tally.take(case, verdict, found);
    }
    let share = tally.refused * 100 / cases.len();
    println!(
        "seed {seed}: {} objects, Istio refuses {} ({share} %); {} agreements, {} refused here alone by {:?}; Istio took {} ms, the rules {} ms",
        cases.len(),
        tally.refused,
        tally.agreed,
        tally.stricter.values().sum::<usize>(),
        tally.stricter,
        asked.as_millis(),
        checked.as_millis()
    );
    for istio in [Istio::Refuses, Istio::Warns, Istio::Takes] {
        let rules = tally.by_rule.iter().filter(|((which, _), _)| *which == istio as u8);
        let rules: Vec<String> = rules.map(|((_, rule), count)| format!("{rule} {count}")).collect();
        println!(
            "seed {seed}: made by rule for what Istio {}: {}",
            format!("{istio:?}").to_lowercase(),
            rules.join(", ")
        );
    }
    let shown: Vec<&String> = tally.faults.iter().take(40).collect();
    assert!(tally.faults.is_empty(), "seed {seed}: {} faults: {shown:#?}", tally.faults.len());
    assert!(share >= 30, "seed {seed}: Istio refuses {share} % alone");
    for one in breaks::all() {
        let count = tally.by_rule.get(&(one.istio as u8, one.rule)).copied().unwrap_or(0);
        assert!(count >= A_RULE_MIN, "seed {seed}: {} has {count} objects that Istio {:?}", one.rule, one.istio);
    }
}

#[derive(Default)]
struct Tally {
    refused: usize,
    agreed: usize,
    /// Objects that the rules refuse and Istio takes, by the first code.
    stricter: BTreeMap<&'static str, usize>,
    /// Objects that were made to break a rule and did, by what Istio does with them.
    by_rule: BTreeMap<(u8, &'static str), usize>,
    faults: Vec<String>,
}

impl Tally {
    fn take(&mut self, case: &Case, verdict: &Verdict, found: &[Found]) {
        let is_error =
            |code: &str| CODES.iter().any(|(known, severity, _)| *known == code && *severity == Severity::Error);
        let errors: Vec<&'static str> = found.iter().map(|found| found.code).filter(|code| is_error(code)).collect();
        let mut fault = |what: &str| {
            let codes: Vec<String> = found.iter().map(|found| format!("{} {}", found.code, found.pointer)).collect();
            let Verdict { message, warnings, .. } = verdict;
            self.faults.push(format!("{what}: Istio: {message:?} {warnings:?}; rules: {codes:?}; {}", case.object));
        };
        let did = match (verdict.is_allowed, verdict.warnings.is_empty()) {
            (false, _) => Istio::Refuses,
            (true, false) => Istio::Warns,
            (true, true) => Istio::Takes,
        };
        // A good object may have a prefix before a longer one, of which Istio warns.
        let is_as_made = match case.istio {
            Some(Istio::Takes) => verdict.is_allowed,
            Some(made) => did == made || did == Istio::Refuses,
            None => true,
        };
        if !is_as_made {
            fault(&format!("made for what Istio {:?}, and it {did:?}", case.istio));
        }
        if !verdict.is_allowed && errors.is_empty() {
            fault("Istio refuses it, the rules do not");
        }
        if verdict.is_allowed {
            let unexplained = differences::unexplained(found, is_error);
            if !unexplained.is_empty() {
                fault(&format!("the rules refuse it by {unexplained:?}, Istio does not"));
            }
            if !verdict.warnings.is_empty() && found.is_empty() {
                fault("Istio warns of it, the rules do not");
            }
        }
        if let (Some(rule), Some(made)) = (case.rule, case.istio.filter(|made| *made == did || *made == Istio::Takes)) {
            let stands_for = |code: &str| code == rule || code == "IST0106" || (made == Istio::Warns && code == "TG01");
            if found.iter().any(|found| stands_for(found.code)) {
                *self.by_rule.entry((made as u8, rule)).or_default() += 1;
            } else {
                fault(&format!("made to break {rule}, which is not found"));
            }
        }
        self.refused += usize::from(!verdict.is_allowed);
        if verdict.is_allowed == errors.is_empty() {
            self.agreed += 1;
        } else if let Some(code) = errors.first() {
            *self.stricter.entry(code).or_default() += 1;
        }
    }
}
