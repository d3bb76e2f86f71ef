//! Passes connections on to a port of loopback, counts what it passes, can be cut, and can hold back what is answered.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(clippy::unwrap_used, reason = "a test bed that fails is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// The relay; it must be made inside a runtime, and ends when dropped.
pub struct Relay {
    port: u16,
    bytes: Arc<AtomicU64>,
    connections: Arc<()>,
    open: watch::Sender<bool>,
    late_ms: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Passes on to this port of 127.0.0.1.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (open, is_open) = watch::channel(true);
        let bytes = Arc::<AtomicU64>::default();
        let connections = Arc::new(());
        let late_ms = Arc::<AtomicU64>::default();
        let late = Arc::clone(&late_ms);
        let (counted, held) = (Arc::clone(&bytes), Arc::downgrade(&connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (is_open, counted, held) = (is_open.clone(), Arc::clone(&counted), held.upgrade());
                let late = Arc::clone(&late);
                tokio::spawn(async move {
                    pass(stream, port, is_open, counted, late).await;
                    drop(held);
                });
            }
        });
        Self { port: own, bytes, connections, open, late_ms, task }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes it has passed so far, of both directions.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many connections it has now.
    pub fn connections(&self) -> usize {
        Arc::strong_count(&self.connections) - 1
    }

    /// Ends all connections, and takes no new ones until it is mended.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets whatever is answered arrive so much later.
    pub fn delay(&self, late: Duration) {
        self.late_ms.store(late.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn pass(
    stream: TcpStream,
    port: u16,
    mut open: watch::Receiver<bool>,
    bytes: Arc<AtomicU64>,
    late_ms: Arc<AtomicU64>,
) {
    if !*open.borrow_and_update() {
        return;
    }
    let Ok(to) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((from_read, from_write), (to_read, to_write)) = (stream.into_split(), to.into_split());
    let at_once = AtomicU64::new(0);
    tokio::select! {
        () = copy(from_read, to_write, &bytes, &at_once) => {}
        () = copy(to_read, from_write, &bytes, &late_ms) => {}
        // Cut, or dropped.
        _ = open.changed() => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    bytes: &AtomicU64,
    late_ms: &AtomicU64,
) {
    let (line, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(1_024);
    let reads = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read) = from.read(&mut buffer).await {
            bytes.fetch_add(read as u64, Ordering::Relaxed);
            let due = Instant::now() + Duration::from_millis(late_ms.load(Ordering::Relaxed));
            if read == 0 || line.send((due, buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writes = async move {
        while let Some((due, piece)) = waiting.recv().await {
            tokio::time::sleep_until(due.into()).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reads, writes);
}
