//! Asks istiod whether the proxies have what was written, and gateways whether they show it, as long as somebody waits for
//! it; else it asks nothing.
//!
//! ```text
//!  istiod has the spec ──► every proxy has acknowledged it ──► every gateway of it shows it
//! ```

mod closely;
mod dump;
mod forward;
mod gateways;
mod istiod;
mod page;
mod pods;
mod syncz;
#[cfg(test)]
mod tests;
mod track;
mod tunnel;
mod websocket;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};

use self::{
    istiod::{Istiod, Place},
    track::{Look, Target, Tracker},
};
use super::Cluster;
use crate::{istio::ObjectKind, plan::ObjectKey};

pub use self::{gateways::Gateways, istiod::Istiods, pods::PodSelector, track::Progress};

/// The pause between looks, while what is waited for is young and when it is old.
const PAUSE: Duration = Duration::from_millis(40);
const PAUSE_OLD: Duration = Duration::from_millis(500);
const OLD: Duration = Duration::from_secs(30);
/// How often it is looked up again who is to be asked: replicas come and go.
const LOOK_UP: Duration = Duration::from_secs(5);
/// A pause is so many times as long as the looks took: a large mesh is asked less often.
const PAUSE_FACTOR: u32 = 4;
/// For so long connections are kept after the last question: steps of many plans come one after another.
const LINGER: Duration = Duration::from_secs(10);
const NEWS_MAX: usize = 64;

/// Who is asked about the proxies of a cluster, and how they are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAccess {
    /// The istiods.
    pub istiods: Istiods,
    /// A file with the bearer token of an account that may ask those that are at addresses; read again when it changes.
    pub token_file: Option<PathBuf>,
    /// The gateways.
    pub gateways: Gateways,
}

/// The address of an istiod or of a gateway's admin page.
///
/// # Errors
/// What to write instead.
pub fn address(text: &str) -> Result<http::Uri, String> {
    let url: http::Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(_)) => Ok(url),
        _ => Err("write it as http://HOST:PORT, or `auto`".to_owned()),
    }
}

/// What was learnt of the proxies.
#[derive(Clone, Debug)]
pub struct ProxyNews {
    /// Of which object.
    pub target: (ObjectKind, ObjectKey),
    /// Of which spec of it; none: that it is gone.
    pub generation: Option<i64>,
    /// How far they are.
    pub progress: Progress,
    /// When it was asked about.
    pub asked: Instant,
    /// When that was seen.
    pub at: Instant,
}

/// Who is asked about the proxies of a cluster, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// The istiods, as they were found last; empty: none, and a stated wait stands in.
    pub istiods: Vec<String>,
    /// Why it does, where istiods were to be found.
    pub nobody: Option<String>,
    /// Whether gateways are asked as well.
    pub gateways: bool,
}

/// Where to ask about the proxies of a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProxyWatch {
    questions: UnboundedSender<Question>,
    asking: Arc<Mutex<Asking>>,
}

#[derive(Debug)]
struct Question {
    target: Target,
    meant: Option<Arc<Value>>,
}

impl ProxyWatch {
    /// Who is asked.
    pub fn asking(&self) -> Asking {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks whether the proxies have an object as it is, or, without one, that it is gone; news comes by the receiver of
    /// [`watch_proxies`] until all have it. Replaces what was asked about that object before.
    pub fn ask(&self, kind: ObjectKind, key: ObjectKey, meant: Option<Arc<Value>>) {
        // The process ends where nobody receives.
        let _ = self.questions.send(Question { target: (kind, key), meant });
    }
}

/// Starts a task that asks about the proxies of a cluster, from within a tokio runtime. It ends when either end is dropped.
pub fn watch_proxies(cluster: &Cluster, access: ProxyAccess) -> (ProxyWatch, Receiver<ProxyNews>) {
    let (ask, questions) = mpsc::unbounded_channel();
    let (news, receiver) = mpsc::channel(NEWS_MAX);
    let istiods = match &access.istiods {
        Istiods::At(urls) => urls.iter().filter_map(|url| url.authority()).map(ToString::to_string).collect(),
        Istiods::In(selector) => vec![selector.to_string()],
    };
    let gateways = access.gateways != Gateways::Unasked;
    let asking = Arc::new(Mutex::new(Asking { istiods, nobody: None, gateways }));
    let watch = Watch::new(cluster.clone(), access, Arc::clone(&asking));
    tokio::spawn(async move {
        // It ends with none only when nobody listens any more.
        let _ = run(watch, questions, &news).await;
    });
    (ProxyWatch { questions: ask, asking }, receiver)
}

/// Everything that is known between two rounds.
struct Watch {
    cluster: Cluster,
    access: ProxyAccess,
    asking: Arc<Mutex<Asking>>,
    istiods: Vec<Istiod>,
    places: BTreeSet<Place>,
    looked_up: Option<Instant>,
    gateways: gateways::Found,
    /// The istiod that each proxy is connected to.
    seats: HashMap<String, usize>,
    running: closely::Running,
    tracker: Tracker,
    told: BTreeMap<Target, Progress>,
}

async fn run(mut watch: Watch, mut questions: UnboundedReceiver<Question>, news: &Sender<ProxyNews>) -> Option<()> {
    loop {
        if watch.tracker.open.is_empty() {
            let question = match tokio::time::timeout(LINGER, questions.recv()).await {
                Ok(question) => question?,
                Err(_) => {
                    watch.rest().await;
                    questions.recv().await?
                }
            };
            watch.take(question);
        }
        while let Ok(question) = questions.try_recv() {
            watch.take(question);
        }
        let round = Instant::now();
        let asked: HashMap<Target, (Instant, Option<i64>)> = watch.tracker.open.iter().map(about).collect();
        for (target, progress) in watch.round(round).await {
            if watch.told.get(&target) == Some(&progress) {
                continue;
            }
            let Some((asked, generation)) = asked.get(&target).copied() else { continue };
            match progress {
                Progress::Taken | Progress::Nobody(_) => watch.told.remove(&target),
                Progress::Awaited(_) | Progress::Refused(_) => watch.told.insert(target.clone(), progress.clone()),
            };
            news.send(ProxyNews { target, generation, progress, asked, at: Instant::now() }).await.ok()?;
        }
        let took = round.elapsed();
        if watch.tracker.open.is_empty() {
            continue;
        }
        let young = watch.tracker.open.values().any(|open| open.asked.elapsed() < OLD);
        let pause = if young { PAUSE } else { PAUSE_OLD }.max(took * PAUSE_FACTOR);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            question = questions.recv() => watch.take(question?),
            () = news.closed() => return None,
        }
    }
}

impl Watch {
    fn new(cluster: Cluster, access: ProxyAccess, asking: Arc<Mutex<Asking>>) -> Self {
        let gateways = gateways::Found::new(cluster.clone(), access.gateways.clone());
        let tracker = Tracker::new(gateways.are_asked());
        Self {
            cluster,
            access,
            asking,
            istiods: Vec::new(),
            places: BTreeSet::new(),
            looked_up: None,
            gateways,
            seats: HashMap::new(),
            running: HashMap::new(),
            tracker,
            told: BTreeMap::new(),
        }
    }

    fn take(&mut self, question: Question) {
        self.told.remove(&question.target);
        self.tracker.ask(question.target, question.meant, Instant::now());
    }

    /// One look at everybody; what it told of each object.
    async fn round(&mut self, round: Instant) -> Vec<(Target, Progress)> {
        match self.look_up().await {
            Ok(None) => {
                self.look().await;
                self.look_for_lost(round).await;
                self.look_at_gateways(round).await;
            }
            Ok(Some(why)) => {
                let why = Arc::<str>::from(why);
                return self
                    .tracker
                    .give_up()
                    .into_iter()
                    .map(|target| (target, Progress::Nobody(why.clone())))
                    .collect();
            }
            Err(error) => self.tracker.lost(&error),
        }
        let names: Vec<String> = self.istiods.iter().map(Istiod::told).collect();
        self.tracker.progress(&names, round)
    }

    /// Finds out who is to be asked, now and then; why nobody is, where that is so.
    async fn look_up(&mut self) -> Result<Option<String>, String> {
        if self.looked_up.is_some_and(|at| at.elapsed() < LOOK_UP) {
            return Ok(None);
        }
        let places = match istiod::find(&self.access.istiods, self.cluster.client()).await? {
            Ok(places) => places,
            // Where there was one before, another is to come.
            Err(why) if !self.places.is_empty() => return Err(why),
            Err(why) => {
                self.tell(Vec::new(), Some(why.clone()));
                return Ok(Some(why));
            }
        };
        if places != self.places {
            let istiod = |place| Istiod::new(place, self.access.token_file.as_ref(), self.cluster.client());
            self.istiods = places.iter().map(istiod).collect::<Result<_, _>>()?;
            self.tracker.replace_istiods(self.istiods.len());
            self.places = places;
            if let Istiods::In(_) = self.access.istiods {
                self.tell(self.istiods.iter().map(Istiod::told).collect(), None);
            }
        }
        self.looked_up = Some(Instant::now());
        Ok(None)
    }

    fn tell(&self, istiods: Vec<String>, nobody: Option<String>) {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        (asking.istiods, asking.nobody) = (istiods, nobody);
    }

    async fn look(&mut self) {
        let looks = self.istiods.iter().enumerate();
        let looks = join_all(looks.map(|(place, istiod)| look(istiod, self.tracker.needs_generations(place)))).await;
        self.seats.clear();
        for (place, look) in looks.into_iter().enumerate() {
            match look {
                Ok(look) => {
                    self.seats.extend(look.proxies.iter().map(|proxy| (proxy.id.clone(), place)));
                    self.tracker.take(place, &look, Instant::now());
                    self.look_closely(place, &look).await;
                }
                Err(error) => {
                    // Its pod may have gone.
                    self.looked_up = self.looked_up.filter(|_| matches!(self.access.istiods, Istiods::At(_)));
                    self.tracker.failed(place, &error);
                }
            }
        }
    }

    /// Keeps no connection while nothing is asked.
    async fn rest(&mut self) {
        for istiod in &self.istiods {
            istiod.rest().await;
        }
        self.gateways.rest();
        self.running.clear();
        self.seats.clear();
    }
}

fn about((target, open): (&Target, &track::Open)) -> (Target, (Instant, Option<i64>)) {
    (target.clone(), (open.asked, open.meant.as_deref().and_then(crate::istio::lens::generation)))
}

/// The proxies are asked after what istiod holds: only so the newest push then is a barrier.
async fn look(istiod: &Istiod, generations: bool) -> Result<Look, String> {
    let generations = if generations { Some(istiod.generations().await?) } else { None };
    Ok(Look { generations, proxies: istiod.proxies().await? })
}
