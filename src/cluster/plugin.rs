//! Runs a context's credential plugin: with a deadline, with nothing to type into, and on no thread that others need.
//!
//! kube would run it three times for one client, wait for as long as it takes, and quote what it printed in its errors.

use std::future::Future;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, ExecConfig};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tower::{BoxError, Layer, Service};

/// How long a plugin may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long after a failure it is run again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long before its end a token is replaced.
const BEFORE: SignedDuration = SignedDuration::from_secs(10);
const OUTPUT_BYTES_MAX: u64 = 1 << 20;
const WORDS_MAX: usize = 200;

/// What a plugin gave.
pub(super) struct Granted {
    token: Option<HeaderValue>,
    certificate: Option<(String, String)>,
    until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Printed {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Granted {
    /// The client certificate as a kubeconfig has it, and until when it is good; none: a token was given.
    pub(super) fn certificate(&self) -> Option<(AuthInfo, Option<Timestamp>)> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let (certificate, key) = self.certificate.as_ref()?;
        let user = json!({
            "client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key),
        });
        Some((serde_json::from_value(user).ok()?, self.until))
    }
}

/// Runs it; errs with one sentence that names the program and has nothing of what it printed but its last line of errors.
pub(super) async fn run(plugin: &ExecConfig) -> Result<Granted, String> {
    run_within(DEADLINE, plugin).await
}

async fn run_within(deadline: Duration, plugin: &ExecConfig) -> Result<Granted, String> {
    let Some(program) = &plugin.command else { return Err("its credential plugin has no command".to_owned()) };
    let named = |what: String| format!("credential plugin `{program}` {what}");
    let spec = match (&plugin.cluster, plugin.provide_cluster_info) {
        (Some(cluster), true) => json!({"interactive": false, "cluster": cluster}),
        _ => json!({"interactive": false}),
    };
    let info = json!({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec});
    let mut command = Command::new(program);
    command.args(plugin.args.iter().flatten()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let pairs = plugin.env.iter().flatten().filter_map(|pair| Some((pair.get("name")?, pair.get("value")?)));
    for name in plugin.drop_env.iter().flatten() {
        command.env_remove(name);
    }
    command.envs(pairs).env("KUBERNETES_EXEC_INFO", info.to_string());
    // With whatever it starts: a script's child would hold its output open.
    let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(|error| {
        let hint = plugin.install_hint.as_deref().map(|hint| format!("; {}", hint.trim())).unwrap_or_default();
        named(format!("cannot be started: {error}{hint}"))
    })?;
    let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let _ends = Group(group);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(read(out), read(err), child.wait()) };
    let Ok((out, err, status)) = tokio::time::timeout(deadline, all).await else {
        return Err(named(format!("did not end in {deadline:?}: it may be waiting for input")));
    };
    let status = status.map_err(|error| named(format!("was lost: {error}")))?;
    if !status.success() {
        let err = String::from_utf8_lossy(&err);
        let last = err.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.map(|line| format!(": {}", line.trim().escape_debug().take(WORDS_MAX).collect::<String>()));
        return Err(named(format!("ended with {status}{}", last.unwrap_or_default())));
    }
    granted(&out).map_err(|why| named(why.to_owned()))
}

/// Ends whatever is left of a plugin when dropped.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Mostly nothing is left.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut read = Vec::new();
    if let Some(from) = from {
        // What cannot be read is no credential.
        let _ = from.take(OUTPUT_BYTES_MAX).read_to_end(&mut read).await;
    }
    read
}

fn granted(printed: &[u8]) -> Result<Granted, &'static str> {
    // client-go takes YAML, too.
    let written = || serde_json::from_value(crate::plan::value_of(std::str::from_utf8(printed).ok()?)?).ok();
    let printed: Option<Printed> = serde_json::from_slice(printed).ok().or_else(written);
    let printed = printed.ok_or("printed no ExecCredential")?;
    let status = printed.status.ok_or("printed no status")?;
    let bearer = |token: String| {
        let mut header =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| "printed a token that is none")?;
        header.set_sensitive(true);
        Ok::<_, &'static str>(header)
    };
    let token = status.token.filter(|token| !token.is_empty()).map(bearer).transpose()?;
    let certificate = status.client_certificate_data.zip(status.client_key_data);
    if token.is_none() && certificate.is_none() {
        return Err("gave neither a token nor a certificate with its key");
    }
    Ok(Granted { token, certificate, until: status.expiration_timestamp })
}

/// Puts the token of a plugin on each request, and another one before it ends or once it is refused.
pub(super) struct TokenLayer(pub(super) Option<(ExecConfig, Granted)>);

impl<S> Layer<S> for TokenLayer {
    type Service = Tokened<S>;

    fn layer(&self, inner: S) -> Tokened<S> {
        let given = self.0.as_ref().and_then(|(plugin, granted)| {
            let (token, until) = (granted.token.clone()?, granted.until);
            Some(Given {
                plugin: plugin.clone(),
                token: Ok((token, until)),
                refused: Arc::default(),
                at: Instant::now(),
            })
        });
        Tokened { inner, given, running: None }
    }
}

/// A client's service with tokens of a plugin, if any.
pub(super) struct Tokened<S> {
    inner: S,
    given: Option<Given>,
    running: Option<Running>,
}

type Running = Pin<Box<dyn Future<Output = Result<Granted, String>> + Send>>;

struct Given {
    plugin: ExecConfig,
    /// The token and until when it is good, or why there is none.
    token: Result<(HeaderValue, Option<Timestamp>), String>,
    /// Whether a server does not take it.
    refused: Arc<AtomicBool>,
    /// When the plugin ended last.
    at: Instant,
}

/// Why a request has no token.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoToken(String);

impl Given {
    /// Whether the token may be used still.
    fn is_good(&self) -> bool {
        let is_good = |until: &Option<Timestamp>| until.is_none_or(|until| until > Timestamp::now());
        self.token.as_ref().is_ok_and(|(_, until)| is_good(until)) && !self.refused.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        let over = match &self.token {
            Err(_) => true,
            Ok((_, until)) => {
                let soon = Timestamp::now().checked_add(BEFORE).unwrap_or(Timestamp::MAX);
                self.refused.load(Ordering::Relaxed) || until.is_some_and(|until| until <= soon)
            }
        };
        over && self.at.elapsed() >= AGAIN
    }
}

impl<S, A, B> Service<Request<A>> for Tokened<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    /// Waits for the plugin where there is no good token, and so do all requests of this cluster: an error here would end
    /// the client, so that is told by each request.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if let Some(given) = &mut self.given {
            if self.running.is_none() && given.is_over() {
                let plugin = given.plugin.clone();
                self.running = Some(Box::pin(async move { run(&plugin).await }));
            }
            if let Some(running) = &mut self.running {
                let granted = match running.as_mut().poll(context) {
                    Poll::Ready(granted) => granted,
                    // The one before is good still.
                    Poll::Pending if given.is_good() => return self.inner.poll_ready(context).map_err(Into::into),
                    Poll::Pending => return Poll::Pending,
                };
                self.running = None;
                if granted.is_err() && given.is_good() {
                    given.at = Instant::now();
                    return self.inner.poll_ready(context).map_err(Into::into);
                }
                given.at = Instant::now();
                given.refused = Arc::default();
                let lacks = || {
                    format!("credential plugin `{}` gave no token", given.plugin.command.as_deref().unwrap_or_default())
                };
                given.token = granted.and_then(|granted| Ok((granted.token.ok_or_else(lacks)?, granted.until)));
            }
        }
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let mut refused = None;
        match self.given.as_ref().map(|given| (&given.token, &given.refused)) {
            None => {}
            Some((Ok((token, _)), flag)) => {
                request.headers_mut().insert(AUTHORIZATION, token.clone());
                refused = Some(Arc::clone(flag));
            }
            Some((Err(why), _)) => {
                let why = NoToken(why.clone());
                return Box::pin(async { Err(why.into()) });
            }
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?;
            if let Some(refused) = refused.filter(|_| answer.status() == StatusCode::UNAUTHORIZED) {
                refused.store(true, Ordering::Relaxed);
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(script: &str) -> ExecConfig {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
            "env": [{"name": "KEPT", "value": "kept-secret"}], "installHint": "install it",
        });
        serde_json::from_value(exec).unwrap()
    }

    async fn says(script: &str) -> String {
        run(&plugin(script)).await.err().unwrap()
    }

    #[tokio::test]
    async fn a_token_or_a_certificate_is_taken() {
        let json = r#"echo '{"kind": "ExecCredential", "status": {"token": "t", "expirationTimestamp": "2030-01-01T00:00:00Z"}}'"#;
        let granted = run(&plugin(json)).await.unwrap();
        assert_eq!(granted.token.unwrap().to_str().unwrap(), "Bearer t");
        assert_eq!(granted.until, Some("2030-01-01T00:00:00Z".parse().unwrap()));
        let both = r#"echo '{"status": {"clientCertificateData": "c", "clientKeyData": "k"}}'"#;
        let granted = run(&plugin(both)).await.unwrap();
        let (user, until) = granted.certificate().unwrap();
        assert_eq!((user.client_certificate_data.as_deref(), until), (Some("Yw=="), None));
    }

    #[tokio::test]
    async fn it_is_told_that_nobody_types_and_finds_nothing_to_read() {
        let script = r#"read -r line && exit 1; echo "$KUBERNETES_EXEC_INFO" | grep -q '"interactive":false' || exit 2
            echo "{\"status\": {\"token\": \"$KEPT\"}}""#;
        let granted = run(&plugin(script)).await.unwrap();
        assert_eq!(granted.token.unwrap().to_str().unwrap(), "Bearer kept-secret");
    }

    #[tokio::test]
    async fn what_fails_is_told_without_what_was_printed_but_the_last_error() {
        assert_eq!(
            says("echo kept-secret; echo why >&2; exit 3").await,
            "credential plugin `sh` ended with exit status: 3: why"
        );
        assert_eq!(says("echo kept-secret").await, "credential plugin `sh` printed no ExecCredential");
        assert_eq!(
            says("echo '{\"status\": {}}'").await,
            "credential plugin `sh` gave neither a token nor a certificate with its key"
        );
        let absent = ExecConfig { command: Some("no-such-plugin".into()), ..plugin("") };
        let says = run(&absent).await.err().unwrap();
        assert!(says.starts_with("credential plugin `no-such-plugin` cannot be started: "), "{says}");
        assert!(says.ends_with("; install it") && !says.contains("kept-secret"), "{says}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_at_its_deadline_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; wait", file.display());
        let begin = Instant::now();
        let says = run_within(Duration::from_millis(500), &plugin(&script)).await.err().unwrap();
        assert_eq!(says, "credential plugin `sh` did not end in 500ms: it may be waiting for input");
        assert!(begin.elapsed() < Duration::from_secs(5));
        let child = std::fs::read_to_string(&file).unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        while !gone() {
            assert!(begin.elapsed() < Duration::from_secs(10), "what it started runs on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
