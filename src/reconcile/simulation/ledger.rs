//! What an onlooker knows who sees every write of one cluster and trusts no journal: what has stood for how long, what
//! it has proven, and what has failed. Laws 1, 2, 3, 4, 7 and 12 are checked against that.

mod several;

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use tidegate::{
    istio,
    plan::{Plan, Routing, Traffic, Version, VersionName},
    rollout::{Cause, FailedKey, Journal, Phase, Restore, STOP, Transition, What},
};

use super::{
    position::{Position, adds_up, carried, hold_ms, moves_nothing, sums, total, traffic_of},
    running::{Running, VERSIONS, images},
    wrote::{Knowledge, Verdict, Wrote, ensure},
};

/// The convergence wait of all stories, in milliseconds.
pub const WAIT_MS: i64 = 2_000;

/// The ledger of one cluster.
#[derive(Default)]
pub struct Ledger {
    journal: Option<Arc<Journal>>,
    /// Version, what runs behind it, and the weight that it has proven.
    proven: Vec<(VersionName, Option<String>, u8)>,
    /// The state that settled last: a way back may lead there even above what is still proven.
    last_settled: Option<Traffic>,
    pub failed: Vec<FailedKey>,
    /// The hold of an open position, in milliseconds.
    hold_ms: Option<i64>,
    since_ms: i64,
    /// How far the clock of the present process is off, and the least and the most since then.
    skew_ms: i64,
    skews_ms: (i64, i64),
    /// A hand has put an unproven version below what was written.
    lowered: bool,
    /// The same hand has put a version above what was written and what it has proven.
    exposed: bool,
    /// What was to be restored after traffic had gone back here.
    restores: Vec<Restore>,
    running: Running,
}

impl Ledger {
    /// A process has started, its clock so far off.
    pub fn started(&mut self, skew_ms: i64) {
        self.skew_ms = skew_ms;
        self.skews_ms = (self.skews_ms.0.min(skew_ms), self.skews_ms.1.max(skew_ms));
    }

    /// Whether this cluster has that position.
    pub fn has(&self, journal: &Journal) -> bool {
        let last = |journal: &Journal| journal.transitions.last().cloned();
        self.journal.as_ref().is_some_and(|there| last(there) == last(journal) && there.state == journal.state)
    }

    /// Whether traffic went back here before this restore.
    pub fn has_gone_back(&self, restore: &Restore) -> bool {
        self.restores.contains(restore)
    }

    /// The position that was written last.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_deref()
    }

    /// Whether a version has had no more than this at any instant since then.
    pub fn has_fallen(&self, version: &VersionName, most: u8, since_ms: i64) -> bool {
        self.running.has_fallen(version, most, since_ms)
    }

    /// Whether the plan, committed now, would raise nothing. Where other images have run, that is sure of what an open walk
    /// goes back to.
    pub fn raises_nothing(&self, plan: &Plan, images: bool) -> bool {
        self.journal.as_ref().is_some_and(|journal| {
            let state = &journal.state;
            let back = journal.way_back.as_ref().filter(|_| journal.is_raised());
            let leads_back = back.is_some_and(|settled| settled.state.traffic == plan.traffic);
            (leads_back || !images)
                && self
                    .rising(&Position { routing: state.routing.clone(), traffic: state.traffic.clone() }, plan)
                    .is_empty()
        })
    }

    /// The most that callers may be given of a version.
    pub fn most(&self, name: &VersionName) -> u8 {
        let Some(journal) = &self.journal else { return 100 };
        journal.state.traffic.weight(name).max(self.proven_by_name(&journal.state.routing, name))
    }

    /// What the version has proven.
    fn proven(&self, version: &Version) -> u8 {
        let there = self.proven.iter().find(|(name, build, _)| *name == version.name && *build == version.build);
        there.map_or(0, |(_, _, weight)| *weight)
    }

    pub(super) fn proven_by_name(&self, routing: &Routing, name: &VersionName) -> u8 {
        routing.version(name).map_or(0, |version| self.proven(version))
    }

    fn prove(&mut self, routing: &Routing, traffic: &Traffic) {
        self.last_settled = Some(traffic.clone());
        for (name, weight) in traffic.iter() {
            let Some(version) = routing.version(name) else { continue };
            let weight = weight.max(self.proven(version));
            self.proven.retain(|(there, ..)| there != name);
            self.proven.push((name.clone(), version.build.clone(), weight));
        }
    }

    /// A hand changed the VirtualService.
    pub fn touched(&mut self, live: Option<&Value>) {
        self.lowered = false;
        let (Some(live), Some(journal)) = (live, &self.journal) else { return };
        if Journal::on(live).is_none_or(|found| found.as_ref() != Ok(&**journal)) || !journal.is_raised() {
            return;
        }
        let shares = istio::live_shares(live, &journal.state.routing);
        self.exposed = shares.per_version_max.iter().any(|(name, live)| *live > self.most(name));
        self.lowered = journal.state.traffic.iter().any(|(name, weight)| {
            let live = shares.per_version_min.get(name).copied().unwrap_or(0);
            live < weight && self.proven_by_name(&journal.state.routing, name) < weight
        });
    }

    /// Checks one write, and learns from it.
    pub fn wrote(&mut self, wrote: &Wrote<'_>) -> Verdict {
        let Some(journal) = wrote.journal.clone() else {
            return Err(("law 2", "the journal is not written with the weights".into()));
        };
        if self.files(wrote, &journal) {
            self.journal = Some(journal);
            return Ok(());
        }
        adds_up(wrote.after, &journal)?;
        let released = matches!(journal.phase, Phase::Released { .. });
        if wrote.stripped {
            // What a hand took away is not known any more, to nobody.
            self.journal = Some(journal);
            return Ok(());
        }
        ensure(released || (wrote.asked_for)(&journal.plan), "law 2", || "no commit asks for this plan".into())?;
        let created = journal.transitions.iter().rfind(|there| there.what == What::Created);
        let known = |there: &Transition| self.journal.as_ref().is_some_and(|old| old.transitions.contains(there));
        let anew = wrote.before.is_none() && created.is_some_and(|there| !known(there));
        if anew {
            *self = Self { skew_ms: self.skew_ms, skews_ms: (self.skew_ms, self.skew_ms), ..Self::default() };
            self.since_ms = wrote.now_ms;
        }
        match self.journal.clone() {
            None => self.first(&journal)?,
            Some(before) if *before != *journal => {
                self.after_others(&before, &journal, wrote)?;
                if journal.apart.as_ref().is_some_and(|apart| apart.front.is_some()) {
                    self.stays(&before, &journal, wrote)?;
                } else {
                    self.follows(&before, &journal, wrote)?;
                }
            }
            Some(before) => self.corrected(&before, wrote)?,
        }
        let known = wrote.knowledge.as_ref().filter(|_| wrote.alone);
        self.running.wrote(self.journal.as_deref(), &journal, known, wrote.now_ms)?;
        for version in &journal.state.routing.versions {
            let (said, stood) = (journal.proven(version), self.proven(version));
            ensure(said <= stood, "law 2", || {
                format!("{} counts as proven at {said}, but has stood at {stood}", version.name)
            })?;
        }
        let fresh: Vec<FailedKey> = journal.failed.iter().filter(|key| !self.failed.contains(key)).cloned().collect();
        self.failed.extend(fresh);
        self.lowered = false;
        self.restores.extend(journal.restore.clone().filter(|restore| !self.has_gone_back(restore)));
        self.journal = Some(journal);
        Ok(())
    }

    /// Whether a write only names subsets that are to come, whatever a hand has made of the routes.
    fn files(&self, wrote: &Wrote<'_>, journal: &Journal) -> bool {
        let same_spec = wrote.before.is_some_and(|before| before["spec"] == wrote.after["spec"]);
        self.journal.as_ref().filter(|_| same_spec).is_some_and(|before| {
            before.subsets.is_subset(&journal.subsets)
                && Journal { subsets: before.subsets.clone(), ..journal.clone() } == **before
        })
    }

    fn first(&mut self, journal: &Journal) -> Verdict {
        let plan = &journal.plan;
        let baseline = if plan.steps.is_empty() { Some(&plan.traffic) } else { plan.from.as_ref() };
        let allowed = Some(&journal.state.traffic) == baseline;
        ensure(allowed, "law 2", || format!("begins at {}", journal.state.traffic))?;
        if !plan.steps.is_empty() {
            self.prove(&journal.state.routing, &journal.state.traffic);
        } else {
            self.hold_ms = Some(hold_ms(plan.settle.seconds()));
        }
        Ok(())
    }

    /// What only puts back what was written never raises what was lowered (law 4).
    fn corrected(&self, journal: &Journal, wrote: &Wrote<'_>) -> Verdict {
        // Where nothing that is settled can serve, there is no way back, and nothing tells where else to go.
        let unready = wrote.knowledge.map(|knowledge| knowledge.unready);
        let is_ready = |name: &VersionName| {
            let unready = unready.iter().flatten().zip(["v1", "v2", "v3"]);
            !unready.into_iter().any(|(unready, version)| *unready && version == name.as_str())
        };
        let mut settled = journal.settled.iter().chain(&journal.way_back);
        let serves = unready.is_some() && settled.any(|one| one.state.traffic.iter().all(|(name, _)| is_ready(name)));
        // What exposes callers is put back nevertheless.
        let lowered = self.lowered && (serves || !self.exposed) && unready.is_some() && wrote.before.is_some();
        ensure(!lowered, "law 4", || format!("what a hand lowered was raised again to {}", journal.state.traffic))
    }

    fn follows(&mut self, before: &Journal, journal: &Arc<Journal>, wrote: &Wrote<'_>) -> Verdict {
        // Of several clusters each may have been told of a document by itself: that moves nothing, and is told again.
        let mut told = before.transitions.iter().rev();
        let place = |there: &Transition| journal.transitions.iter().rposition(|other| other == there);
        let known = told.find_map(|there| match place(there) {
            None if !wrote.alone && moves_nothing(before, there) => None,
            place => Some(place),
        });
        let known = known.flatten();
        let fresh: &[Transition] = match known {
            Some(place) => &journal.transitions[place + 1..],
            None => return self.restored(before, journal, wrote),
        };
        let mut position = Position { routing: before.state.routing.clone(), traffic: before.state.traffic.clone() };
        let mut stands_ms = wrote.now_ms - self.since_ms + (self.skews_ms.1 - self.skews_ms.0);
        // Documents that came and went elsewhere, each of which may have been what stood or not.
        let mut missed: Vec<Arc<Routing>> = Vec::new();
        let mut apart = before.apart.as_ref().is_some_and(|apart| apart.front.is_some());
        for (place, transition) in fresh.iter().enumerate() {
            apart &= !several::ends_apart(transition.what);
            if apart {
                // That was in front alone.
                self.hold_ms = None;
                continue;
            }
            let traffic = traffic_of(&transition.traffic);
            let moved = traffic != position.traffic;
            let plan = (wrote.plan_of)(&transition.commit).unwrap_or_else(|| journal.plan.clone());
            let went_on = fresh[place + 1..].iter().any(|later| later.traffic != transition.traffic);
            let last = place + 1 == fresh.len();
            // What was left again in the same write is not told but by what came of it.
            let known = last || matches!(transition.what, What::WentBack | What::Released);
            let mut routing = if known { &journal.state.routing } else { &position.routing }.clone();
            match transition.what {
                // What was raised elsewhere meanwhile and has gone back there was never live here.
                What::StepEntered | What::TargetEntered if went_on => {
                    self.enters(&position, &traffic, &plan, (transition, wrote));
                    routing = carried(&plan, &position);
                }
                What::WaveEntered if !moved => {}
                What::StepEntered | What::TargetEntered | What::WaveEntered => {
                    // Where more than a plan came before it in the same write, what was left had no hold of its own.
                    let held = match fresh {
                        [_] => true,
                        [accepted, _] => accepted.what == What::Accepted && !accepted.note.is_empty(),
                        _ => false,
                    };
                    self.hold_ms = self.hold_ms.filter(|_| held && before.is_raised());
                    // A later wave gets what an earlier one has held, also where a commit has put other steps ahead meanwhile.
                    if transition.what == What::WaveEntered {
                        self.hold_ms = None;
                    } else if wrote.alone {
                        self.raised(&position, &traffic, &plan, wrote, stands_ms)?;
                    } else {
                        self.declared(&position, &traffic, &plan)?;
                        if wrote.knowledge.is_some() {
                            self.all_held(&position, &traffic, &plan, wrote)?;
                        }
                    }
                    if transition.what != What::WaveEntered {
                        self.enters(&position, &traffic, &plan, (transition, wrote));
                    }
                }
                What::TakenBack => self.taken_back(&position, &routing, &traffic)?,
                What::Settled if went_on => self.prove(&routing, &traffic),
                What::Settled => self.settled(&routing, &traffic, &plan, stands_ms, wrote.alone && !wrote.handled)?,
                What::WentBack | What::Applied | What::Released => {
                    if transition.what == What::WentBack {
                        self.failed(journal, wrote)?;
                    }
                    let sure = |name: &VersionName| {
                        let build = |of: &Routing| of.version(name).and_then(|version| version.build.clone());
                        missed.iter().all(|of| build(of) == build(&position.routing))
                    };
                    let from = (&position, &before.state.traffic);
                    self.went_back(from, &traffic, transition.what, (wrote.alone, &sure))?;
                    // What was left again at once has held nothing.
                    if transition.what == What::Applied {
                        routing = Arc::new(plan.routing.clone());
                    }
                    let opens = last && transition.what == What::Applied && !matches!(journal.phase, Phase::Settled);
                    self.hold_ms = opens.then(|| hold_ms(plan.settle.seconds()));
                }
                What::Accepted => {
                    self.accepted(&position, &plan, transition, wrote);
                    // Of several clusters another had its routing, and left that.
                    if last || !wrote.alone {
                        routing = Arc::new(plan.routing.clone());
                        missed.extend((!last).then(|| routing.clone()));
                    }
                }
                What::FailureHeld | What::RestoreLanded | What::RestoreDropped | What::Created | What::Adopted => {}
                // What was lost with the journal is not known any more.
                What::Restored => self.failed.clone_from(&journal.failed),
            }
            ensure(!moved || transition.what != What::Accepted, "law 2", || "accepting moved traffic".into())?;
            // What was raised elsewhere and has gone back there moved nothing here.
            if moved && (wrote.alone || before.state.traffic != journal.state.traffic) {
                stands_ms = 0;
                self.since_ms = wrote.now_ms;
                self.skews_ms = (self.skew_ms, self.skew_ms);
            }
            position = Position { routing, traffic };
        }
        ensure(position.traffic == journal.state.traffic, "law 2", || {
            format!("{} came from nowhere after {}", journal.state.traffic, position.traffic)
        })?;
        if journal.is_settled() {
            self.hold_ms = None;
        }
        Ok(())
    }

    fn rising(&self, position: &Position, plan: &Plan) -> BTreeSet<VersionName> {
        let above = |version: &&Version| {
            plan.traffic.weight(&version.name) > position.traffic.weight(&version.name).max(self.proven(version))
        };
        plan.routing.versions.iter().filter(above).map(|version| version.name.clone()).collect()
    }

    fn accepted(&mut self, position: &Position, plan: &Plan, transition: &Transition, wrote: &Wrote<'_>) {
        let rising = self.rising(position, plan);
        if rising.is_empty() {
            // Of several clusters another's proof may tell that it walks: for how long is not known here.
            let walks = !wrote.alone && !transition.note.is_empty();
            // Other images may have made it rise, which is known only to who has seen them when it came.
            self.hold_ms = (!walks && !wrote.images).then(|| hold_ms(plan.settle.seconds()));
        } else if transition.note.is_empty() || plan.waves.len() > 1 {
            // Of clusters that stand apart the one with least tells what rises.
            self.hold_ms = None;
        } else if self.hold_ms.is_some() {
            let present = total(&position.traffic, &rising);
            let step = plan.steps.iter().rev().find(|step| step.weight <= present);
            self.hold_ms = step.map_or(self.hold_ms, |step| Some(hold_ms(step.hold.seconds())));
        }
    }

    /// Since when the weights have stood; none: there are others. What came after an instant is not known then.
    pub fn since_ms(&self, traffic: &Traffic, known_ms: i64) -> Option<i64> {
        let are_these = |journal: &Arc<Journal>| journal.state.traffic == *traffic;
        match &self.journal {
            Some(journal) if !are_these(journal) && self.since_ms > known_ms => Some(i64::MIN),
            journal => journal.as_ref().filter(|journal| are_these(journal)).map(|_| self.since_ms),
        }
    }

    /// The hold of what was entered.
    fn enters(
        &mut self,
        position: &Position,
        traffic: &Traffic,
        plan: &Plan,
        (what, wrote): (&Transition, &Wrote<'_>),
    ) {
        let gains = |name: &&VersionName| traffic.weight(name) > position.traffic.weight(name);
        let gaining: BTreeSet<VersionName> = traffic.iter().map(|(name, _)| name).filter(gains).cloned().collect();
        let all_gaining = gaining.clone();
        // The journal may have let go of what has stood here under another build: then it rises nevertheless.
        let of = [self.rising(position, plan), gaining].into_iter().filter(|of| !of.is_empty());
        let totals: Vec<u8> = of.map(|of| total(traffic, &of)).collect();
        let step =
            plan.steps.iter().find(|step| totals.contains(&step.weight) || totals.is_empty() && step.weight == 0);
        // Of several clusters the least proof counts, and of other images none: another step may have been meant than what
        // has stood here would tell.
        let meant = plan.steps.iter().filter(|step| sums(traffic, &all_gaining).contains(&step.weight));
        let least = meant.map(|step| step.hold).min();
        let hold = match (what.what, step) {
            (What::StepEntered, _) if !wrote.alone || wrote.images => least,
            (What::StepEntered, Some(step)) => Some(step.hold),
            _ => Some(plan.settle),
        };
        self.hold_ms = hold.map(|hold| hold_ms(hold.seconds()));
    }

    /// Laws 2, 3 and 7 for a raise.
    fn raised(
        &self,
        position: &Position,
        traffic: &Traffic,
        plan: &Plan,
        wrote: &Wrote<'_>,
        stands_ms: i64,
    ) -> Verdict {
        let rising = self.rising(position, plan);
        let say = |what: &str| format!("{what}: from {} to {traffic} by {}", position.traffic, plan.traffic);
        let (present, target) = (total(&position.traffic, &rising), total(&plan.traffic, &rising));
        let next =
            plan.steps.iter().map(|step| step.weight).filter(|weight| *weight > present && *weight < target).min();
        let next = next.unwrap_or(target);
        let first_of_nothing = present == 0 && plan.steps.first().is_some_and(|step| step.weight == 0);
        let to = total(traffic, &rising);
        if wrote.images {
            self.declared(position, traffic, plan)?;
        } else {
            ensure(to == next || (first_of_nothing && to == 0), "law 2", || {
                say(&format!("the next weight is {next}"))
            })?;
        }
        for (name, weight) in traffic.iter().filter(|(name, _)| !rising.contains(name)) {
            let most = position.traffic.weight(name).max(self.proven_by_name(&plan.routing, name));
            ensure(weight <= most, "law 2", || say(&format!("{name} does not rise")))?;
        }
        if let Some(hold_ms) = self.hold_ms {
            let wait_ms = if wrote.handled { 0 } else { WAIT_MS };
            ensure(stands_ms >= hold_ms + wait_ms, "law 7", || {
                say(&format!("has stood {stands_ms} ms of {hold_ms} ms and the wait"))
            })?;
        }
        ensure(!plan.pause, "law 3", || say("paused"))?;
        let known = wrote.knowledge.unwrap_or_default().images;
        let run = |name: &VersionName| {
            let set = VERSIONS.iter().zip(known).find(|(version, _)| **version == name.as_str())?.1?;
            images(name.as_str(), set)
        };
        ensure(!self.failed.iter().any(|key| key.covers(plan, &rising, run)), "law 2", || {
            say("this content has failed before")
        })?;
        let stopped = wrote.before.is_some_and(|live| live["metadata"]["annotations"].get(STOP).is_some());
        ensure(!stopped, "law 4", || say("stopped"))?;
        let Knowledge { blind, refused, skewed, answering, leaseless, unready, .. } =
            wrote.knowledge.unwrap_or_default();
        ensure(!(blind || refused || skewed || answering.is_some() || leaseless), "law 8", || {
            say(&format!("{:?}", wrote.knowledge))
        })?;
        let lacks =
            |name: &VersionName| ["v1", "v2", "v3"].iter().zip(unready).any(|(v, no)| no && *v == name.as_str());
        let gains = |(name, weight): (&VersionName, u8)| weight > position.traffic.weight(name) && lacks(name);
        ensure(!traffic.iter().any(gains), "law 8", || say("no ready endpoint is known"))?;
        Ok(())
    }

    fn settled(&mut self, routing: &Routing, traffic: &Traffic, plan: &Plan, stands_ms: i64, alone: bool) -> Verdict {
        let above = traffic.iter().any(|(name, weight)| weight > self.proven_by_name(routing, name));
        let hold_ms = hold_ms(plan.settle.seconds());
        ensure(!above || !alone || stands_ms >= hold_ms + WAIT_MS, "law 7", || {
            format!("{traffic} settled after {stands_ms} ms, its hold is {hold_ms} ms and the wait")
        })?;
        self.prove(routing, traffic);
        Ok(())
    }

    /// Going back raises nothing above what has stood or is live, and lowers what is proven.
    fn went_back(
        &mut self,
        (position, live): (&Position, &Traffic),
        traffic: &Traffic,
        what: What,
        (alone, sure): (bool, &dyn Fn(&VersionName) -> bool),
    ) -> Verdict {
        let to_last = what != What::Applied && self.last_settled.as_ref() == Some(traffic);
        for (name, weight) in traffic.iter().filter(|_| alone && !to_last) {
            // Of which build it was is known only where nothing came after.
            let stood = self.proven.iter().filter(|(there, ..)| there == name).map(|(.., weight)| *weight).max();
            // What came in the same write and was left again was never live.
            let most = position.traffic.weight(name).max(live.weight(name)).max(stood.unwrap_or(0));
            ensure(weight <= most, "law 2", || format!("{what:?} gives {name} {weight}, and it has proven {most}"))?;
        }
        for (name, weight) in position.traffic.iter() {
            let lower = traffic.weight(name);
            let build = position.routing.version(name).and_then(|version| version.build.clone());
            if lower < weight
                && sure(name)
                && let Some(proven) = self.proven.iter_mut().find(|(there, of, _)| there == name && *of == build)
            {
                proven.2 = proven.2.min(lower);
            }
        }
        Ok(())
    }

    fn failed(&self, journal: &Journal, wrote: &Wrote<'_>) -> Verdict {
        let Phase::WentBack { cause } = &journal.phase else { return Ok(()) };
        ensure((wrote.could_fail)(cause), "law 8", || format!("nothing happened that could be: {cause:?}"))
    }
}
