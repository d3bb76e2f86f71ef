//! Elections among candidates that are slow, frozen, cut off and unlucky, before a model API server.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::json;

use super::{
    election::{Claim, Election},
    record::{Found, Record},
};

const DURATION: Duration = Duration::from_secs(4);

static BEGIN: LazyLock<Instant> = LazyLock::new(|| Instant::now() + Duration::from_secs(1));

fn at(ms: u64) -> Instant {
    *BEGIN + Duration::from_millis(ms)
}

fn election(name: &str) -> Election {
    Election::new(name.into(), DURATION)
}

/// A server with one lease.
#[derive(Default)]
struct Server {
    lease: Option<Found>,
    writes: u64,
}

impl Server {
    fn write(&mut self, claim: &Claim) -> Option<Found> {
        if claim.version.as_ref() != self.lease.as_ref().map(|lease| &lease.version) {
            return None;
        }
        self.writes += 1;
        let record = Record { holder: claim.record.holder.clone(), ..claim.record.clone() };
        self.lease = Some(Found { record, version: self.writes.to_string(), hint: None });
        self.lease.clone()
    }
}

/// One whole turn at one instant.
fn turn(election: &mut Election, server: &mut Server, now: Instant, wall: &str) {
    if election.is_to_look() {
        election.saw(server.lease.clone(), now);
    }
    if let Some(claim) = election.claim(now, wall) {
        match server.write(&claim) {
            Some(found) => election.won(found, now, now),
            None => election.lost_sight(),
        }
    }
}

fn leads(election: &Election, now: Instant) -> bool {
    election.own().is_some_and(|own| now < own.until)
}

#[test]
fn the_first_takes_it_and_whoever_is_second_waits_for_as_long_as_it_stands() {
    let (mut server, mut one, mut two) = (Server::default(), election("one"), election("two"));
    turn(&mut one, &mut server, at(0), "a");
    turn(&mut two, &mut server, at(500), "b");
    assert_eq!((one.own().unwrap().term, two.own(), two.holder(at(500))), (1, None, Some("one")));
    turn(&mut one, &mut server, at(1_000), "c");
    turn(&mut two, &mut server, at(1_400), "d");
    // Killed at 1 s: the other has seen the record change at 1.4 s for the last time.
    turn(&mut two, &mut server, at(5_399), "e");
    assert_eq!((two.own(), leads(&one, at(3_999)), leads(&one, at(4_000))), (None, true, false));
    turn(&mut two, &mut server, at(5_400), "f");
    assert_eq!((two.own().unwrap().term, leads(&two, at(5_400))), (2, true));
}

#[test]
fn what_was_given_away_is_taken_at_the_next_look() {
    let (mut server, mut one, mut two) = (Server::default(), election("one"), election("two"));
    turn(&mut one, &mut server, at(0), "a");
    turn(&mut two, &mut server, at(100), "b");
    assert!(one.resign() && !one.resign());
    let claim = one.release("c").unwrap();
    assert!(!leads(&one, at(200)), "from before it is given away");
    server.write(&claim).unwrap();
    turn(&mut two, &mut server, at(600), "d");
    assert_eq!((two.own().unwrap().term, two.next(at(600), at(605))), (2, at(1_600)));
    assert_eq!((election("three").release("e"), two.release("e").is_some()), (None, true));
}

#[test]
fn wall_clocks_say_nothing() {
    let (mut server, mut one, mut two) = (Server::default(), election("one"), election("two"));
    for (second, wall) in
        (0..20).zip(["2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"].iter().cycle())
    {
        turn(&mut one, &mut server, at(second * 1_000), wall);
        turn(&mut two, &mut server, at(second * 1_000 + 300), "0000");
        assert_eq!((leads(&one, at(second * 1_000 + 300)), two.own()), (true, None));
    }
}

#[test]
fn a_lease_that_was_made_anew_is_lifted_above_the_terms_that_journals_name() {
    let (mut server, mut one) = (Server::default(), election("one"));
    turn(&mut one, &mut server, at(0), "a");
    one.lift(7);
    turn(&mut one, &mut server, at(10), "b");
    assert_eq!(one.own().unwrap().term, 8);
    turn(&mut one, &mut server, at(1_000), "c");
    assert_eq!(one.own().unwrap().term, 8, "once");
    server.lease = None;
    one.lost_sight();
    turn(&mut one, &mut server, at(2_000), "d");
    assert_eq!(one.own().unwrap().term, 9, "whoever deletes it does not set it back");
}

#[test]
fn a_lost_answer_is_looked_for_and_counts_for_nothing_until_it_was_renewed() {
    let (mut server, mut one) = (Server::default(), election("one"));
    one.saw(None, at(0));
    let claim = one.claim(at(0), "a").unwrap();
    server.write(&claim).unwrap();
    one.lost_sight();
    assert_eq!((one.own(), one.claim(at(500), "b")), (None, None));
    turn(&mut one, &mut server, at(500), "b");
    assert_eq!(one.own().map(|own| (own.term, own.until)), Some((1, at(3_500))));
}

#[test]
fn a_lease_is_read_as_any_client_writes_it() {
    let lease = json!({
        "metadata": {"name": "tidegate", "resourceVersion": "7", "annotations": {"tidegate.dev/hint": "4f2c"}},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 15, "leaseTransitions": 3, "renewTime": "2026-11-30T06:00:00.000000Z"},
    });
    let found = Found::read(&lease).unwrap();
    assert_eq!((&found.record.holder, found.record.duration), (&None, Some(Duration::from_secs(15))));
    assert_eq!((found.record.transitions, found.version.as_str(), found.hint.as_deref()), (3, "7", Some("4f2c")));
    assert_eq!(Found::read(&json!({"spec": {}})), None);
    let bare = Found::read(&json!({"metadata": {"resourceVersion": "1"}})).unwrap();
    assert_eq!((bare.record.holder, bare.record.duration, bare.record.transitions), (None, None, 0));
}

/// Where a candidate's turn stands.
enum Stage {
    /// A look is answered with this.
    Looked(Option<Found>),
    /// A claim is on its way, sent at this instant.
    Sent(Claim, Instant),
    /// It was answered; none: another was faster.
    Answered(Option<Found>, Instant),
    /// No answer comes.
    Lost,
    Rests,
}

/// What happens next to a candidate: who, how long after the last thing, and whether its request is lost.
fn happening() -> impl Strategy<Value = (usize, u64, bool)> {
    let pauses = prop_oneof![8 => 0_u64..60, 6 => 100_u64..1_200, 2 => 1_500_u64..6_000, 1 => 10_000_u64..60_000];
    (0_usize..3, pauses, proptest::bool::weighted(0.1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// However slow, frozen or unlucky candidates are, and wherever between two steps: never do two count on the lease at
    /// the same instant, and its term never falls.
    #[test]
    fn law_11_never_do_two_count_on_the_lease(happenings in proptest::collection::vec(happening(), 10..300)) {
        let mut server = Server::default();
        let names = ["one", "two", "three"];
        let mut all: Vec<(Election, Stage)> = names.iter().map(|name| (election(name), Stage::Rests)).collect();
        let (mut ms, mut term) = (0, 0);
        for (step, (who, pause, lost)) in happenings.into_iter().enumerate() {
            ms += pause;
            let now = at(ms);
            let (candidate, stage) = &mut all[who];
            *stage = match std::mem::replace(stage, Stage::Rests) {
                Stage::Rests if candidate.is_to_look() => {
                    if lost { Stage::Lost } else { Stage::Looked(server.lease.clone()) }
                }
                Stage::Rests => candidate.claim(now, &step.to_string()).map_or(Stage::Rests, |claim| Stage::Sent(claim, now)),
                Stage::Looked(found) => {
                    candidate.saw(found, now);
                    candidate.claim(now, &step.to_string()).map_or(Stage::Rests, |claim| Stage::Sent(claim, now))
                }
                Stage::Sent(claim, sent) => {
                    let answer = server.write(&claim);
                    if lost { Stage::Lost } else { Stage::Answered(answer, sent) }
                }
                Stage::Answered(Some(found), sent) => {
                    candidate.won(found, sent, now);
                    Stage::Rests
                }
                Stage::Answered(None, _) | Stage::Lost => {
                    candidate.lost_sight();
                    Stage::Rests
                }
            };
            let leading = all.iter().filter(|(candidate, _)| leads(candidate, now)).count();
            prop_assert!(leading <= 1, "{leading} lead at {ms} ms");
            let now_term = server.lease.as_ref().map_or(0, |lease| lease.record.transitions);
            prop_assert!(now_term >= term, "from term {term} to {now_term}");
            term = now_term;
        }
    }

    /// Killed at any instant, the holder is followed within what the documentation says: the duration, and one look.
    #[test]
    fn a_holder_that_is_killed_is_followed_in_time(killed_ms in 1_000_u64..9_000, offset_ms in 0_u64..500, slow_ms in 0_u64..100) {
        let (mut server, mut one, mut two) = (Server::default(), election("one"), election("two"));
        let (mut next_one, mut next_two) = (at(0), at(offset_ms));
        let mut after_ms = None;
        while after_ms.is_none() {
            let now = next_one.min(next_two);
            if now == next_one && now < at(killed_ms) {
                turn(&mut one, &mut server, now, &format!("{now:?}"));
                next_one = one.next(now, now + Duration::from_millis(slow_ms));
                continue;
            }
            if now == next_one {
                next_one = at(1_000_000);
                continue;
            }
            turn(&mut two, &mut server, now, &format!("{now:?}"));
            if leads(&two, now) {
                after_ms = Some((now - at(killed_ms)).as_millis());
            }
            next_two = two.next(now, now + Duration::from_millis(slow_ms));
        }
        prop_assert!(after_ms.is_some_and(|ms| ms <= u128::from(4_500 + 2 * slow_ms)), "{after_ms:?} ms");
    }
}
