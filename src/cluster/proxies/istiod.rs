//! Asks one istiod over HTTP: what it holds, how its proxies are, and what one of them would be sent.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    path::PathBuf,
};

use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use super::{
    page::Pages,
    pods::{self, PodName, PodSelector},
    syncz::{self, ProxySync},
    track::Target,
};
use crate::{istio::ObjectKind, plan::ObjectKey};

/// Where istiod has its debug pages.
const PORT: u16 = 15014;

/// The istiods of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Istiods {
    /// At the HTTP address of each replica, `http://host:15014`: each knows its own proxies alone. A host name stands for
    /// all its addresses, as that of a headless Service does.
    At(Vec<http::Uri>),
    /// In pods, each through the API server's port-forward.
    In(PodSelector),
}

/// Where an istiod is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    At(String),
    In(PodName),
}

/// The place of each istiod that can be asked, in order; without any, why it is that there is none at all.
pub(super) async fn find(istiods: &Istiods, client: &Client) -> Result<Result<BTreeSet<Place>, String>, String> {
    let selector = match istiods {
        Istiods::At(urls) => return Ok(Ok(replicas(urls).await?.into_iter().map(Place::At).collect())),
        Istiods::In(selector) => selector,
    };
    let found = pods::labelled(client, Some(&selector.namespace), &selector.labels).await?;
    match (found.ready.is_empty(), found.others) {
        (true, 0) => Ok(Err(format!("there are no {selector}"))),
        (true, others) => Err(format!("none of {others} {selector} is ready")),
        (false, _) => Ok(Ok(found.ready.into_iter().map(Place::In).collect())),
    }
}

/// The address of each replica, in order. A name under https stays one: its certificate is for the name.
async fn replicas(urls: &[http::Uri]) -> Result<BTreeSet<String>, String> {
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
pub(super) struct Istiod {
    pub(super) name: String,
    /// The revision of Istio that its pod says it is of.
    pub(super) revision: Option<String>,
    pages: Pages,
}

impl Istiod {
    /// Asks nothing yet.
    pub(super) fn new(place: &Place, token_file: Option<&PathBuf>, client: &Client) -> Result<Self, String> {
        match place {
            Place::At(url) => {
                let url: http::Uri = url.parse().map_err(|error| format!("istiod {url}: {error}"))?;
                let authority = url.authority().map_or_else(|| url.to_string(), ToString::to_string);
                Ok(Self { name: format!("istiod {authority}"), revision: None, pages: Pages::at(&url, token_file)? })
            }
            Place::In(pod) => {
                let (name, revision) = (format!("istiod {}", pod.proxy()), pod.revision.clone());
                Ok(Self { name, revision, pages: Pages::of(client, pod, PORT) })
            }
        }
    }

    /// Its name and revision, for people.
    pub(super) fn told(&self) -> String {
        match &self.revision {
            Some(revision) => format!("{} of revision {revision}", self.name),
            None => self.name.clone(),
        }
    }

    /// Keeps no connection to a pod while nothing is asked.
    pub(super) async fn rest(&self) {
        self.pages.rest().await;
    }

    /// The generations of all VirtualServices and DestinationRules that it holds.
    pub(super) async fn generations(&self) -> Result<HashMap<Target, i64>, String> {
        let held: Option<Vec<Held>> = self.pages.get("/debug/configz").await.and_then(|body| read(&body))?;
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
        let body = self.pages.get("/debug/syncz").await?;
        syncz::parse(&body).map_err(|error| format!("its answer cannot be read: {error}"))
    }

    /// What it would send to a proxy now.
    pub(super) async fn dump(&self, kind: ObjectKind, proxy: &str) -> Result<Value, String> {
        let types = match kind {
            ObjectKind::VirtualService => "rds",
            ObjectKind::DestinationRule => "cds",
        };
        // Names of pods and namespaces need no escape.
        let body = self.pages.get(&format!("/debug/config_dump?proxyID={proxy}&types={types}")).await?;
        read(&body)
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

    fn istiod(url: &str, token_file: Option<&PathBuf>) -> Istiod {
        let pages = Pages::at(&url.parse().unwrap(), token_file).unwrap();
        Istiod { name: "istiod".into(), revision: None, pages }
    }

    #[tokio::test]
    async fn the_token_is_shown_and_a_refusal_says_what_to_do_without_it() {
        let (listener, url) = listen().await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret").unwrap();
        let istiod = istiod(&url, Some(&file.path().to_owned()));
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
        let istiod = istiod(&url, None);
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
