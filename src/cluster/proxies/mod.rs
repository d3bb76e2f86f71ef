//! Asks istiod whether the proxies have what was written, as long as somebody waits for it; else it asks nothing.

mod dump;
mod istiod;
mod syncz;
#[cfg(test)]
mod tests;
mod track;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::join_all, stream};
use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};

use self::{
    istiod::Istiod,
    track::{Look, Target, Tracker},
};
use crate::{istio::ObjectKind, plan::ObjectKey};

pub use self::{istiod::IstiodAccess, track::Progress};

/// The pause between looks, while what is waited for is young and when it is old.
const PAUSE: Duration = Duration::from_millis(40);
const PAUSE_OLD: Duration = Duration::from_millis(500);
const OLD: Duration = Duration::from_secs(30);
/// How often names are looked up again: replicas come and go.
const LOOK_UP: Duration = Duration::from_secs(5);
/// A pause is so many times as long as the looks took: a large mesh is asked less often.
const PAUSE_FACTOR: u32 = 4;
/// How many proxies of an istiod are looked at closely at a time.
const AT_A_TIME: usize = 4;
const NEWS_MAX: usize = 64;

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

/// Where to ask about the proxies of a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProxyWatch {
    questions: UnboundedSender<Question>,
    names: Arc<[String]>,
}

#[derive(Debug)]
struct Question {
    target: Target,
    meant: Option<Arc<Value>>,
}

impl ProxyWatch {
    /// Who is asked.
    pub fn istiods(&self) -> &[String] {
        &self.names
    }

    /// Asks whether the proxies have an object as it is, or, without one, that it is gone; news comes by the receiver of
    /// [`watch_proxies`] until all have it. Replaces what was asked about that object before.
    pub fn ask(&self, kind: ObjectKind, key: ObjectKey, meant: Option<Arc<Value>>) {
        // The process ends where nobody receives.
        let _ = self.questions.send(Question { target: (kind, key), meant });
    }
}

/// Starts a task that asks these istiods, from within a tokio runtime. It ends when either end is dropped.
pub fn watch_proxies(access: IstiodAccess) -> (ProxyWatch, Receiver<ProxyNews>) {
    let (ask, questions) = mpsc::unbounded_channel();
    let (news, receiver) = mpsc::channel(NEWS_MAX);
    let names = access.urls.iter().map(|url| url.authority().map(ToString::to_string).unwrap_or_default()).collect();
    tokio::spawn(async move {
        // It ends with none only when nobody listens any more.
        let _ = run(&access, questions, &news).await;
    });
    (ProxyWatch { questions: ask, names }, receiver)
}

/// Everything that is known between two rounds.
struct Watch {
    istiods: Vec<Istiod>,
    found: BTreeSet<String>,
    looked_up: Option<Instant>,
    tracker: Tracker,
    told: BTreeMap<Target, Progress>,
}

async fn run(
    access: &IstiodAccess,
    mut questions: UnboundedReceiver<Question>,
    news: &Sender<ProxyNews>,
) -> Option<()> {
    let (tracker, told) = (Tracker::new(0), BTreeMap::new());
    let mut watch = Watch { istiods: Vec::new(), found: BTreeSet::new(), looked_up: None, tracker, told };
    loop {
        if watch.tracker.open.is_empty() {
            watch.take(questions.recv().await?);
        }
        while let Ok(question) = questions.try_recv() {
            watch.take(question);
        }
        let round = Instant::now();
        let asked: HashMap<Target, (Instant, Option<i64>)> = watch.tracker.open.iter().map(about).collect();
        match watch.look_up(access).await {
            Ok(()) => watch.look().await,
            Err(error) => watch.tracker.lost(&error),
        }
        let took = round.elapsed();
        let names: Vec<&str> = watch.istiods.iter().map(|istiod| istiod.name.as_str()).collect();
        for (target, progress) in watch.tracker.progress(&names, round) {
            if watch.told.get(&target) == Some(&progress) {
                continue;
            }
            let Some((asked, generation)) = asked.get(&target).copied() else { continue };
            match progress {
                Progress::Taken => watch.told.remove(&target),
                Progress::Awaited(_) | Progress::Refused(_) => watch.told.insert(target.clone(), progress.clone()),
            };
            news.send(ProxyNews { target, generation, progress, asked, at: Instant::now() }).await.ok()?;
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
    fn take(&mut self, question: Question) {
        self.told.remove(&question.target);
        self.tracker.ask(question.target, question.meant, Instant::now());
    }

    /// Finds the replicas, now and then.
    async fn look_up(&mut self, access: &IstiodAccess) -> Result<(), String> {
        if self.looked_up.is_some_and(|at| at.elapsed() < LOOK_UP) {
            return Ok(());
        }
        let found = istiod::replicas(&access.urls).await?;
        if found != self.found {
            let istiods = found.iter().map(|url| Istiod::new(url, access.token_file.as_ref()));
            self.istiods = istiods.collect::<Result<_, _>>()?;
            self.tracker.replace_istiods(self.istiods.len());
            self.found = found;
        }
        self.looked_up = Some(Instant::now());
        Ok(())
    }

    async fn look(&mut self) {
        let looks = self.istiods.iter().enumerate();
        let looks = join_all(looks.map(|(place, istiod)| look(istiod, self.tracker.needs_generations(place)))).await;
        for (place, (istiod, look)) in self.istiods.iter().zip(looks).enumerate() {
            match look {
                Ok(look) => {
                    self.tracker.take(place, &look, Instant::now());
                    look_closely(&mut self.tracker, place, istiod, &look).await;
                }
                Err(error) => self.tracker.failed(place, &error),
            }
        }
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

async fn look_closely(tracker: &mut Tracker, place: usize, istiod: &Istiod, look: &Look) {
    let wanted = tracker.closely(place, &look.proxies, Instant::now());
    let dumps = wanted.into_iter().map(|(target, proxy)| async move {
        let dump = istiod.dump(target.0, &proxy).await;
        (target, proxy, dump)
    });
    let dumps: Vec<_> = stream::iter(dumps).buffered(AT_A_TIME).collect().await;
    for (target, id, dump) in dumps {
        let (Some(proxy), Some(open)) = (look.proxies.iter().find(|proxy| proxy.id == id), tracker.open.get(&target))
        else {
            continue;
        };
        match dump {
            Ok(dump) => {
                let found = dump::compare(target.0, &target.1, open.meant.as_deref(), &dump);
                tracker.looked_closely(place, &target, proxy, found, Instant::now());
            }
            // The proxy stays behind until it is looked at again.
            Err(error) => tracing::debug!(proxy = id, "cannot see what a proxy would be sent: {error}"),
        }
    }
}
