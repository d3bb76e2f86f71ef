//! From a push to a Git server over HTTP and its webhook to the live weight.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Wanted;
use crate::bed::Bed;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::git_http::GitHttp;
use crate::mesh::Mesh;
use crate::process::Setup;

const SIZES: [usize; 3] = [1, 100, 1_000];
const MEDIAN_MS: f64 = 60.0;
const P99_MS: f64 = 200.0;
const SECRET: &str = "a benchmark's webhook secret";

pub async fn measure(wanted: &Wanted, mesh: &Mesh, board: &mut Board) {
    for count in SIZES {
        if !wanted.has(&format!("push-{count}")) {
            continue;
        }
        let mut server = None;
        let mut bed = Bed::reached_by(mesh, &format!("push-{count}"), count, |plans| {
            let started = GitHttp::start(plans.beside());
            let secret = plans.beside().join("webhook-secret");
            std::fs::write(&secret, SECRET).unwrap();
            let more = vec!["--webhook-secret-file".to_owned(), secret.display().to_string()];
            let repo = started.url("plans.git");
            server = Some(started);
            Setup { repo, more, ..Setup::local(plans) }
        })
        .await;
        let mut live = Samples::new(Unit::Milliseconds);
        for turn in 0..wanted.samples(200, 40) {
            let (name, v2) = bed.next_change(turn);
            let commit = bed.plans.prepare(&[bed.file(&name, v2)]);
            bed.plans.publish(commit);
            let begin = Instant::now();
            deliver(&bed.tidegate().address());
            live.push_time(bed.live(begin, name, v2, turn).await);
            // Past the looks that follow a webhook, as a repository that is pushed to now and then sees it.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let what = format!("push over HTTP and webhook to live, {count} plans");
        board.show(&what, &live, &[Bound::Median(MEDIAN_MS), Bound::P99(P99_MS)]);
        bed.end(mesh).await;
    }
}

/// Sends the webhook of a push to the branch, and waits for its answer as a forge does.
fn deliver(address: &str) {
    let body = r#"{"ref": "refs/heads/main"}"#;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = ring::hmac::sign(&key, body.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(
        stream,
        "POST /webhook/generic HTTP/1.1\r\nHost: tidegate\r\nX-Signature: sha256={hex}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}
