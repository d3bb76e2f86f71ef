//! Counts a client's requests by verb and answer, reads the server's clock off its answers, and gives up where none comes.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Method, Request, Response, header};
use jiff::Timestamp;
use tower::{BoxError, Layer, Service};

use super::pulse::{ANSWER_DEADLINE, Probe, Pulse, SUSPICIOUS, Unanswered, is_answer};

/// Whether a lease is held is not for a pulse to say: those requests have deadlines of their own.
const LEASES: &str = "/apis/coordination.k8s.io/";

/// An answer that took longer than this says too little about the server's clock.
const CLOCK_ROUND_TRIP_MAX: Duration = Duration::from_secs(3);

/// What a request asked for, as far as the method and the query tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// A read of one object or of a list.
    Get,
    /// A watch; a streaming list is one too.
    Watch,
    /// A creation.
    Create,
    /// A patch, server-side apply included.
    Patch,
    /// A deletion.
    Delete,
    /// Anything else.
    Other,
}

impl Verb {
    /// The verb as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }

    fn of<B>(request: &Request<B>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        match *request.method() {
            Method::GET if query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1") => Self::Watch,
            Method::GET => Self::Get,
            Method::POST => Self::Create,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// With this HTTP status.
    Code(u16),
    /// Without any answer: refused, torn or cut off.
    None,
}

/// The figures of one client.
#[derive(Debug, Default)]
pub(super) struct Meter {
    figures: Mutex<Figures>,
    pulse: Arc<Pulse>,
}

#[derive(Debug, Default)]
struct Figures {
    counts: BTreeMap<(Verb, Answer), u64>,
    clock_offset_ms: Option<i64>,
    opened: HashMap<String, Instant>,
}

impl Meter {
    /// The number of requests so far by verb and answer.
    pub(super) fn counts(&self) -> BTreeMap<(Verb, Answer), u64> {
        self.figures().counts.clone()
    }

    /// Whether the server answers.
    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// See [`super::Cluster::clock_offset_ms`].
    pub(super) fn clock_offset_ms(&self) -> Option<i64> {
        self.figures().clock_offset_ms
    }

    /// When the server last agreed to a watch of the resource with this plural.
    pub(super) fn watch_opened(&self, plural: &str) -> Option<Instant> {
        self.figures().opened.get(plural).copied()
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<B>(&self, asked: &Asked, answer: Option<&Response<B>>) {
        if let Some(response) = answer.filter(|response| is_answer(response.status())) {
            self.pulse.heard((asked.verb != Verb::Watch && response.status().is_success()).then(|| asked.at.elapsed()));
        } else if answer.is_some() {
            self.pulse.failed();
        }
        let mut figures = self.figures();
        let code = answer.map_or(Answer::None, |response| Answer::Code(response.status().as_u16()));
        *figures.counts.entry((asked.verb, code)).or_default() += 1;
        let Some(response) = answer else { return };
        if asked.verb == Verb::Watch && response.status().is_success() {
            figures.opened.insert(asked.plural.clone(), Instant::now());
        }
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        if asked.at.elapsed() <= CLOCK_ROUND_TRIP_MAX
            && let Some(offset) = date.and_then(|date| offset_ms(date, asked.sent, Timestamp::now()))
        {
            figures.clock_offset_ms = Some(offset);
        }
    }
}

/// The least offset of the server's clock that fits its `Date`, which has a resolution of one second.
fn offset_ms(date: &str, sent: Timestamp, received: Timestamp) -> Option<i64> {
    let server = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    let (least, most) = (server - received.as_millisecond(), server + 1_000 - sent.as_millisecond());
    let offset = if least > 0 { least } else { most.min(0) };
    Some(if offset.abs() <= 1_000 { 0 } else { offset })
}

struct Asked {
    verb: Verb,
    plural: String,
    /// Whether it is sent, and waited for, only while the server answers.
    yields: bool,
    sent: Timestamp,
    at: Instant,
}

impl Asked {
    fn of<B>(request: &Request<B>) -> Self {
        let (verb, path) = (Verb::of(request), request.uri().path());
        let plural = path.rsplit('/').next().unwrap_or_default().to_owned();
        let probes = request.extensions().get::<Probe>().is_some();
        let yields = verb != Verb::Watch && !probes && !path.starts_with(LEASES);
        Self { verb, plural, yields, sent: Timestamp::now(), at: Instant::now() }
    }
}

/// Puts a [`Meter`] around a client's service.
pub(super) struct MeterLayer(pub(super) Arc<Meter>);

impl<S> Layer<S> for MeterLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner, meter: Arc::clone(&self.0) }
    }
}

/// A service whose requests are counted.
pub(super) struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
}

impl<S, A, B> Service<Request<A>> for Metered<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
    B: Send + 'static,
    A: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let asked = Asked::of(&request);
        let pulse = Arc::clone(&self.meter.pulse);
        if let Some(why) = pulse.silent().filter(|_| asked.yields) {
            return Box::pin(async { Err(Unanswered::Silent(why).into()) });
        }
        let (yields, at) = (asked.yields, asked.at);
        let open = Open { meter: Arc::clone(&self.meter), asked: Some(asked) };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = std::pin::pin!(answer);
            let answer = match tokio::time::timeout(SUSPICIOUS, &mut answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    pulse.waits(at);
                    tokio::select! {
                        answer = &mut answer => answer,
                        () = tokio::time::sleep_until((at + ANSWER_DEADLINE).into()) => {
                            return open.given_up(Unanswered::Late);
                        }
                        why = pulse.falls_silent(), if yields => return open.given_up(Unanswered::Silent(why)),
                    }
                }
            };
            if answer.is_err() {
                pulse.failed();
            }
            open.closed(answer.as_ref().ok());
            answer.map_err(Into::into)
        })
    }
}

/// A request under way; dropped without an answer (its deadline cut it off), it counts as one without an answer.
struct Open {
    meter: Arc<Meter>,
    asked: Option<Asked>,
}

impl Open {
    fn given_up<B>(self, why: Unanswered) -> Result<B, BoxError> {
        self.meter.pulse.failed();
        Err(why.into())
    }

    fn closed<B>(mut self, answer: Option<&Response<B>>) {
        if let Some(asked) = self.asked.take() {
            self.meter.note(&asked, answer);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.meter.note::<()>(&asked, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const DATE: &str = "Sat, 21 Nov 2026 04:00:10 GMT";

    #[test]
    fn a_date_within_its_resolution_is_no_offset() {
        assert_eq!(offset_ms(DATE, at("2026-11-21T04:00:10.2Z"), at("2026-11-21T04:00:10.3Z")), Some(0));
        assert_eq!(offset_ms(DATE, at("2026-11-21T04:00:10.9Z"), at("2026-11-21T04:00:11.9Z")), Some(0));
    }

    #[test]
    fn a_clock_that_is_ahead_or_behind_is_told_with_its_sign() {
        assert_eq!(offset_ms(DATE, at("2026-11-21T03:59:59Z"), at("2026-11-21T04:00:00Z")), Some(10_000));
        assert_eq!(offset_ms(DATE, at("2026-11-21T04:00:31Z"), at("2026-11-21T04:00:31Z")), Some(-20_000));
    }

    #[test]
    fn a_date_that_is_none_says_nothing() {
        assert_eq!(offset_ms("yesterday", at("2026-11-21T04:00:10Z"), at("2026-11-21T04:00:10Z")), None);
    }

    #[test]
    fn a_watch_is_told_from_a_read() {
        let verb = |uri: &str| Verb::of(&Request::get(uri).body(()).unwrap());
        assert_eq!(verb("/api/v1/pods?&watch=true&timeoutSeconds=50"), Verb::Watch);
        assert_eq!(verb("/api/v1/pods?limit=500"), Verb::Get);
    }
}
