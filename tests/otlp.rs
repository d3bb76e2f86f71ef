//! Spans reach a collector, and one that is no good holds nothing up: `cargo test --features otlp --test otlp`.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "cli/bed.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod bed;
#[path = "support/process.rs"]
mod process;
#[path = "support/repository.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod repository;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bed::{Bed, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

/// Everything that was sent, as it came.
type Received = Arc<Mutex<Vec<u8>>>;

/// A collector at a free port; one that does not answer takes what comes and is silent.
async fn collector(answers: bool) -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let received = Received::default();
    let kept = received.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, kept.clone(), answers));
        }
    });
    (endpoint, received)
}

async fn take(mut stream: TcpStream, received: Received, answers: bool) {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut part).await {
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if bytes.len() < head.len() + 4 + length.unwrap_or(0) || !answers {
            continue;
        }
        received.lock().unwrap().append(&mut bytes);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    }
}

fn start(bed: &Bed, endpoint: &str) -> Child {
    let mut command = process::command(bed.repository.home(), &bed.run_arguments(&[]));
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let log = std::fs::File::create(bed.repository.home().join("log")).unwrap();
    command.stderr(log).spawn().unwrap()
}

async fn end(mut child: Child) -> Duration {
    let begun = Instant::now();
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_writes_and_the_way_from_commit_to_traffic_are_spans() {
    let bed = Bed::open().await;
    let (endpoint, received) = collector(true).await;
    bed.plan("web", "traffic: {v1: 100}");
    let child = start(&bed, &endpoint);
    bed.until_settled("web", "v1=100").await;
    let commit = bed.plan("web", "traffic: {v2: 100}");
    bed.until_settled("web", "v2=100").await;
    let has = |word: &str| {
        let received = received.lock().unwrap();
        received.windows(word.len()).any(|window| window == word.as_bytes())
    };
    for word in ["POST /v1/traces HTTP/1.1\r\n", "tidegate", "look", "write", "commit_to_live", "shop/web", &commit] {
        eventually(&format!("{word:?} is exported"), || has(word)).await;
    }
    end(child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_silent_or_away_holds_nothing_up() {
    let (silent, _) = collector(false).await;
    for endpoint in [silent.as_str(), "http://127.0.0.1:1"] {
        let bed = Bed::open().await;
        bed.plan("web", "traffic: {v1: 100}");
        let child = start(&bed, endpoint);
        bed.until_settled("web", "v1=100").await;
        bed.plan("web", "traffic: {v2: 100}");
        bed.until_settled("web", "v2=100").await;
        let took = end(child).await;
        assert!(took < Duration::from_secs(8), "{endpoint}: {took:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_used_is_said_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let repository = home.path().display().to_string();
    let mut command = process::command(home.path(), &["run", "--repo", repository.as_str()]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318");
    let answer = process::answer(command).await;
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && answer.stderr.contains("hint: "), "{answer:?}");
}
