//! Asks an istiod or a proxy for one of its pages: at an address, or at a port of its pod.

use std::{path::PathBuf, time::Duration};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};

use super::{forward::Forward, pods::PodName};

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// How large one answer may be: the specs of some ten thousand plans.
const BYTES_MAX: usize = 256 << 20;

/// Whoever has pages. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pages(Way);

#[derive(Clone)]
enum Way {
    Address(Client),
    Pod(Forward),
}

impl Pages {
    /// At an address; builds the client, and asks nothing yet.
    pub(super) fn at(url: &http::Uri, token_file: Option<&PathBuf>) -> Result<Self, String> {
        let mut config = Config::new(url.clone());
        config.connect_timeout = Some(CONNECT_DEADLINE);
        config.read_timeout = Some(DEADLINE);
        config.default_retry = false;
        config.auth_info.token_file = token_file.map(|path| path.display().to_string());
        let builder = ClientBuilder::try_from(config).map_err(|error| format!("{url}: {error}"))?;
        Ok(Self(Way::Address(builder.build())))
    }

    /// At a port of a pod.
    pub(super) fn of(client: &Client, pod: &PodName, port: u16) -> Self {
        Self(Way::Pod(Forward::new(client, pod, port)))
    }

    /// The page at this path.
    pub(super) async fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let request = Request::get(path).body(Body::empty()).map_err(|error| error.to_string())?;
        let answer = async {
            match &self.0 {
                Way::Address(client) => {
                    whole(path, client.send(request).await.map_err(|error| error.to_string())?).await
                }
                Way::Pod(forward) => whole(path, forward.send(request).await?).await,
            }
        };
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer in {DEADLINE:?}")),
        }
    }

    /// Keeps no connection to a pod while nothing is asked.
    pub(super) async fn rest(&self) {
        if let Way::Pod(forward) = &self.0 {
            forward.rest().await;
        }
    }
}

/// The body of an answer that is none of a failure.
async fn whole<B>(path: &str, answer: Response<B>) -> Result<Vec<u8>, String>
where
    B: http_body_util::BodyExt,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = answer.status();
    if !status.is_success() {
        let hint = match status.as_u16() {
            401 | 403 => "; give it the token of an account that may ask: --istiod-token",
            _ => "",
        };
        return Err(format!("it answers {status} to {path}{hint}"));
    }
    let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
    body.map(|body| body.to_bytes().to_vec()).map_err(|error| error.to_string())
}
