//! Looks for the secret.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::bed::{Bed, SOON};
use super::process::run;

/// What must not be found, in each form in which it is sent or kept.
pub struct Search {
    needles: Vec<String>,
    serves: tokio::sync::OnceCell<bool>,
}

impl Search {
    pub fn new(needles: Vec<String>) -> Self {
        Self { needles, serves: tokio::sync::OnceCell::new() }
    }

    /// Whether the text has it.
    pub fn finds(&self, text: &str) -> bool {
        self.needles.iter().any(|needle| text.contains(needle.as_str()))
    }

    /// Panics where the text has it.
    pub fn text(&self, place: &str, text: &str) {
        for needle in &self.needles {
            if let Some(at) = text.find(needle.as_str()) {
                let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
                panic!("{place}: the secret is in: {}…", &text[line..at]);
            }
        }
    }

    fn bytes(&self, place: &str, bytes: &[u8]) -> usize {
        self.text(place, &String::from_utf8_lossy(bytes));
        bytes.len()
    }

    /// Every file below a folder.
    pub fn files(&self, place: &str, folder: &Path) -> usize {
        let mut searched = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let place = format!("{place}: {}", path.display());
            self.text(&place, &path.display().to_string());
            searched += match std::fs::read(&path) {
                _ if path.is_dir() => self.files(&place, &path),
                Ok(bytes) => self.bytes(&place, &bytes),
                Err(_) => 0,
            };
        }
        searched
    }

    /// The arguments of a process, and arguments, environment and core limit of all its children.
    pub fn processes(&self, place: &str, id: &str) -> usize {
        let read = |id: &str, name: &str| std::fs::read(Path::new("/proc").join(id).join(name)).unwrap_or_default();
        let mut searched = self.bytes(&format!("{place}: arguments"), &read(id, "cmdline"));
        let mut open = vec![id.to_owned()];
        while let Some(parent) = open.pop() {
            no_core(place, &read(&parent, "limits"));
            for child in children(&parent) {
                searched += self.bytes(&format!("{place}: arguments of a child"), &read(&child, "cmdline"));
                searched += self.bytes(&format!("{place}: environment of a child"), &read(&child, "environ"));
                open.push(child);
            }
        }
        searched
    }

    /// Whether this version has a server.
    pub async fn serves(&self, home: &Path) -> bool {
        let asked = async { run(home, &["run", "--help"]).await.stdout.contains("--listen") };
        *self.serves.get_or_init(|| asked).await
    }

    /// A page of the server, in whatever state it is.
    pub async fn page(&self, place: &str, listen: &str, page: &str) -> usize {
        let mut stream = tokio::net::TcpStream::connect(listen).await.unwrap();
        let request = format!("GET {page} HTTP/1.1\r\nHost: tidegate\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 "), "{place}: {page} is not served");
        self.bytes(&format!("{place}: {page}"), &answer)
    }

    /// Everything in the cluster that tidegate may write; waits until there is some of each.
    pub async fn cluster(&self, bed: &Bed) -> usize {
        let config = kube::config::Kubeconfig::read_from(bed.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
        let client = kube::Client::try_from(config).unwrap();
        let mut searched = 0;
        for path in [
            "/apis/events.k8s.io/v1/events",
            "/apis/networking.istio.io/v1/virtualservices",
            "/apis/networking.istio.io/v1/destinationrules",
        ] {
            let end = std::time::Instant::now() + SOON;
            let text = loop {
                let text = client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap();
                if text.contains("\"items\":[{") {
                    break text;
                }
                assert!(std::time::Instant::now() < end, "{path} lists nothing: {text}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            };
            searched += self.bytes(path, text.as_bytes());
        }
        searched
    }
}

/// A core file would hold what the process knew.
fn no_core(place: &str, limits: &[u8]) {
    let limits = String::from_utf8_lossy(limits);
    if let Some(line) = limits.lines().find(|line| line.starts_with("Max core file size")) {
        assert_eq!(line.split_whitespace().nth(4), Some("0"), "{place}: {line}");
    }
}

fn children(parent: &str) -> Vec<String> {
    let names = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let of_parent = |id: &String| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().any(|line| line.split_whitespace().eq(["PPid:", parent]))
    };
    names.filter(of_parent).collect()
}
