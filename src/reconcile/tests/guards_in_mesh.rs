//! A guard in one of two clusters that share their endpoints: it sees those of its own alone.

use proptest::prelude::*;

use super::{
    guards_of_two::{Guard, one_way_back, stop},
    pair::{EAST, Pair, WEST, both, on_v1, to_v2},
};
use crate::{plan::VersionName, rollout::Journal};

/// Ready endpoints of v1 and v2, each in the east and in the west.
type Counts = [[u32; 2]; 2];

/// v1 has its pods in the east, v2 in the west, and the other way round.
const SPLITS: [Counts; 2] = [[[12, 0], [0, 2]], [[0, 12], [2, 0]]];
const VERSIONS: [&str; 2] = ["v1", "v2"];

/// Both at 10, and the guard's cluster out of the other's reach.
fn cut_off(counts: Counts) -> (Pair, Guard) {
    let mut pair = Pair::new();
    pair.around.shares = true;
    for (version, counts) in VERSIONS.into_iter().zip(counts) {
        for (cluster, count) in [EAST, WEST].into_iter().zip(counts) {
            pair.ready(&format!("{cluster}/{version}"), Some(count));
        }
    }
    pair.push(on_v1());
    pair.pass(30);
    pair.push(to_v2());
    pair.pass(10);
    assert_eq!(pair.weights(), both("v1=90 v2=10"));
    pair.leave(WEST);
    let guard = Guard::start(&mut pair);
    for version in VERSIONS {
        // Whoever raises does not know what is there.
        pair.ready(&format!("west/{version}"), None);
    }
    (pair, guard)
}

fn journal(pair: &Pair) -> Journal {
    Journal::on(&pair.object(WEST)).unwrap().unwrap()
}

#[test]
fn the_journal_says_where_callers_reach_a_version_in_other_clusters_alone() {
    for (counts, noted) in SPLITS.into_iter().zip([[EAST, WEST], [WEST, EAST]]) {
        let (pair, _) = cut_off(counts);
        let [has_v1, has_v2] = noted;
        let journal = journal(&pair);
        let away = |cluster, version| journal.is_elsewhere(cluster, &VersionName::new(version));
        assert!(away(has_v2, "v1") && away(has_v1, "v2"));
        assert_eq!(journal.elsewhere.values().map(std::collections::BTreeSet::len).sum::<usize>(), 2);
    }
    let (pair, _) = cut_off([[1, 2], [2, 1]]);
    assert!(journal(&pair).elsewhere.is_empty(), "where all are in each there is nothing to say");
}

#[test]
fn a_version_that_was_never_in_a_guards_cluster_is_not_gone_from_there() {
    for counts in SPLITS {
        let (mut pair, mut guard) = cut_off(counts);
        guard.pass(&mut pair, 900);
        assert_eq!((pair.weights(), guard.done), (both("v1=90 v2=10"), 0));
    }
}

#[test]
fn law_03_a_guard_goes_back_to_a_version_that_is_in_the_other_cluster() {
    for counts in SPLITS {
        let (mut pair, mut guard) = cut_off(counts);
        stop(&mut pair, WEST);
        guard.pass(&mut pair, 2);
        assert_eq!(pair.weights(), ["v1=90 v2=10", "v1=100"]);
        one_way_back(&mut pair, &mut guard);
    }
    let (mut pair, mut guard) = cut_off(SPLITS[0]);
    guard.ready("v2", 0);
    guard.pass(&mut pair, 12);
    assert_eq!(pair.weights(), ["v1=90 v2=10", "v1=100"], "what was there is gone");
}

#[test]
fn what_came_to_a_guards_cluster_since_can_go_from_there() {
    let (mut pair, mut guard) = cut_off(SPLITS[1]);
    guard.ready("v2", 1);
    guard.pass(&mut pair, 60);
    guard.ready("v2", 0);
    guard.pass(&mut pair, 9);
    assert_eq!((pair.weights(), guard.done), (both("v1=90 v2=10"), 0));
    guard.pass(&mut pair, 3);
    assert_eq!(pair.weights(), ["v1=90 v2=10", "v1=100"]);
}

/// What a guard may know of a version in its cluster.
#[derive(Clone, Copy)]
struct Known {
    here: bool,
    count: u32,
    none_since_s: Option<i64>,
}

impl Known {
    fn see(&mut self, count: u32, at_s: i64) {
        (self.here, self.count) = (self.here || count > 0, count);
        self.none_since_s = (self.here && count == 0).then(|| self.none_since_s.unwrap_or(at_s));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A guard goes back exactly where a version that it has seen in its cluster, or that the journal has there, has had no
    /// endpoint there for ten seconds, and what it would go back to is not known to be gone.
    #[test]
    fn law_03_a_guard_in_a_mesh_goes_back_for_what_was_there_and_for_nothing_else(
        counts in prop::array::uniform2(prop::array::uniform2(0_u32..3)),
        happens in prop::collection::vec((0_usize..2, 0_u32..2, prop::sample::select(vec![4_i64, 13])), 0..8),
    ) {
        prop_assume!(counts.iter().all(|counts| counts.iter().any(|count| *count > 0)));
        let (mut pair, mut guard) = cut_off(counts);
        let mut known = counts.map(|[_, count]| Known { here: count > 0, count, none_since_s: None });
        let mut at_s = 0;
        for (version, count, seconds) in happens {
            known[version].see(count, at_s);
            guard.ready(VERSIONS[version], count);
            guard.pass(&mut pair, seconds);
            at_s += seconds;
            let fails = known.iter().any(|known| known.none_since_s.is_some_and(|since| at_s - since > 10));
            let serves = known[0].none_since_s.is_none();
            let expected = if fails && serves { "v1=100" } else { "v1=90 v2=10" };
            prop_assert_eq!(pair.weights(), ["v1=90 v2=10".to_owned(), expected.to_owned()]);
            prop_assert_eq!(guard.done, usize::from(fails && serves));
            if fails && serves {
                break;
            }
        }
    }
}
