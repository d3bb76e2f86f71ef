//! Judges counts of random requests: within its interval, a share may be the one that was asked for.
//!
//! All intervals of the suite together are wrong once in a thousand runs. A miss is repeated once with four times the
//! requests, so a single interval may miss with the root of its part.

/// How often the whole suite may fail by chance.
const CHANCE: f64 = 0.001;
/// No more intervals are judged in one run of the suite.
const INTERVALS_MAX: f64 = 40.0;

/// Whether `hits` of `requests` can be `percent` of them; nothing at all and everything are exact.
pub fn fits(hits: usize, requests: usize, percent: u32) -> bool {
    match percent {
        0 => hits == 0,
        100 => hits == requests,
        _ => {
            let chance = (CHANCE / INTERVALS_MAX).sqrt();
            tail(hits, requests, f64::from(percent) / 100.0) > chance / 2.0
        }
    }
}

/// The chance of so few hits, or of so many, whichever is smaller.
fn tail(hits: usize, requests: usize, share: f64) -> f64 {
    let mut log_factorials = vec![0.0; requests + 1];
    for n in 1..=requests {
        log_factorials[n] = log_factorials[n - 1] + (n as f64).ln();
    }
    let chance = |k: usize| {
        let ways = log_factorials[requests] - log_factorials[k] - log_factorials[requests - k];
        (ways + k as f64 * share.ln() + (requests - k) as f64 * (1.0 - share).ln()).exp()
    };
    let few: f64 = (0..=hits).map(chance).sum();
    let many: f64 = (hits..=requests).map(chance).sum();
    few.min(many)
}

/// Holds the judge to known figures, as every run relies on it.
pub fn check() {
    // The chance of no head in ten throws, and of five or fewer.
    assert!((tail(0, 10, 0.5) - 1.0 / 1024.0).abs() < 1e-12);
    assert!((tail(5, 10, 0.5) - 638.0 / 1024.0).abs() < 1e-12);
    assert!(fits(100, 2000, 5) && fits(400, 2000, 20) && fits(1000, 2000, 50));
    assert!(!fits(60, 2000, 5) && !fits(140, 2000, 5) && !fits(320, 2000, 20) && !fits(1100, 2000, 50));
    assert!(fits(0, 10, 0) && !fits(1, 10, 0) && fits(10, 10, 100) && !fits(9, 10, 100));
}
