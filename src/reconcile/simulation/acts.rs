//! What the acts of a story do to the world, and what has to hold a while after some of them.

use serde_json::{Value, json};
use tidegate::{
    istio::{self, ObjectKind, live_shares},
    plan::{Traffic, VersionName},
    rollout::{JOURNAL, MANAGED_BY, OWNER, Phase, STOP},
};

use super::{
    document::Document,
    objects::{FOREIGN, FOREIGN_SUBSET},
    running::VERSIONS,
    story::{Act, Hand},
    world::{Check, World},
};

/// How soon a way back is live where nothing is in the way: a subset that is missing is added first, and waited for.
const BACK_MS: i64 = 5_000;
/// How soon drift that exposes callers is put back (law 4).
const COVERED_MS: i64 = 11_000;

impl World {
    pub(super) fn act(&mut self, act: Act) {
        self.say(|_| format!("--- {act:?}"));
        let calm = self.is_calm();
        self.troubled(0);
        match act {
            Act::Commit(document) => self.commit(Some(document), calm),
            Act::Revert(commits) => {
                let document = self.git.ago(commits);
                self.commit(document, calm);
            }
            Act::Remove => self.commit(None, calm),
            Act::Hand(place, hand) => self.hand(place, hand, calm),
            Act::Fault(place, fault) => self.places[place].faults.push_back(fault),
            Act::Away(place, away) => self.away(place, away),
            Act::WatchDrops(place, after_ms) => {
                self.places[place].watch_broken = true;
                self.lists_later(place, after_ms);
                self.troubled(after_ms);
            }
            Act::Lease(held) => self.lease(held),
            Act::Guard(place) => self.guard(place),
            Act::Git(down) => self.see_git(!down, self.git.accepted),
            Act::Push(push) => self.git.pushes.push_back(push),
            Act::Accepted(accepted) => self.see_git(self.git.up, accepted),
            Act::Ready(place, version, count) => self.ready(place, version, count),
            Act::Images(place, version, set) => self.images(place, version, set, calm),
            Act::Kill(down_ms, skew_ms) => self.kill(down_ms, skew_ms),
            Act::KillAfter(effects, down_ms, skew_ms) => self.kill_after(Some((effects, down_ms, skew_ms))),
        }
    }

    fn commit(&mut self, document: Option<Document>, calm: bool) {
        self.git.commits.push(document);
        self.tell_git();
        let Some(document) = document.filter(|_| calm && self.git.up && self.git.accepted) else { return };
        let plan = document.plan();
        let images = self.happened.images;
        let serves = |place: &super::place::Place| {
            let stopped = place
                .live(ObjectKind::VirtualService)
                .is_some_and(|live| live["metadata"]["annotations"].get(STOP).is_some());
            place.ready.iter().all(|ready| *ready != Some(0)) && place.ledger.raises_nothing(&plan, images) && !stopped
        };
        // Of several clusters the least proof counts, which no ledger of one tells.
        if self.places.len() == 1 && self.places.iter().all(serves) && self.is_well() {
            self.check(BACK_MS, Check::Back(document));
        }
    }

    /// Whether the worker knows the route and nobody's hand is on it.
    fn is_well(&self) -> bool {
        let journaled = |place: &super::place::Place| {
            let live = place.live(ObjectKind::VirtualService)?;
            let there = tidegate::rollout::Journal::on(live)?.ok()?;
            Some(place.ledger.journal() == Some(&there) && !matches!(there.phase, Phase::Released { .. }))
        };
        !self.happened.stripped && self.places.iter().all(|place| journaled(place).unwrap_or(false))
    }

    /// What has to hold now, as nothing has disturbed it.
    pub(super) fn holds(&mut self, check: Check) {
        for place in 0..self.places.len() {
            let there = &self.places[place];
            let (Some(live), Some(journal)) = (there.live(ObjectKind::VirtualService), there.ledger.journal()) else {
                continue;
            };
            let shares = live_shares(live, &journal.state.routing);
            let verdict = match check {
                Check::Back(document) => {
                    let target = document.plan().traffic.clone();
                    if shares.traffic.as_ref() == Some(&target) {
                        Ok(())
                    } else {
                        Err(("law 3", format!("{target} raises nothing, and {:?} is live", shares.traffic)))
                    }
                }
                Check::Fallen { version, most, since_ms } => {
                    let name = VersionName::new(VERSIONS[version]);
                    let fell = there.ledger.has_fallen(&name, most, since_ms);
                    if fell { Ok(()) } else { Err(("law 2", format!("{name} runs other images and is above {most}"))) }
                }
                Check::Covered => {
                    let above = shares.per_version_max.iter().find(|(name, weight)| **weight > there.ledger.most(name));
                    let released = matches!(journal.phase, Phase::Released { .. });
                    match above.filter(|_| !released) {
                        Some((name, weight)) => Err(("law 4", format!("{name} has stood at {weight} for 11 s"))),
                        None => Ok(()),
                    }
                }
            };
            self.judge(verdict);
        }
    }

    fn away(&mut self, place: usize, away: bool) {
        if self.places[place].away == away {
            return;
        }
        self.places[place].away = away;
        if away {
            self.places[place].epoch += 1;
            self.reach(place, 1_500);
        } else {
            self.lists_later(place, 500);
        }
    }

    fn see_git(&mut self, up: bool, accepted: bool) {
        self.git.up = up;
        self.git.accepted = accepted;
        self.tell_git();
    }

    fn ready(&mut self, place: usize, version: usize, count: Option<u32>) {
        self.places[place].ready[version] = count;
        self.happened.unready |= count != Some(2);
        self.happened.gone |= count == Some(0);
        self.look();
    }

    fn images(&mut self, place: usize, version: usize, set: u8, calm: bool) {
        let there = &mut self.places[place];
        let other = set & !there.images[version] != 0;
        let (known, serves) = (there.run(version).is_some(), there.ready.iter().all(|ready| *ready != Some(0)));
        there.images[version] = set;
        self.happened.images |= other;
        let name = VersionName::new(VERSIONS[version]);
        let falls = self.places[place].ledger.journal().and_then(|journal| {
            let most = journal.way_back.as_ref()?.state.traffic.weight(&name);
            let raised = journal.is_raised() && journal.rising.contains(&name) && journal.failure.is_none();
            // Where no walk has led to what it has, nothing is taken from it.
            let walked = journal.origin != journal.state.traffic || !matches!(journal.phase, Phase::Target);
            (raised && walked && journal.state.traffic.weight(&name) > most).then_some(most)
        });
        self.look();
        let Some(most) = falls.filter(|_| calm && other && known && serves) else { return };
        if self.places.len() == 1 && self.is_well() {
            self.check(BACK_MS, Check::Fallen { version, most, since_ms: self.now_ms });
        }
    }

    fn hand(&mut self, place: usize, hand: Hand, calm: bool) {
        let live = |kind| self.places[place].api.objects.get(&kind).map(|live| Value::clone(live));
        let (route, rule) = (live(ObjectKind::VirtualService), live(ObjectKind::DestinationRule));
        let labels = |object: &mut Value| {
            object["metadata"]["labels"][FOREIGN] = json!("theirs");
            object["metadata"]["annotations"][FOREIGN] = json!("theirs");
        };
        let changed = match (hand, route, rule) {
            (Hand::Weights(weights), Some(mut route), _) => {
                let Some(journal) = self.places[place].ledger.journal() else { return };
                let traffic = traffic(weights);
                route["spec"]["http"] =
                    istio::virtual_service(&journal.state.routing, &traffic)["spec"]["http"].clone();
                self.happened.lowered = true;
                Some((ObjectKind::VirtualService, Some(route)))
            }
            (Hand::DeleteRoute, Some(_), _) => Some((ObjectKind::VirtualService, None)),
            (Hand::DeleteRule, _, Some(_)) => Some((ObjectKind::DestinationRule, None)),
            (Hand::StripJournal, Some(mut route), _) => {
                route["metadata"]["annotations"].as_object_mut().map(|marks| marks.remove(JOURNAL));
                Some((ObjectKind::VirtualService, Some(route)))
            }
            (Hand::StripMarks, Some(mut route), _) => {
                route["metadata"]["annotations"].as_object_mut().map(|marks| marks.remove(OWNER));
                route["metadata"]["labels"].as_object_mut().map(|marks| marks.remove(MANAGED_BY.0));
                Some((ObjectKind::VirtualService, Some(route)))
            }
            (Hand::DropSubset, _, Some(mut rule)) => {
                rule["spec"]["subsets"].as_array_mut().and_then(Vec::pop);
                Some((ObjectKind::DestinationRule, Some(rule)))
            }
            (Hand::Touch, Some(mut route), Some(mut rule)) => {
                labels(&mut route);
                labels(&mut rule);
                route["spec"]["tcp"] = json!([{"match": [{"port": 9000}]}]);
                if let Some(subsets) = rule["spec"]["subsets"].as_array_mut()
                    && subsets.iter().all(|subset| subset["name"] != FOREIGN_SUBSET)
                {
                    subsets.push(json!({"name": FOREIGN_SUBSET, "labels": {"version": "v0"}}));
                }
                self.change(place, ObjectKind::DestinationRule, Some(rule));
                Some((ObjectKind::VirtualService, Some(route)))
            }
            (Hand::OldCopy, Some(route), _) => {
                let old = self.places[place].past.front().map(|old| Value::clone(old));
                old.filter(|old| old["metadata"]["uid"] == route["metadata"]["uid"]).map(|mut old| {
                    self.happened.lowered = true;
                    // Who stopped it, and what others said, stands.
                    let stop = route["metadata"]["annotations"].get(STOP).cloned();
                    if let Some(stop) = stop {
                        old["metadata"]["annotations"][STOP] = stop;
                    }
                    (ObjectKind::VirtualService, Some(old))
                })
            }
            (Hand::Stop, Some(mut route), _) => {
                self.happened.stopped = true;
                route["metadata"]["annotations"][STOP] = json!("a person, for a reason");
                Some((ObjectKind::VirtualService, Some(route)))
            }
            (Hand::Unstop, Some(mut route), _) => {
                route["metadata"]["annotations"].as_object_mut().map(|marks| marks.remove(STOP));
                Some((ObjectKind::VirtualService, Some(route)))
            }
            _ => None,
        };
        let Some((kind, object)) = changed else { return };
        let strips = [Hand::DeleteRoute, Hand::DeleteRule, Hand::StripJournal, Hand::StripMarks, Hand::OldCopy];
        self.happened.stripped |= strips.contains(&hand);
        self.change(place, kind, object);
        // A version that is known to be gone gets no weight back (law 3).
        let serves = self.places[place].ready.iter().all(|ready| *ready != Some(0));
        if calm && serves && matches!(hand, Hand::Weights(_)) && self.is_well() {
            self.check(COVERED_MS, Check::Covered);
        }
    }

    /// Somebody else than tidegate changes an object.
    fn change(&mut self, place: usize, kind: ObjectKind, object: Option<Value>) {
        let there = &mut self.places[place];
        let before = there.api.objects.get(&kind).cloned();
        match object {
            Some(object) => drop(there.api.put(kind, object)),
            None => drop(there.api.objects.remove(&kind)),
        }
        there.hand_ms = self.now_ms;
        there.changed(kind, before.as_deref(), self.now_ms);
        if kind == ObjectKind::VirtualService {
            let live = there.api.objects.get(&kind).cloned();
            there.ledger.touched(live.as_deref());
        }
        self.watched(place, kind);
    }
}

fn traffic(weights: [u8; 3]) -> Traffic {
    let named = ["v1", "v2", "v3"].into_iter().map(VersionName::new).zip(weights);
    Traffic::new(named).unwrap()
}
