//! Push webhooks: a signed delivery about the followed branch is a reason to look at the repository now.

mod dialect;
mod parse;
mod payload;
mod seen;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, StatusCode};
use tokio::sync::watch;

pub use super::secrets::{Secret, Secrets};
pub use dialect::Provider;
pub use parse::{Asks, Delivery, Refusal, parse};

use super::{nudge::Nudge, secrets::SecretFile};

/// The largest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// How a delivery was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The repository is looked at.
    Looks,
    /// A push to another branch, or an event that is no push.
    Ignored,
    /// The forge tried the connection.
    Ping,
    /// It was delivered before.
    Repeated,
    /// It has no signature.
    Unsigned,
    /// Its signature is not that of any secret.
    WrongSignature,
    /// Its body is too large.
    TooLarge,
    /// Its body came too slowly, or broke off.
    Slow,
}

impl Outcome {
    /// The outcome as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Looks => "looks",
            Self::Ignored => "ignored",
            Self::Ping => "ping",
            Self::Repeated => "repeated",
            Self::Unsigned => "unsigned",
            Self::WrongSignature => "wrong_signature",
            Self::TooLarge => "too_large",
            Self::Slow => "slow",
        }
    }

    /// What the forge is answered; it does not tell what is wrong with a signature.
    pub const fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Looks => (StatusCode::ACCEPTED, "the repository is looked at"),
            Self::Ignored => (StatusCode::ACCEPTED, "this event is no reason to look"),
            Self::Ping => (StatusCode::OK, "pushes to the followed branch will be heard"),
            Self::Repeated => (StatusCode::ACCEPTED, "this delivery was taken before"),
            Self::Unsigned | Self::WrongSignature => (StatusCode::UNAUTHORIZED, "the delivery is not accepted"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
        }
    }
}

/// How often each forge was answered how.
pub type Deliveries = BTreeMap<(Provider, Outcome), u64>;

/// Everything that deliveries need.
pub(super) struct Hooks {
    secrets: Option<SecretFile>,
    branches: watch::Receiver<Vec<String>>,
    nudge: Nudge,
    seen: Mutex<seen::Seen>,
    deliveries: Mutex<Deliveries>,
    told: AtomicBool,
}

impl Hooks {
    pub(super) fn new(secrets: Option<SecretFile>, branches: watch::Receiver<Vec<String>>, nudge: Nudge) -> Self {
        let (seen, deliveries) = (Mutex::default(), Mutex::default());
        Self { secrets, branches, nudge, seen, deliveries, told: AtomicBool::new(false) }
    }

    /// Whether deliveries are taken at all; says once why not.
    pub(super) fn are_taken(&self) -> bool {
        if self.secrets.is_none() && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!("a webhook came, and there is no secret: give one with --webhook-secret-file");
        }
        self.secrets.is_some()
    }

    /// Takes a delivery whose body was read.
    pub(super) fn take(&self, provider: Provider, headers: &HeaderMap, body: &[u8]) -> Outcome {
        let Some(secrets) = self.secrets.as_ref().map(SecretFile::now) else { return Outcome::Unsigned };
        let outcome = match parse(provider, headers, body, &secrets) {
            Err(Refusal::Unsigned) => Outcome::Unsigned,
            Err(Refusal::WrongSignature) => Outcome::WrongSignature,
            Ok(delivery) => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                match delivery.asks {
                    Asks::Nothing => Outcome::Ignored,
                    Asks::Answer => Outcome::Ping,
                    Asks::Look { .. } if !self.branches.borrow().iter().any(|branch| delivery.concerns(branch)) => {
                        Outcome::Ignored
                    }
                    Asks::Look { .. } if delivery.id.is_some_and(|id| !seen.is_new(provider, &id)) => Outcome::Repeated,
                    Asks::Look { .. } => Outcome::Looks,
                }
            }
        };
        if outcome == Outcome::Looks {
            self.nudge.give();
        }
        tracing::debug!(provider = provider.name(), outcome = outcome.name(), "a webhook came");
        outcome
    }

    /// Counts how a delivery was answered.
    pub(super) fn count(&self, provider: Provider, outcome: Outcome) {
        *self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).entry((provider, outcome)).or_default() += 1;
    }

    /// What was counted so far.
    pub(super) fn deliveries(&self) -> Deliveries {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
