//! What the running process says over HTTP, and the push webhooks that it takes.
//!
//! ```text
//!   GET /healthz /readyz /status /metrics ─► Desk ─ Ask ─► loop ─► Report
//!   POST /webhook/<forge> ─► limit ─► signature ─► parse ─► Nudge ─► git (looks now)
//! ```
//!
//! A webhook is only ever a reason to look: nothing that it says is believed.

mod desk;
mod listen;
pub mod metrics;
mod nudge;
mod routes;
mod secrets;
pub mod webhook;

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::{mpsc, watch};

use crate::reconcile::Ask;

pub use listen::{ListenError, bind};
pub use secrets::{SecretError, SecretFile};

/// How many questions wait for the loop.
const ASKS_MAX: usize = 16;

/// What to serve, and to whom to pass hints.
pub struct Options {
    /// The secrets of the webhooks; without them there are no webhooks.
    pub secrets: Option<SecretFile>,
    /// The branches that are followed: pushes to others are no reason to look.
    pub branches: watch::Receiver<Vec<String>>,
}

/// The server; [`Server::stop`] ends it in good order.
pub struct Server {
    listening: listen::Listening,
    /// Where it can be reached.
    pub address: SocketAddr,
}

/// The ends that the loop takes: questions, and the counter that asks for a look at the repository.
pub struct Ends {
    /// See [`crate::reconcile::Options::asks`].
    pub asks: mpsc::Receiver<Ask>,
    /// See [`crate::reconcile::Options::asked`].
    pub asked: watch::Receiver<u64>,
}

/// Serves on the listener until stopped; needs a running tokio runtime.
///
/// # Errors
/// Where the listener has no address.
pub fn start(listener: tokio::net::TcpListener, options: Options) -> std::io::Result<(Server, Ends)> {
    let address = listener.local_addr()?;
    let (asker, asks) = mpsc::channel(ASKS_MAX);
    let (counter, asked) = watch::channel(0);
    let desk = desk::Desk::new(asker);
    let nudge = nudge::Nudge::start(counter, desk.clone());
    let hooks = webhook::Hooks::new(options.secrets, options.branches, nudge);
    let app = routes::router(Arc::new(routes::App { desk, hooks }));
    Ok((Server { listening: listen::serve(listener, app), address }, Ends { asks, asked }))
}

impl Server {
    /// Takes no more requests, and waits up to 2 s for those that are being answered.
    pub async fn stop(self) {
        self.listening.stop().await;
    }
}
