//! Judges from what istiods say whether the proxies have a spec. It asks nobody and reads no clock.
//!
//! ```text
//!  istiod has the spec ──► the newest push then is the *barrier* ──► a proxy whose acknowledged push is past it has the spec
//! ```
//!
//! A push that began after istiod had the spec carries it; equal nonces alone prove nothing. A proxy that stays behind the
//! barrier was pushed to before istiod was asked, or is not concerned, so istiod pushes nothing to it: what it would be sent
//! is looked at, and counts once it has said the same for a while and nothing is on its way.
//!
//! Where gateways are asked, too, a route for one is had only once each of its gateways shows it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    dump::Found,
    syncz::{ProxySync, Sync, newest},
};
use crate::{
    istio::{ObjectKind, lens},
    plan::{MESH, ObjectKey},
};

/// For how long a proxy behind the barrier has to be steady.
const STEADY: Duration = Duration::from_secs(1);
/// How long after istiod had the spec a push to a proxy is expected before it is looked at more closely.
const EXPECTED: Duration = Duration::from_millis(400);
/// istiod puts pushes off for so long at most.
const DEBOUNCE_MAX: Duration = Duration::from_secs(11);
/// For so long a proxy that is connected no more is waited for: it serves on with what it has.
const MISSED: Duration = Duration::from_secs(30);
/// For so long proxies are given to connect where an istiod has none.
const CONNECTS: Duration = Duration::from_secs(2);
/// For so long a proxy is waited for that was connected when it was asked last, is not now, and whose pod still runs: an
/// istiod that has just started has no proxies yet.
const RETURNS: Duration = Duration::from_secs(60);
/// How many proxies are looked at closely in one round.
const CLOSELY_MAX: usize = 16;
/// How many proxies are named where more lag.
const NAMED_MAX: usize = 3;

/// The object that is asked about.
pub(super) type Target = (ObjectKind, ObjectKey);

/// How far the proxies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not all have it.
    Awaited(Arc<str>),
    /// All that are concerned have it.
    Taken,
    /// One refuses it.
    Refused(Arc<str>),
    /// There is no istiod that could be asked.
    Nobody(Arc<str>),
}

/// One look at one istiod.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// The generations that it holds, where it was asked; what is missing is not there.
    pub(super) generations: Option<HashMap<Target, i64>>,
    /// Its proxies, asked after that.
    pub(super) proxies: Vec<ProxySync>,
}

/// A spec that is asked about.
pub(super) struct Open {
    pub(super) meant: Option<Arc<Value>>,
    pub(super) asked: Instant,
    istiods: Vec<AtIstiod>,
    /// When each proxy was last connected to any istiod.
    connected: HashMap<String, Instant>,
    /// Whether the look before showed that all have it.
    level: bool,
    shown: Shown,
}

/// What the gateways show of a route.
#[derive(Clone, Debug, Default)]
enum Shown {
    #[default]
    Unasked,
    /// One shows something else.
    Other(String),
    All,
}

#[derive(Default)]
struct AtIstiod {
    /// The newest push when it had the spec, and when that was.
    barrier: Option<(u64, Instant)>,
    /// Proxies that refused what they were sent before.
    refusing: HashSet<String>,
    close: HashMap<String, Close>,
    verdict: Verdict,
}

#[derive(Clone, Debug, Default)]
enum Verdict {
    /// It was not asked yet.
    #[default]
    Unknown,
    Lag(String),
    Level,
    Refused(String),
}

/// A closer look at one proxy.
struct Close {
    nonce: String,
    found: Found,
    since: Instant,
    looked: Instant,
}

/// All specs that are asked about, over all istiods of a cluster.
pub(super) struct Tracker {
    istiods: usize,
    /// Why no istiod is known, where none is.
    nobody: Option<Arc<str>>,
    /// Whether gateways are asked.
    gateways: bool,
    /// The proxies that were connected to any istiod when one was asked last, and when that was.
    known: BTreeMap<String, Known>,
    pub(super) open: BTreeMap<Target, Open>,
}

struct Known {
    connected: Instant,
    /// Since when it is known not to be.
    away: Option<Instant>,
}

impl Tracker {
    pub(super) fn new(gateways: bool) -> Self {
        Self { istiods: 0, nobody: None, gateways, known: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// Asks about an object as it is meant; replaces what was asked about it before.
    pub(super) fn ask(&mut self, target: Target, meant: Option<Arc<Value>>, now: Instant) {
        let istiods = (0..self.istiods).map(|_| AtIstiod::default()).collect();
        let open =
            Open { meant, asked: now, istiods, connected: HashMap::new(), level: false, shown: Shown::default() };
        self.open.insert(target, open);
    }

    /// Other istiods are asked from now on: what the former ones said counts no more.
    pub(super) fn replace_istiods(&mut self, istiods: usize) {
        self.istiods = istiods;
        for open in self.open.values_mut() {
            open.istiods = (0..istiods).map(|_| AtIstiod::default()).collect();
        }
    }

    /// Nobody can be asked.
    pub(super) fn lost(&mut self, error: &str) {
        self.nobody = Some(error.into());
        (0..self.istiods).for_each(|place| self.failed(place, error));
    }

    /// There is no istiod at all: about nothing anybody is asked any more.
    pub(super) fn give_up(&mut self) -> Vec<Target> {
        self.replace_istiods(0);
        std::mem::take(&mut self.open).into_keys().collect()
    }

    /// Whether an istiod has to be asked what it holds.
    pub(super) fn needs_generations(&self, istiod: usize) -> bool {
        self.open.values().filter_map(|open| open.istiods.get(istiod)).any(|at| at.barrier.is_none())
    }

    /// Takes in a look at one istiod.
    pub(super) fn take(&mut self, istiod: usize, look: &Look, now: Instant) {
        for proxy in &look.proxies {
            self.known.insert(proxy.id.clone(), Known { connected: now, away: None });
        }
        let newest = newest(&look.proxies);
        for (target, open) in &mut self.open {
            let Some(at) = open.istiods.get_mut(istiod) else { continue };
            // An istiod that was restarted counts from the start again.
            if at.barrier.is_some_and(|(barrier, _)| newest < barrier) {
                *at = AtIstiod::default();
            }
            let meant = open.meant.as_deref().and_then(lens::generation);
            if at.barrier.is_none() {
                let Some(held) = look.generations.as_ref().map(|held| held.get(target).copied()) else { continue };
                if held != meant {
                    at.verdict = Verdict::Lag("it does not have the change yet".to_owned());
                    continue;
                }
                at.barrier = Some((newest, now));
                at.refusing = look
                    .proxies
                    .iter()
                    .filter_map(|proxy| refusal(target.0, proxy).map(|_| proxy.id.clone()))
                    .collect();
            }
            at.judge(target.0, &look.proxies, now);
            open.connected.extend(look.proxies.iter().map(|proxy| (proxy.id.clone(), now)));
            open.connected.retain(|_, last| now.duration_since(*last) < MISSED);
        }
    }

    /// An istiod did not answer.
    pub(super) fn failed(&mut self, istiod: usize, error: &str) {
        for at in self.open.values_mut().filter_map(|open| open.istiods.get_mut(istiod)) {
            at.verdict = Verdict::Lag(error.to_owned());
        }
    }

    /// The proxies of an istiod that have to be looked at closely, for each object.
    pub(super) fn closely(&self, istiod: usize, proxies: &[ProxySync], now: Instant) -> Vec<(Target, String)> {
        let mut wanted = Vec::new();
        for (target, open) in &self.open {
            let Some(at) = open.istiods.get(istiod) else { continue };
            let Some((barrier, since)) = at.barrier.filter(|(_, since)| now.duration_since(*since) >= EXPECTED) else {
                continue;
            };
            let behind = proxies.iter().filter(|proxy| {
                let due = at.close.get(&proxy.id).is_none_or(|close| {
                    close.nonce != main(target.0, proxy).acked || now.duration_since(close.looked) >= STEADY
                });
                due && is_behind(target.0, proxy, barrier)
                    && !at.is_confirmed(target.0, proxy, barrier, since, proxies, now)
            });
            wanted.extend(behind.map(|proxy| (target.clone(), proxy.id.clone())));
            wanted.truncate(CLOSELY_MAX);
        }
        wanted
    }

    /// Takes in what a proxy would be sent.
    pub(super) fn looked_closely(
        &mut self,
        istiod: usize,
        target: &Target,
        proxy: &ProxySync,
        found: Found,
        now: Instant,
    ) {
        let Some(at) = self.open.get_mut(target).and_then(|open| open.istiods.get_mut(istiod)) else { return };
        let nonce = main(target.0, proxy).acked.clone();
        let before = at.close.get(&proxy.id).filter(|close| close.nonce == nonce && close.found == found);
        let since = before.map_or(now, |close| close.since);
        at.close.insert(proxy.id.clone(), Close { nonce, found, since, looked: now });
    }

    /// The proxies that were connected before and are not after a round of looks that began then, where nothing else is
    /// waited for.
    pub(super) fn away(&mut self, round: Instant, now: Instant) -> Vec<String> {
        if !self.open.values().any(|open| open.is_level(round)) {
            return Vec::new();
        }
        let away = self.known.iter_mut().filter(|(_, known)| known.connected < round);
        let away: Vec<String> = away
            .map(|(id, known)| {
                known.away.get_or_insert(now);
                id.clone()
            })
            .collect();
        self.known.retain(|_, known| known.away.is_none_or(|since| now.duration_since(since) < RETURNS));
        away
    }

    /// A proxy does not come back.
    pub(super) fn forget(&mut self, proxy: &str) {
        self.known.remove(proxy);
    }

    /// The routes that all proxies have after a round of looks that began then, and that gateways have to show.
    pub(super) fn unshown(&self, round: Instant) -> Vec<(Target, Arc<Value>)> {
        let returned = self.known.values().all(|known| known.away.is_none());
        let open = self.open.iter().filter(|(_, open)| returned && open.is_level(round));
        let unshown = open.filter(|(target, open)| self.gateways && open.is_unshown(target.0));
        unshown.filter_map(|(target, open)| Some((target.clone(), open.meant.clone()?))).collect()
    }

    /// Takes in what gateways show of a route: all of them what is meant, or in words what one of them shows.
    pub(super) fn showed(&mut self, target: &Target, other: Option<String>) {
        if let Some(open) = self.open.get_mut(target) {
            open.shown = other.map_or(Shown::All, Shown::Other);
        }
    }

    /// How far the proxies are with each object after a round of looks that began then; what all have taken is asked no
    /// more.
    pub(super) fn progress(&mut self, names: &[String], round: Instant) -> Vec<(Target, Progress)> {
        let mut told = Vec::new();
        let away = self.known.iter().find(|(_, known)| known.away.is_some()).map(|(id, _)| id);
        let away = away.map(|id| format!("{id} has not come back to any istiod yet"));
        for (target, open) in &mut self.open {
            let level = open.istiods.iter().all(|at| matches!(at.verdict, Verdict::Level));
            let refused = open.istiods.iter().find_map(|at| match &at.verdict {
                Verdict::Refused(words) => Some(words),
                Verdict::Unknown | Verdict::Lag(_) | Verdict::Level => None,
            });
            let lag = open.istiods.iter().zip(names).find_map(|(at, name)| match &at.verdict {
                Verdict::Lag(words) => Some(format!("{name}: {words}")),
                Verdict::Unknown => Some(format!("{name} is asked")),
                Verdict::Level | Verdict::Refused(_) => None,
            });
            // All of none would have everything.
            let nobody = || self.nobody.as_deref().unwrap_or("no istiod is found").to_owned();
            let lag =
                open.istiods.is_empty().then(nobody).or(lag).or_else(|| open.missed(round)).or_else(|| away.clone());
            // The endpoints of a new subset are asked for after the subset was acknowledged: one look more.
            let sure = target.0 == ObjectKind::VirtualService || open.level;
            let progress = match (refused, lag) {
                (Some(words), _) => Progress::Refused(words.as_str().into()),
                (None, Some(lag)) => Progress::Awaited(lag.into()),
                (None, None) if !sure => Progress::Awaited("the endpoints of new subsets are waited for".into()),
                (None, None) if self.gateways && open.is_unshown(target.0) => Progress::Awaited(match &open.shown {
                    Shown::Other(words) => words.as_str().into(),
                    Shown::Unasked | Shown::All => "the gateways are asked".into(),
                }),
                (None, None) => Progress::Taken,
            };
            open.level = level;
            told.push((target.clone(), progress));
        }
        for (target, progress) in &told {
            if *progress == Progress::Taken {
                self.open.remove(target);
            }
        }
        told
    }
}

impl Open {
    /// Whether every proxy of every istiod has it, and none is missed after a round of looks that began then.
    fn is_level(&self, round: Instant) -> bool {
        let level = |at: &AtIstiod| matches!(at.verdict, Verdict::Level);
        !self.istiods.is_empty() && self.istiods.iter().all(level) && self.missed(round).is_none()
    }

    /// The words about a proxy that has not been connected since a round of looks began, and was before.
    fn missed(&self, round: Instant) -> Option<String> {
        let missed = self.connected.iter().filter(|(_, last)| **last < round).map(|(id, _)| id).min();
        missed.map(|id| format!("{id} is not connected to istiod any more"))
    }

    /// Whether gateways have to show it and have not.
    fn is_unshown(&self, kind: ObjectKind) -> bool {
        let meant = self.meant.as_deref().filter(|_| kind == ObjectKind::VirtualService);
        let outside = meant.is_some_and(|meant| lens::gateways(meant).iter().any(|gateway| gateway != MESH));
        outside && !matches!(self.shown, Shown::All)
    }
}

impl AtIstiod {
    fn judge(&mut self, kind: ObjectKind, proxies: &[ProxySync], now: Instant) {
        let Some((barrier, since)) = self.barrier else { return };
        let mut lagging = Vec::new();
        let mut refused = None;
        for proxy in proxies {
            match refusal(kind, proxy) {
                Some(words) if self.refusing.contains(&proxy.id) => {
                    lagging.push(format!("{} (refuses its configuration since before: {words})", proxy.id));
                }
                Some(words) => refused = refused.or_else(|| Some(format!("{}: {words}", proxy.id))),
                None => {
                    self.refusing.remove(&proxy.id);
                    if is_behind(kind, proxy, barrier) && !self.is_confirmed(kind, proxy, barrier, since, proxies, now)
                    {
                        lagging.push(proxy.id.clone());
                    }
                }
            }
        }
        self.verdict = match (refused, lagging.len()) {
            (Some(words), _) => Verdict::Refused(words),
            (None, 0) if proxies.is_empty() && now.duration_since(since) < CONNECTS => {
                Verdict::Lag("no proxy is connected".to_owned())
            }
            (None, 0) => Verdict::Level,
            (None, count) => {
                lagging.sort();
                let more = if count > NAMED_MAX { ", …" } else { "" };
                lagging.truncate(NAMED_MAX);
                Verdict::Lag(format!("{count} of {} proxies lag: {}{more}", proxies.len(), lagging.join(", ")))
            }
        };
    }

    /// Whether a proxy behind the barrier was looked at closely, and has what is meant or is not concerned.
    fn is_confirmed(
        &self,
        kind: ObjectKind,
        proxy: &ProxySync,
        barrier: u64,
        since: Instant,
        proxies: &[ProxySync],
        now: Instant,
    ) -> bool {
        let main = main(kind, proxy);
        let Some(close) = self.close.get(&proxy.id).filter(|close| close.nonce == main.acked) else { return false };
        let steady = main.is_level() && close.looked.duration_since(close.since) >= STEADY;
        // What was not there when it was looked at may be in a push that has not begun.
        let pushed = || newest(proxies) > barrier || now.duration_since(since) >= DEBOUNCE_MAX;
        steady
            && match close.found {
                Found::Same => true,
                Found::Absent => pushed(),
                Found::Other => false,
            }
    }
}

/// The kind of configuration that carries the object.
fn main(kind: ObjectKind, proxy: &ProxySync) -> &Sync {
    match kind {
        ObjectKind::VirtualService => &proxy.routes,
        ObjectKind::DestinationRule => &proxy.clusters,
    }
}

/// Whether a proxy that is sent this kind of configuration has not taken a push past the barrier.
fn is_behind(kind: ObjectKind, proxy: &ProxySync, barrier: u64) -> bool {
    let main = main(kind, proxy);
    let endpoints = kind == ObjectKind::DestinationRule && !proxy.endpoints.sent.is_empty();
    !main.sent.is_empty()
        && (main.push().is_none_or(|push| push <= barrier) || (endpoints && !proxy.endpoints.is_level()))
}

/// The words with which a proxy refuses what the object is part of.
fn refusal(kind: ObjectKind, proxy: &ProxySync) -> Option<&str> {
    let concerned = match kind {
        ObjectKind::VirtualService => [&proxy.routes, &proxy.listeners],
        ObjectKind::DestinationRule => [&proxy.clusters, &proxy.endpoints],
    };
    concerned.into_iter().map(|sync| sync.error.as_str()).find(|error| !error.is_empty())
}
