//! Asks one istiod over HTTP: what it holds, how its proxies are, and what one of them would be sent.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use http::Request;
use http_body_util::{BodyExt as _, Limited};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    syncz::{self, ProxySync},
    track::Target,
};
use crate::{istio::ObjectKind, plan::ObjectKey};

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// How large one answer may be: the specs of some ten thousand plans.
const BYTES_MAX: usize = 256 << 20;

/// How the istiods of a cluster are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IstiodAccess {
    /// The HTTP address of each replica, `http://host:15014`: each knows its own proxies alone. A host name stands for all
    /// its addresses, as that of a headless Service does.
    pub urls: Vec<http::Uri>,
    /// A file with the bearer token of an account that may ask; read again when it changes.
    pub token_file: Option<PathBuf>,
}

/// The address of each replica, in order. A name under https stays one: its certificate is for the name.
pub(super) async fn replicas(urls: &[http::Uri]) -> Result<BTreeSet<String>, String> {
    let mut found = BTreeSet::new();
    for url in urls {
        let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if url.scheme_str() == Some("https") || host.parse::<IpAddr>().is_ok() {
            found.insert(url.to_string());
            continue;
        }
        let looked_up = tokio::net::lookup_host((host, url.port_u16().unwrap_or(80))).await;
        let addresses = looked_up.map_err(|error| format!("istiod {host}: its name cannot be looked up: {error}"))?;
        found.extend(addresses.map(|address| format!("http://{address}/")));
    }
    Ok(found)
}

/// One istiod.
#[derive(Clone)]
pub(super) struct Istiod {
    pub(super) name: String,
    client: Client,
}

impl Istiod {
    /// Builds the client; nothing is asked yet.
    pub(super) fn new(url: &str, token_file: Option<&PathBuf>) -> Result<Self, String> {
        let url: http::Uri = url.parse().map_err(|error| format!("istiod {url}: {error}"))?;
        let mut config = Config::new(url.clone());
        config.connect_timeout = Some(CONNECT_DEADLINE);
        config.read_timeout = Some(DEADLINE);
        config.default_retry = false;
        config.auth_info.token_file = token_file.map(|path| path.display().to_string());
        let name = format!("istiod {}", url.authority().map_or_else(|| url.to_string(), ToString::to_string));
        let builder = ClientBuilder::try_from(config).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, client: builder.build() })
    }

    /// The generations of all VirtualServices and DestinationRules that it holds.
    pub(super) async fn generations(&self) -> Result<HashMap<Target, i64>, String> {
        let held: Option<Vec<Held>> = self.get("/debug/configz").await.and_then(|body| read(&body))?;
        let held = held.unwrap_or_default().into_iter().filter_map(|held| {
            let kind = match held.kind.as_str() {
                "VirtualService" => ObjectKind::VirtualService,
                "DestinationRule" => ObjectKind::DestinationRule,
                _ => return None,
            };
            let Metadata { namespace, name, generation } = held.metadata;
            Some(((kind, ObjectKey { namespace, name }), generation?))
        });
        Ok(held.collect())
    }

    /// How its proxies are.
    pub(super) async fn proxies(&self) -> Result<Vec<ProxySync>, String> {
        let body = self.get("/debug/syncz").await?;
        syncz::parse(&body).map_err(|error| format!("its answer cannot be read: {error}"))
    }

    /// What it would send to a proxy now.
    pub(super) async fn dump(&self, kind: ObjectKind, proxy: &str) -> Result<Value, String> {
        let types = match kind {
            ObjectKind::VirtualService => "rds",
            ObjectKind::DestinationRule => "cds",
        };
        // Names of pods and namespaces need no escape.
        let body = self.get(&format!("/debug/config_dump?proxyID={proxy}&types={types}")).await?;
        read(&body)
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let request = Request::get(path).body(Body::empty()).map_err(|error| error.to_string())?;
        let answer = async {
            let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
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
        };
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer in {DEADLINE:?}")),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("its answer cannot be read: {error}"))
}

/// Of a whole object only this: the rest is skipped unread.
#[derive(Deserialize)]
struct Held {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    namespace: String,
    name: String,
    generation: Option<i64>,
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request so, and returns what was asked.
    async fn once(listener: TcpListener, answer: &'static str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked).unwrap()
    }

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        (listener, url)
    }

    #[tokio::test]
    async fn the_token_is_shown_and_a_refusal_says_what_to_do_without_it() {
        let (listener, url) = listen().await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret").unwrap();
        let istiod = Istiod::new(&url, Some(&file.path().to_owned())).unwrap();
        let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 6\r\nconnection: close\r\n\r\ns3cret";
        let (asked, answer) = tokio::join!(once(listener, refusal), istiod.proxies());
        assert!(asked.starts_with("GET /debug/syncz HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains("authorization: bearer s3cret\r\n"), "{asked}");
        let error = answer.unwrap_err();
        assert!(error.contains("401") && error.contains("--istiod-token") && !error.contains("s3cret"), "{error}");
    }

    #[tokio::test]
    async fn of_what_istiod_holds_the_generations_are_read() {
        let (listener, url) = listen().await;
        let istiod = Istiod::new(&url, None).unwrap();
        let body = r#"[{"kind":"Gateway","metadata":{"name":"gw"}},{"kind":"VirtualService","metadata":{"name":"web","namespace":"shop","generation":7},"spec":{"hosts":[1]}}]"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let (_, held) = tokio::join!(once(listener, answer.leak()), istiod.generations());
        let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
        assert_eq!(held.unwrap(), [((ObjectKind::VirtualService, key), 7)].into());
    }

    #[tokio::test]
    async fn a_name_stands_for_its_addresses_and_an_address_for_itself() {
        let urls: Vec<http::Uri> =
            ["http://localhost:15014", "http://127.0.0.1:15014"].map(|url| url.parse().unwrap()).into();
        let found = replicas(&urls).await.unwrap();
        assert!(found.contains("http://127.0.0.1:15014/"), "{found:?}");
        assert!(found.iter().all(|url| !url.contains("localhost")), "{found:?}");
        let nobody = replicas(&["http://istiod.invalid:15014".parse().unwrap()]).await.unwrap_err();
        assert!(nobody.starts_with("istiod istiod.invalid: its name cannot be looked up"), "{nobody}");
    }
}
