//! Starts and stops the sandbox, and leads each request to what answers it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::faults::{Effect, Verb};
use super::path::{Options as Query, Place, shape};
use super::refusal::Refusal;
use super::store::Store;
use super::wire::{Line, Wires};
use super::{answer, discovery, reads, watch, writes};

/// The largest request body that is read, in bytes.
const BODY_MAX: usize = 3 * 1024 * 1024;
/// How long a stop waits for requests that are being answered.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// What kind of sandbox to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of cluster, user and context in the kubeconfig.
    pub name: String,
    /// Whether Istio's resources are there.
    pub istio: bool,
    /// The bearer token that every request must carry; `None` lets anybody in.
    pub token: Option<String>,
    /// How many changes of each resource are remembered for watches to resume from.
    pub history_changes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "sandbox".to_owned(), istio: true, token: None, history_changes_max: 2048 }
    }
}

/// A running sandbox; dropping it stops it.
pub struct Server {
    url: String,
    options: Arc<Options>,
    store: Store,
    task: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Desk {
    store: Store,
    options: Arc<Options>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and serves until stopped; needs a running tokio runtime.
    ///
    /// # Errors
    /// Says why no port could be had.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let store = Store::new(options.istio, options.history_changes_max);
        let options = Arc::new(options);
        let desk = Desk { store: store.clone(), options: Arc::clone(&options) };
        let app = Router::new().fallback(serve).with_state(desk);
        let mut rounds = store.rounds();
        let closed = async move {
            // An error means that the store is gone, which is a stop as well.
            let _ = rounds.wait_for(|round| *round == super::store::Round::Closed).await;
        };
        let serving = axum::serve(Wires(listener), app.into_make_service_with_connect_info::<Line>());
        let serving = serving.with_graceful_shutdown(closed);
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the sandbox stopped serving");
            }
        });
        Ok(Self { url, options, store, task: Some(task) })
    }

    /// Returns the address, `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the objects, for tests and demos that need no client to reach them.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns a kubeconfig with this one cluster, as JSON, which is YAML as well.
    pub fn kubeconfig(&self) -> String {
        let name = &self.options.name;
        let user = match &self.options.token {
            Some(token) => json!({"token": token}),
            None => json!({}),
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        });
        format!("{config:#}\n")
    }

    /// Ends all watches, waits up to 2 s for requests that are being answered, and frees the port.
    pub async fn stop(mut self) {
        self.store.close();
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(STOP_WAIT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.store.close();
    }
}

async fn serve(State(desk): State<Desk>, ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response {
    let mut response = match desk.answer(&line, request).await {
        Ok(response) => response,
        Err(refusal) => answer::refusal(&refusal),
    };
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&desk.store.now()).ok();
    if let Some(date) = date.and_then(|date| HeaderValue::from_str(&date).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

impl Desk {
    async fn answer(&self, line: &Line, request: Request) -> Result<Response, Refusal> {
        self.authenticate(request.headers())?;
        let path = request.uri().path();
        if matches!(path, "/healthz" | "/readyz" | "/livez") {
            return Ok(answer::text(200, "ok"));
        }
        if let Some(description) = discovery::answer(path, self.options.istio) {
            return Ok(answer::json(200, &description as &Value));
        }
        let Some(place) = Place::read(path, self.options.istio) else {
            return Ok(answer::text(404, "404 page not found\n"));
        };
        let query = Query::read(request.uri());
        let verb = place.verb(request.method(), &query).ok_or(Refusal::MethodNotAllowed)?;
        let effect = self.store.meet(verb, place.resource.plural);
        match effect {
            Some(Effect::Refuse(code)) => return Err(Refusal::Injected(code)),
            Some(Effect::Tear) => {
                line.tear();
                return Ok(answer::text(500, ""));
            }
            Some(Effect::Delay(wait)) => tokio::time::sleep(wait).await,
            Some(Effect::DoThenRefuse(_) | Effect::DoThenTear) | None => {}
        }
        let response = self.perform(verb, &place, &query, request).await?;
        match effect {
            Some(Effect::DoThenRefuse(code)) => Err(Refusal::Injected(code)),
            Some(Effect::DoThenTear) => {
                line.tear();
                Ok(response)
            }
            _ => Ok(response),
        }
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.options.token else {
            return Ok(());
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given.and_then(|value| value.strip_prefix("Bearer ")) == Some(token) {
            Ok(())
        } else {
            Err(Refusal::Unauthorized)
        }
    }

    async fn perform(&self, verb: Verb, place: &Place, query: &Query, request: Request) -> Result<Response, Refusal> {
        let shape = shape(request.headers());
        match verb {
            Verb::Get => return reads::get(&self.store, place, shape),
            Verb::List => return reads::list(&self.store, place, query, shape),
            Verb::Watch => return Ok(answer::stream(watch::body(&self.store, place, query, shape)?)),
            _ => {}
        }
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, BODY_MAX).await.map_err(|_| Refusal::BodyTooLarge(BODY_MAX))?;
        let write = writes::Request { place, options: query, headers: &parts.headers, body, shape };
        match verb {
            Verb::Create => write.create(&self.store),
            Verb::Update => write.replace(&self.store),
            Verb::Patch => write.patch(&self.store),
            Verb::Delete => write.delete(&self.store),
            Verb::DeleteCollection => write.delete_many(&self.store),
            Verb::Get | Verb::List | Verb::Watch => Err(Refusal::MethodNotAllowed),
        }
    }
}
