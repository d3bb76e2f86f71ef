//! The weights between origin and target: which come next, and what each version gets at each.

use std::collections::BTreeSet;

use crate::plan::{Plan, Step, Traffic, VersionName};

/// Percent that `versions` get together.
pub fn total(traffic: &Traffic, versions: &BTreeSet<VersionName>) -> u8 {
    traffic.iter().filter(|(name, _)| versions.contains(*name)).map(|(_, weight)| weight).sum()
}

/// What a walk enters next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A declared step.
    Step(&'a Step),
    /// The target.
    Target,
}

/// The first step above the present weight, or the target. `present` is none before any step was entered: only then
/// a first step of weight 0 counts, and only where the rising versions have nothing yet.
pub fn next<'a>(plan: &'a Plan, origin_total: u8, target_total: u8, present: Option<u8>) -> Next<'a> {
    let ahead = |step: &&Step| match present {
        Some(weight) => step.weight > weight,
        None => step.weight > origin_total || (step.weight == 0 && origin_total == 0),
    };
    match plan.steps.iter().find(ahead) {
        Some(step) if step.weight < target_total => Next::Step(step),
        _ => Next::Target,
    }
}

/// Traffic at step weight `weight`: each version has `O + (w − r0)/(r1 − r0) · (T − O)`, rounded by largest remainder
/// within the rising group, whose total is exactly `weight`, and within the rest. Ties go to `order`.
///
/// Returns none where the rising group does not rise from `origin` to `target`.
pub fn at(
    weight: u8,
    origin: &Traffic,
    target: &Traffic,
    rising: &BTreeSet<VersionName>,
    order: &[VersionName],
) -> Option<Traffic> {
    let (r0, r1) = (i64::from(total(origin, rising)), i64::from(total(target, rising)));
    let w = i64::from(weight);
    let scale = r1 - r0;
    if scale <= 0 || w < r0 || w > r1 {
        return None;
    }
    let mut names: Vec<&VersionName> = order.iter().collect();
    names.extend(origin.iter().chain(target.iter()).map(|(name, _)| name).filter(|name| !order.contains(name)));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    let exact = |name: &VersionName| {
        let (from, to) = (i64::from(origin.weight(name)), i64::from(target.weight(name)));
        from * scale + (w - r0) * (to - from)
    };
    let (up, rest): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| rising.contains(*name));
    let parts = |group: Vec<&VersionName>, sum: i64| {
        let exact =
            group.iter().map(|name| exact(name)).map(|exact| (exact.div_euclid(scale), exact.rem_euclid(scale)));
        let shares = largest_remainder(&exact.collect::<Vec<_>>(), sum);
        group.into_iter().cloned().zip(shares).collect::<Vec<_>>()
    };
    Traffic::new(parts(up, w).into_iter().chain(parts(rest, 100 - w))).ok()
}

/// Rounds parts, each a whole number with a remainder, so that they sum to `sum`; ties go to the first.
fn largest_remainder(parts: &[(i64, i64)], sum: i64) -> Vec<u8> {
    let missing = usize::try_from(sum - parts.iter().map(|(whole, _)| whole).sum::<i64>()).unwrap_or(0);
    let mut places: Vec<usize> = (0..parts.len()).collect();
    places.sort_by_key(|place| -parts.get(*place).map_or(0, |(_, remainder)| *remainder));
    places.truncate(missing);
    let rounded = |(place, (whole, _)): (usize, &(i64, i64))| whole + i64::from(places.contains(&place));
    parts.iter().enumerate().map(rounded).map(|whole| u8::try_from(whole).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn traffic(weights: &[(&str, u8)]) -> Traffic {
        Traffic::new(weights.iter().map(|(name, weight)| (VersionName::new(*name), *weight))).unwrap()
    }

    fn names(names: &[&str]) -> Vec<VersionName> {
        names.iter().map(|name| VersionName::new(*name)).collect()
    }

    fn step_at(weight: u8, origin: &[(&str, u8)], target: &[(&str, u8)], rising: &[&str]) -> String {
        let rising = names(rising).into_iter().collect();
        at(weight, &traffic(origin), &traffic(target), &rising, &names(&["v1", "v2", "v3"])).unwrap().to_string()
    }

    #[test]
    fn two_versions_get_just_what_the_step_says() {
        assert_eq!(step_at(10, &[("v1", 100)], &[("v2", 100)], &["v2"]), "v1=90 v2=10");
        assert_eq!(step_at(25, &[("v1", 90), ("v2", 10)], &[("v2", 100)], &["v2"]), "v1=75 v2=25");
    }

    #[test]
    fn falling_versions_fall_in_proportion() {
        assert_eq!(step_at(10, &[("v1", 90), ("v2", 10)], &[("v1", 50), ("v3", 50)], &["v3"]), "v1=82 v2=8 v3=10");
        assert_eq!(step_at(25, &[("v1", 90), ("v2", 10)], &[("v1", 50), ("v3", 50)], &["v3"]), "v1=70 v2=5 v3=25");
    }

    fn shares(parts: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0_u8..=100, parts - 1).prop_map(|mut cuts| {
            cuts.sort_unstable();
            let mut last = 0;
            let mut shares: Vec<u8> = cuts
                .iter()
                .map(|cut| {
                    let s = cut - last;
                    last = *cut;
                    s
                })
                .collect();
            shares.push(100 - last);
            shares
        })
    }

    proptest! {
        /// Laws 1 and 2: whatever origin and target, weights add up, the rising group gets exactly the step, and no
        /// falling version gets more than it had.
        #[test]
        fn law_01_and_02_every_step_adds_up_and_never_exceeds_it(o in shares(4), t in shares(4), w in 0_u8..=100) {
            let order = names(&["a", "b", "c", "d"]);
            let of = |shares: &[u8]| Traffic::new(order.iter().cloned().zip(shares.iter().copied())).unwrap();
            let (origin, target) = (of(&o), of(&t));
            let rising: BTreeSet<_> =
                order.iter().filter(|name| target.weight(name) > origin.weight(name)).cloned().collect();
            let (r0, r1) = (total(&origin, &rising), total(&target, &rising));
            prop_assume!(r0 < r1 && (r0..=r1).contains(&w));
            let step = at(w, &origin, &target, &rising, &order).unwrap();
            prop_assert_eq!(step.iter().map(|(_, weight)| u32::from(weight)).sum::<u32>(), 100);
            prop_assert_eq!(total(&step, &rising), w);
            for name in &order {
                let (low, high) = (origin.weight(name).min(target.weight(name)), origin.weight(name).max(target.weight(name)));
                prop_assert!((low..=high).contains(&step.weight(name)), "{} {} of {}..{}", name, step, low, high);
            }
        }
    }
}
