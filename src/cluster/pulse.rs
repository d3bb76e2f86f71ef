//! Whether a cluster answers. One that has fallen silent is asked by a single probe, ever less often, and by nobody else:
//! however many plans it has, they cost it and the others nothing until something is answered again.
//!
//! ```text
//!           a request waits for 5 s, 3 in a row fail,
//!           or nothing was heard for 10 s in a vigil             the probe fails
//!  answers ────────────────────────────────────────► probed ────────────────────► silent ──┐ the next probe after
//!     ▲                                                │ it is answered              │  ▲   │ 0.2 s, then up to 8 s
//!     └────────────────────────────────────────────────┴────── anything is ──────────┘  └───┘
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use kube::api::ListParams;
use kube::core::Request;
use kube::{Client, Error};
use tokio::sync::{Notify, watch};

use super::feed::Eager;
use super::write::words;

/// How long any request may wait for its answer to begin, watches included.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(15);
/// How long one waits before it is suspected that nobody is there.
pub(super) const SUSPICIOUS: Duration = Duration::from_secs(5);
/// So many failures in a row are suspicious.
const FAILURES_MAX: u32 = 3;
/// How long nothing may be heard in a vigil.
const VIGIL: Duration = Duration::from_secs(10);

/// What the probe asks for: the way that reads and writes of routes take, down to the store.
const PROBED: &str = "/apis/networking.istio.io/v1/virtualservices";

/// Marks the one request that a silent cluster is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe;

/// A request that was not sent, or not waited for any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Its answer did not begin in time.
    #[error("no answer in {ANSWER_DEADLINE:?}")]
    Late,
    /// The cluster was silent.
    #[error("{0}")]
    Silent(Arc<str>),
}

/// How one API server answers.
#[derive(Debug)]
pub(super) struct Pulse {
    heard: Mutex<Heard>,
    silent: watch::Sender<Option<Arc<str>>>,
    vigil: watch::Sender<bool>,
    suspected: Notify,
}

#[derive(Debug)]
struct Heard {
    failures: u32,
    at: Instant,
    took: Option<Duration>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            heard: Mutex::new(Heard { failures: 0, at: Instant::now(), took: None }),
            silent: watch::Sender::new(None),
            vigil: watch::Sender::new(false),
            suspected: Notify::new(),
        }
    }
}

/// Whether a status is an answer: credentials that ended and errors of the server say no more than silence.
pub(super) fn is_answer(status: StatusCode) -> bool {
    status != StatusCode::UNAUTHORIZED && !status.is_server_error()
}

impl Pulse {
    /// Something was answered; `took`: how long that was waited for, of what is answered at once.
    pub(super) fn heard(&self, took: Option<Duration>) {
        let mut heard = self.lock();
        (heard.failures, heard.at, heard.took) = (0, Instant::now(), took.or(heard.took));
        drop(heard);
        self.silent.send_if_modified(|silent| silent.take().is_some());
    }

    /// A request failed.
    pub(super) fn failed(&self) {
        let mut heard = self.lock();
        heard.failures = heard.failures.saturating_add(1);
        if heard.failures >= FAILURES_MAX {
            self.suspected.notify_one();
        }
    }

    /// A request has been waiting since then; where nothing else was answered meanwhile, that is looked into.
    pub(super) fn waits(&self, since: Instant) {
        if self.lock().at < since {
            self.suspected.notify_one();
        }
    }

    /// Why nothing is sent; none: it answers.
    pub(super) fn silent(&self) -> Option<Arc<str>> {
        self.silent.borrow().clone()
    }

    /// News of [`Self::silent`].
    pub(super) fn follow(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.silent.subscribe()
    }

    /// Waits until it is silent, and returns why.
    pub(super) async fn falls_silent(&self) -> Arc<str> {
        let mut news = self.follow();
        match news.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()) {
            Some(why) => why,
            // Its sender is here.
            None => std::future::pending().await,
        }
    }

    /// Waits until it is not silent.
    pub(super) async fn answers(&self) {
        // It ends with the sender, which is here.
        let _ = self.follow().wait_for(Option::is_none).await;
    }

    /// From now on it is noticed soon, or later, that nothing is heard.
    pub(super) fn keep_vigil(&self, keep: bool) {
        self.vigil.send_if_modified(|kept| std::mem::replace(kept, keep) != keep);
    }

    /// How long the last answer was waited for.
    pub(super) fn took(&self) -> Option<Duration> {
        self.lock().took
    }

    /// Waits for a reason to ask whether anybody is there.
    async fn suspicion(&self) {
        let mut vigil = self.vigil.subscribe();
        loop {
            let kept = *vigil.borrow_and_update();
            let quiet = self.lock().at + VIGIL;
            tokio::select! {
                () = self.suspected.notified() => return,
                _ = vigil.changed() => {}
                () = tokio::time::sleep_until(quiet.into()), if kept => {
                    if self.lock().at.elapsed() >= VIGIL {
                        return;
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Probes the cluster when it is suspected to be silent, and as long as it is.
pub(super) async fn probe(pulse: Arc<Pulse>, client: Client) {
    loop {
        pulse.suspicion().await;
        let mut pauses = Eager::default();
        while let Err(why) = ask(&client).await {
            pulse.silent.send_replace(Some(why.into()));
            let pause = pauses.next().unwrap_or(VIGIL);
            if tokio::time::timeout(pause, pulse.answers()).await.is_ok() {
                break;
            }
        }
    }
}

/// Errs with why nothing was answered.
async fn ask(client: &Client) -> Result<(), String> {
    let one = ListParams::default().limit(1);
    let mut request = Request::new(PROBED).list_metadata(&one).map_err(|error| words(&error))?;
    request.extensions_mut().insert(Probe);
    match client.request_text(request).await {
        Ok(_) => Ok(()),
        Err(Error::Api(status)) if StatusCode::from_u16(status.code).is_ok_and(is_answer) => Ok(()),
        Err(Error::Api(status)) => Err(format!("{} ({})", status.message, status.code)),
        Err(error) => Err(words(&error)),
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    async fn is_suspicious(pulse: &Pulse) -> bool {
        tokio::time::timeout(Duration::from_millis(20), pulse.suspicion()).await.is_ok()
    }

    #[tokio::test]
    async fn failures_in_a_row_are_suspicious_and_an_answer_between_ends_the_row() {
        let pulse = Pulse::default();
        pulse.failed();
        pulse.failed();
        pulse.heard(None);
        pulse.failed();
        pulse.failed();
        assert!(!is_suspicious(&pulse).await);
        pulse.failed();
        assert!(is_suspicious(&pulse).await);
    }

    #[tokio::test]
    async fn one_that_waits_is_suspicious_only_where_no_other_was_answered_meanwhile() {
        let pulse = Pulse::default();
        let asked = Instant::now();
        pulse.heard(Some(Duration::from_secs(10)));
        pulse.waits(asked);
        assert!(!is_suspicious(&pulse).await);
        pulse.waits(Instant::now());
        assert!(is_suspicious(&pulse).await);
        assert_eq!(pulse.took(), Some(Duration::from_secs(10)));
    }

    #[tokio::test]
    async fn silence_ends_what_waits_and_any_answer_ends_the_silence() {
        let pulse = Pulse::default();
        let mut waits = Box::pin(pulse.falls_silent());
        assert!(poll!(&mut waits).is_pending());
        pulse.silent.send_replace(Some("torn".into()));
        assert_eq!((&*waits.await, pulse.silent().as_deref()), ("torn", Some("torn")));
        let mut answers = Box::pin(pulse.answers());
        assert!(poll!(&mut answers).is_pending());
        pulse.heard(None);
        assert!(poll!(&mut answers).is_ready());
    }

    #[test]
    fn what_a_server_refuses_is_an_answer_and_what_it_cannot_is_none() {
        for (code, answers) in [(200, true), (403, true), (404, true), (429, true), (401, false), (503, false)] {
            assert_eq!(is_answer(StatusCode::from_u16(code).unwrap()), answers, "{code}");
        }
    }
}
