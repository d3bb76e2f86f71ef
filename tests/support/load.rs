//! Sends requests over connections that stay open, at a rate or as fast as they are answered, and counts what came of
//! each of them: the version that answered, another status, or a connection that tore.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test bed that fails is a failed test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// No request of a test takes longer, one that a fault delays included.
const DEADLINE: Duration = Duration::from_secs(20);

/// An answer that took longer was delayed on purpose, or the machine is much too slow.
pub const LATE: Duration = Duration::from_millis(1_900);

const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where requests go, and what they say.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address of the proxy.
    pub address: SocketAddr,
    request: Vec<u8>,
}

impl Target {
    /// Requests for a path of a host.
    pub fn new(address: SocketAddr, host: &str, path: &str) -> Self {
        Self::with(address, host, path, &[])
    }

    /// The same with more headers.
    pub fn with(address: SocketAddr, host: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").into_bytes();
        Self { address, request }
    }
}

/// What came of requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers by status and body; the body of a workload's answer is its version.
    pub answers: BTreeMap<(u16, String), usize>,
    /// Answers that took longer than [`LATE`].
    pub late: usize,
    /// Requests without an answer, by why.
    pub torn: BTreeMap<String, usize>,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Tally {
    /// All requests.
    pub fn requests(&self) -> usize {
        self.answers.values().sum::<usize>() + self.torn.values().sum::<usize>()
    }

    /// Answers 200 of a version.
    pub fn of(&self, version: &str) -> usize {
        self.answers.get(&(200, version.to_owned())).copied().unwrap_or(0)
    }

    /// Answers of a status.
    pub fn status(&self, status: u16) -> usize {
        self.answers.iter().filter(|((known, _), _)| *known == status).map(|(_, count)| count).sum()
    }

    /// Requests that were not answered with 200.
    pub fn failures(&self) -> usize {
        self.requests() - self.status(200)
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests() as f64 / self.took.as_secs_f64()
    }

    fn add(&mut self, came: Result<(u16, String), String>, took: Duration) {
        self.late += usize::from(took > LATE);
        match came {
            Ok(answer) => *self.answers.entry(answer).or_default() += 1,
            Err(why) => *self.torn.entry(why).or_default() += 1,
        }
    }
}

/// Sends this many requests as fast as they are answered, over so many connections, to all targets in turn.
pub async fn burst(targets: &[Target], requests: usize, connections: usize) -> Tally {
    let left = Arc::new(AtomicUsize::new(requests));
    let load = Load::begin(targets, connections, None, move || {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    });
    load.ended().await
}

/// Requests at a rate until they are stopped.
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    begun: Instant,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Sends so many requests a second over so many connections, each of which keeps to one of the targets.
    pub fn start(targets: &[Target], rate: u32, connections: usize) -> Self {
        let every = Duration::from_secs(1) * u32::try_from(connections).unwrap() / rate;
        Self::begin(targets, connections, Some(every), || true)
    }

    /// What came of the requests so far.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.lock().unwrap().clone();
        tally.took = self.begun.elapsed();
        tally
    }

    /// Sends what it is about to send, and tells what came of all of it.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.ended().await
    }

    fn begin(
        targets: &[Target],
        connections: usize,
        every: Option<Duration>,
        more: impl Fn() -> bool + Clone + Send + 'static,
    ) -> Self {
        let mut load = Self { tally: Arc::default(), begun: Instant::now(), stop: Arc::default(), tasks: Vec::new() };
        for (place, target) in targets.iter().cycle().take(connections).cloned().enumerate() {
            let (tally, stop, more) = (Arc::clone(&load.tally), Arc::clone(&load.stop), more.clone());
            // Connections take turns within the interval of one.
            let place = u32::try_from(place).unwrap();
            let offset = every.unwrap_or_default() * place / u32::try_from(connections).unwrap();
            let mut due = load.begun + offset;
            load.tasks.push(tokio::spawn(async move {
                let mut connection = None;
                loop {
                    if let Some(every) = every {
                        tokio::time::sleep_until(due.into()).await;
                        due += every;
                    }
                    if stop.load(Ordering::Relaxed) || !more() {
                        return;
                    }
                    let asked = Instant::now();
                    let came = tokio::time::timeout(DEADLINE, ask(&mut connection, &target)).await;
                    let came = came.unwrap_or_else(|_| {
                        connection = None;
                        Err(format!("no answer in {DEADLINE:?}"))
                    });
                    tally.lock().unwrap().add(came, asked.elapsed());
                }
            }));
        }
        load
    }

    async fn ended(mut self) -> Tally {
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        self.tally()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(|task| task.abort());
    }
}

/// One request over the connection that is open, or over a new one; returns status and body.
async fn ask(connection: &mut Option<TcpStream>, target: &Target) -> Result<(u16, String), String> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(target.address).await.map_err(|error| format!("connect: {error}"))?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            stream
        }
    };
    stream.write_all(&target.request).await.map_err(|error| format!("write: {error}"))?;
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part).await.map_err(|error| format!("read: {error}"))?;
        if read == 0 || answer.len() > ANSWER_BYTES_MAX {
            return Err(format!("closed after {} bytes of an answer", answer.len()));
        }
        answer.extend_from_slice(part.get(..read).unwrap_or_default());
        if let Some(whole) = parse(&answer) {
            if !whole.closes {
                *connection = Some(stream);
            }
            return Ok((whole.status, whole.body));
        }
    }
}

struct Whole {
    status: u16,
    body: String,
    closes: bool,
}

/// The answer, once it is all there; its length is always said.
fn parse(answer: &[u8]) -> Option<Whole> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = answer.split_at(end);
    let (head, body) = (String::from_utf8_lossy(head), rest.get(4..)?);
    let header = |wanted: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let body = String::from_utf8_lossy(body.get(..length)?).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Some(Whole { status, body, closes: header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) })
}
