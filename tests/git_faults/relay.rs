//! Stands between a client and a server and passes bytes on, until it is told to do something else with them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// It is taken, and nobody reads it.
    Silence,
    /// The server's first bytes come through, then this happens.
    After(usize, Then),
    /// The server's bytes come through up to the end of the SSH key exchange, then this happens.
    AfterSshKeys(Then),
}

/// What happens after the last good byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Silence,
    /// One byte a second.
    Drip,
    Reset,
    Close,
}

struct State {
    target: SocketAddr,
    fault: Fault,
}

/// The relay; dropped, it cuts every connection.
pub struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Relay {
    pub async fn start(target: SocketAddr, fault: Fault) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), target, fault).await
    }

    /// The same at an address that clients know already.
    pub async fn start_at(address: SocketAddr, target: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { target, fault }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let State { target, fault } = *shared.lock().unwrap();
                connections.spawn(async move {
                    // A connection that breaks is what the test is about.
                    let _ = carry(client, target, fault).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, state, task }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL that leads through the relay instead of to `address`.
    pub fn through(&self, url: &str, address: SocketAddr) -> String {
        url.replace(&address.to_string(), &self.address.to_string())
    }

    /// New connections come through.
    pub fn heal(&self) {
        self.state.lock().unwrap().fault = Fault::Nothing;
    }

    /// New connections go elsewhere.
    pub fn turn(&self, target: SocketAddr) {
        self.state.lock().unwrap().target = target;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, target: SocketAddr, fault: Fault) -> std::io::Result<()> {
    if fault == Fault::Silence {
        return std::future::pending().await;
    }
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let forth = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let back = back(from_server, to_client, fault);
    tokio::try_join!(forth, back).map(drop)
}

async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, fault: Fault) -> std::io::Result<()> {
    let mut left = match fault {
        Fault::After(bytes, _) => bytes,
        _ => usize::MAX,
    };
    let mut keys = KeyExchange::default();
    let mut buffer = [0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let bytes = &buffer[..read];
        let good = match fault {
            Fault::AfterSshKeys(_) => keys.take(bytes).unwrap_or(read),
            _ => read.min(left),
        };
        to.write_all(&bytes[..good]).await?;
        left -= good;
        let then = match fault {
            Fault::After(_, then) if left == 0 => then,
            Fault::AfterSshKeys(then) if keys.ended => then,
            _ => continue,
        };
        match then {
            Then::Silence => std::future::pending::<()>().await,
            Then::Close => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            Then::Reset => {
                to.as_ref().set_zero_linger()?;
                return Err(std::io::ErrorKind::ConnectionReset.into());
            }
            Then::Drip => {
                let mut rest = bytes[good..].to_vec();
                loop {
                    for byte in std::mem::take(&mut rest) {
                        to.write_all(&[byte]).await?;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    let read = from.read(&mut buffer).await?;
                    if read == 0 {
                        return Ok(());
                    }
                    rest = buffer[..read].to_vec();
                }
            }
        }
    }
}

/// Finds the end of a server's part of the SSH key exchange, which is not encrypted.
#[derive(Default)]
struct KeyExchange {
    seen: Vec<u8>,
    /// Up to where whole packets were read, the version's line included.
    parsed: usize,
    ended: bool,
}

impl KeyExchange {
    /// Takes what came and returns how many of these bytes belong to the exchange, once it has ended.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        const NEWKEYS: u8 = 21;
        let before = self.seen.len();
        self.seen.extend_from_slice(bytes);
        if self.parsed == 0 {
            self.parsed = self.seen.iter().position(|byte| *byte == b'\n')? + 1;
        }
        while let Some([a, b, c, d, _padding, kind, ..]) = self.seen.get(self.parsed..) {
            let end = self.parsed + 4 + u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            if end > self.seen.len() {
                return None;
            }
            (self.parsed, self.ended) = (end, *kind == NEWKEYS);
            if self.ended {
                return Some(end - before);
            }
        }
        None
    }
}
