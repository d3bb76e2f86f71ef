//! Clients that are too large, too slow or too many, and what they cannot do.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Answer, raw, rest};
use crate::running::{Running, commit};
use crate::shop::Shop;

const MIB: usize = 1 << 20;

async fn open(prefix: &str) -> Running {
    let shop = Shop::open(prefix, &["web"]).await;
    let file = shop.repository.home().join("webhook-secret");
    std::fs::write(&file, "the-secret-of-this-webhook").unwrap();
    commit(&shop, "traffic: {v1: 100}");
    let running = Running::on(shop, &["--webhook-secret-file", file.to_str().unwrap()]).await;
    running.until_ready().await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_not_read() {
    let running = open("large").await;
    let said =
        format!("POST /webhook/github HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", MIB + 1);
    let begun = Instant::now();
    // Not a byte of the body was sent.
    assert_eq!(raw(&running.address, said.as_bytes()).await.unwrap().code, 413);
    assert!(begun.elapsed() < Duration::from_secs(5));
    let mut chunked =
        b"POST /webhook/github HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..MIB / 65_536 + 1 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b'x'; 65_536]);
        chunked.extend_from_slice(b"\r\n");
    }
    // Closed early, the answer may be lost in the reset; it is counted all the same.
    let answer = raw(&running.address, &chunked).await;
    assert!(answer.is_none_or(|answer| answer.code == 413));
    let series = "tidegate_webhook_deliveries_total{provider=\"github\",outcome=\"too_large\"}";
    running.until_metric(series, 2.0).await;
    let exactly = vec![b'x'; MIB];
    assert_eq!(running.post("/webhook/github", &[], &exactly).await.code, 401);
    let many: String = (0..100).map(|number| format!("x-{number}: y\r\n")).collect();
    for head in [format!("x: {}\r\n", "y".repeat(40_000)), many] {
        let answer = raw(&running.address, format!("GET /healthz HTTP/1.1\r\n{head}\r\n").as_bytes()).await;
        assert!(answer.as_ref().is_none_or(|answer| answer.code == 431), "{answer:?}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "y".repeat(40_000));
    let answer = raw(&running.address, long.as_bytes()).await;
    assert!(answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.code)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_slow_is_let_go() {
    let running = open("slow").await;
    let open = async |bytes: &'static [u8]| {
        let mut stream = TcpStream::connect(&running.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        (Instant::now(), stream)
    };
    // A head that never ends, one header at a time; an idle connection; a body that never comes.
    let (begun, mut stream) = open(b"GET /healthz HTTP/1.1\r\n").await;
    let dripped = tokio::spawn(async move {
        while stream.write_all(b"x: y\r\n").await.is_ok() && begun.elapsed() < Duration::from_secs(30) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        begun.elapsed()
    });
    let (idle_since, mut idle) = open(b"").await;
    let (body_since, body) = open(b"POST /webhook/gitea HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nx").await;
    let mut end = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), idle.read_to_end(&mut end)).await;
    assert!(closed.is_ok(), "an idle connection is kept");
    assert!(idle_since.elapsed() < Duration::from_secs(15), "{:?}", idle_since.elapsed());
    let dripped = dripped.await.unwrap();
    assert!(dripped > Duration::from_secs(4) && dripped < Duration::from_secs(15), "{dripped:?}");
    let answer: Option<Answer> = tokio::time::timeout(Duration::from_secs(30), rest(body)).await.unwrap();
    assert!(answer.as_ref().is_some_and(|answer| answer.code == 408), "{answer:?}");
    assert!(body_since.elapsed() > Duration::from_secs(9), "{:?}", body_since.elapsed());
    running.until_metric("tidegate_webhook_deliveries_total{provider=\"gitea\",outcome=\"slow\"}", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_and_garbage_keep_nobody_out_for_long() {
    let mut running = open("crowd").await;
    for garbage in [
        &b"\x00\x01\x02\r\n\r\n"[..],
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /webhook/github HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02",
    ] {
        let mut stream = TcpStream::connect(&running.address).await.unwrap();
        let _ = stream.write_all(garbage).await;
        let answer = tokio::time::timeout(Duration::from_secs(20), rest(stream)).await.unwrap();
        assert!(answer.is_none_or(|answer| (400..500).contains(&answer.code)), "{garbage:?}");
    }
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(TcpStream::connect(&running.address).await.unwrap());
    }
    let begun = Instant::now();
    assert_eq!(running.get("/healthz").await.code, 200);
    println!("behind 400 idle connections a probe took {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop(idle);
    let flood = (0..300).map(|_| running.post("/webhook/generic", &[("X-Signature", "sha256=00")], b"{}"));
    let begun = Instant::now();
    let answers = futures::future::join_all(flood).await;
    println!("300 deliveries with a wrong signature took {:?}", begun.elapsed());
    assert!(answers.iter().all(|answer| answer.code == 401));
    assert!(running.process.runs());
    let series = "tidegate_webhook_deliveries_total{provider=\"generic\",outcome=\"wrong_signature\"}";
    assert_eq!(running.metric(series).await, Some(300.0));
}
