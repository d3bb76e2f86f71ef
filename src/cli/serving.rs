//! The arguments that say what the running process serves.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::Args;
use tokio::sync::watch;

use crate::serve::{self, Ends, SecretFile, Server};

use super::Failure;

/// What is served.
#[derive(Clone, Debug, Args)]
pub(super) struct ServeArgs {
    /// Address for health, metrics, status and webhooks, as `127.0.0.1:8080`; with --once nothing is served
    #[arg(long, value_name = "ADDRESS", default_value = "off")]
    listen: Listen,
    /// File with the secrets of push webhooks, one a line; without it there are no webhooks
    #[arg(long, value_name = "FILE")]
    webhook_secret_file: Option<PathBuf>,
}

/// Where to listen, if at all.
#[derive(Clone, Copy, Debug)]
enum Listen {
    Off,
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "write an IP address and a port, as `127.0.0.1:8080`, or `off`".to_owned())
    }
}

impl ServeArgs {
    /// Starts serving; none where nothing is to be served.
    pub(super) async fn start(
        &self,
        branches: watch::Receiver<Vec<String>>,
    ) -> Result<Option<(Server, Ends)>, Failure> {
        let Listen::At(address) = self.listen else {
            if self.webhook_secret_file.is_some() {
                let error = anyhow::anyhow!("--webhook-secret-file is given, and nothing listens for webhooks");
                return Err(Failure::usage(error, "give an address with --listen"));
            }
            return Ok(None);
        };
        let secrets = self.webhook_secret_file.clone().map(SecretFile::open).transpose().map_err(|error| {
            let hint = error.hint();
            Failure::usage(error, hint)
        })?;
        let listener = serve::bind(address).await.map_err(|error| {
            let hint = error.hint();
            Failure::usage(error, hint)
        })?;
        let served = serve::start(listener, serve::Options { secrets, branches })?;
        tracing::info!(address = %served.0.address, "listening");
        Ok(Some(served))
    }
}
