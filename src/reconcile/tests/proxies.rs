//! Where istiod is asked: nothing goes on before the proxies have what was written, and going back waits for nobody.

use jiff::Timestamp;

use super::{
    draft::{Draft, on_v1, plan, settled_on_v1, to_v2},
    simulation::Sim,
};
use crate::{
    istio::{self, ObjectKind},
    plan::OnFailure,
    rollout::{Cause, Phase, Taken},
};

impl Sim {
    /// The proxies are so far with VirtualService and DestinationRule as they are now.
    fn asking(&mut self, route: Taken, rule: Taken) -> &mut Self {
        (self.settings.asks_proxies, self.worker.settings.asks_proxies) = (true, true);
        let now = |kind| self.api.objects.get(&kind).and_then(|live| istio::lens::generation(live));
        let known = [(ObjectKind::VirtualService, route), (ObjectKind::DestinationRule, rule)];
        self.around.proxies = Some(known.map(|(kind, taken)| (kind, (now(kind), taken))).into());
        self.look()
    }

    /// A proxy refuses the routes as they are now, or all have taken them; of what is written later nothing is known.
    pub(super) fn proxies(&mut self, refuse: bool) -> &mut Self {
        self.asking(if refuse { refused() } else { Taken::Since(self.now) }, Taken::Since(self.now))
    }
}

fn awaited() -> Taken {
    Taken::Awaited { why: "1 of 2 proxies lag: gw-1.istio-system".into() }
}

fn refused() -> Taken {
    Taken::Refused { why: "gw-1.istio-system: weights".into() }
}

/// Nothing but v1 and v2, so that no subset is there that nobody needs.
fn two(draft: Draft) -> Draft {
    draft.with(|plan| plan.routing.versions.truncate(2))
}

/// The first step of a walk to v2 is written, and no proxy has it.
fn stepped() -> Sim {
    let mut sim = settled_on_v1();
    sim.asking(Taken::Since(sim.now), Taken::Since(sim.now)).push(to_v2());
    assert_eq!(sim.weights(), "v1=90 v2=10");
    sim.asking(awaited(), Taken::Since(sim.now));
    sim.trace();
    sim
}

#[test]
fn law_07_a_hold_counts_from_the_instant_at_which_all_proxies_have_the_weights() {
    let mut sim = stepped();
    sim.pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=90 v2=10", "Converging"));
    assert!(sim.reason().to_string().contains("1 of 2 proxies lag: gw-1.istio-system"), "{}", sim.reason());
    sim.asking(Taken::Since(sim.now), Taken::Since(Timestamp::MIN)).pass("4m59s");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=90 v2=10", "Hold"));
    sim.pass("2s");
    assert_eq!(sim.weights(), "v1=75 v2=25", "five minutes after they had it");
}

#[test]
fn what_nobody_waits_for_is_not_asked() {
    let mut sim = settled_on_v1();
    sim.asking(Taken::Unasked, Taken::Unasked).pass("1d");
    assert!(sim.questions.is_empty(), "{:?}", sim.questions);
    sim.push(to_v2());
    let asked: Vec<_> = sim.questions.iter().map(|(kind, live)| (*kind, live.is_some())).collect();
    assert!(asked.contains(&(ObjectKind::VirtualService, true)), "{asked:?}");
    assert!(asked.contains(&(ObjectKind::DestinationRule, true)), "{asked:?}");
}

#[test]
fn law_08_no_answer_of_istiod_is_never_a_pass() {
    let mut sim = settled_on_v1();
    sim.asking(Taken::Unasked, Taken::Unasked).push(to_v2()).pass("1d");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=100", "Converging"));
    assert!(sim.reason().to_string().contains("istiod is asked"), "{}", sim.reason());
}

#[test]
fn a_proxy_that_refuses_the_routes_fails_the_step_and_is_named() {
    let mut sim = stepped();
    sim.asking(refused(), Taken::Since(sim.now));
    assert_eq!(sim.trace(), ["v1=100"]);
    assert!(matches!(sim.journal().phase, Phase::WentBack { cause: Cause::ProxyRefused(_) }));
    assert!(sim.reason().to_string().contains("gw-1.istio-system: weights"), "{}", sim.reason());
    assert!(sim.journal().restore.is_some(), "Git follows");
    sim.pass("1d");
    assert_eq!(sim.weights(), "v1=100", "a state that settled stands, whatever a proxy says");
}

/// What refuses the routes that stand says nothing of those that replace them.
#[test]
fn a_refusal_of_a_proxy_that_is_held_ends_by_mended_routing() {
    let to_v2 = || to_v2().with(|plan| plan.on_failure = OnFailure::Hold);
    let mut sim = settled_on_v1();
    sim.proxies(false).push(to_v2().timeout("bad")).proxies(true).pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=90 v2=10", "FailureHeld"));
    sim.push(to_v2().timeout("5s")).proxies(false).pass("4m59s");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=90 v2=10", "Hold"));
    sim.pass("2s");
    assert_eq!(sim.weights(), "v1=75 v2=25");
}

#[test]
fn a_proxys_refusal_ends_by_other_routing_and_not_by_the_same() {
    let mut sim = stepped();
    sim.proxies(true).push(on_v1()).proxies(false).pass("1h").push(to_v2()).pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v1=100", "WentBack"), "{}", sim.reason());
    sim.push(to_v2().timeout("5s"));
    assert_eq!(sim.weights(), "v1=90 v2=10");
}

#[test]
fn law_03_a_way_back_asks_no_proxy() {
    let mut sim = stepped();
    sim.asking(awaited(), awaited()).push(on_v1());
    assert_eq!(sim.trace(), ["v1=100"], "at once");
    assert_eq!(sim.reason().name(), "Settled");
}

#[test]
fn routes_to_a_new_subset_wait_until_the_proxies_have_it() {
    let mut sim = Sim::new();
    sim.push(plan("v1=100").with(|plan| plan.routing.versions.truncate(1))).pass("1h").trace();
    sim.asking(Taken::Since(sim.now), Taken::Since(sim.now)).push(two(plan("v2=100").steps("10:5m"))).pass("1h");
    assert_eq!(sim.weights(), "v1=100", "nobody was asked about the new rule");
    sim.asking(Taken::Since(sim.now), awaited()).pass("1h");
    assert_eq!(sim.weights(), "v1=100");
    sim.asking(Taken::Since(sim.now), Taken::Since(sim.now));
    assert_eq!(sim.weights(), "v1=90 v2=10");
}

#[test]
fn a_subset_goes_once_the_proxies_have_left_it_and_requests_have_drained() {
    let mut sim = settled_on_v1();
    sim.asking(awaited(), Taken::Since(sim.now)).push(two(on_v1())).pass("1h");
    let defined = |sim: &Sim| istio::lens::subsets(&sim.api.objects[&ObjectKind::DestinationRule]).count();
    assert_eq!(defined(&sim), 3, "no proxy is known to have left it");
    sim.asking(Taken::Since(sim.now), Taken::Since(sim.now)).pass("1s");
    assert_eq!(defined(&sim), 3, "requests under way are given time");
    sim.pass("2s");
    assert_eq!(defined(&sim), 2);
}
