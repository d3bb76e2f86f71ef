//! Opens a port-forward at the API server and turns it into a stream of bytes.
//!
//! In the protocol `v4.channel.k8s.io` each message begins with the number of its channel: 0 are the port's bytes, 1 is what
//! the node says where it cannot connect. The first message of each channel is the port.

use std::io;

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use kube::{Client, client::Body};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    pods::PodName,
    websocket::{self, Key, Kind},
};
use crate::cluster::NO_RIGHT;

const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const FAILURE: u8 = 1;
/// How much of a port's bytes is on its way at most.
const BUFFER: usize = 64 << 10;
/// How much of an API server's refusal is read.
const REFUSAL_MAX: usize = 64 << 10;
/// The most of a node's words that is kept, in bytes.
const WORDS_MAX: usize = 1_000;
const PONGS_MAX: usize = 4;

/// A port of a pod, connected to.
pub(super) struct Tunnel {
    /// Its bytes.
    pub(super) stream: DuplexStream,
    /// What the node says where it cannot connect to the port.
    pub(super) failure: oneshot::Receiver<String>,
    /// Ends the port-forward when dropped.
    pub(super) pump: Pump,
}

/// The task that passes bytes on; dropped, it ends.
pub(super) struct Pump(JoinHandle<()>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks the API server for a port of a pod; has no deadline of its own.
pub(super) async fn open(client: &Client, pod: &PodName, port: u16) -> Result<Tunnel, String> {
    let key = Key::new().map_err(|error| error.to_string())?;
    let PodName { namespace, name, .. } = pod;
    let request = Request::get(format!("/api/v1/namespaces/{namespace}/pods/{name}/portforward?ports={port}"))
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key.text())
        .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let answer = client.send(request).await.map_err(|error| error.to_string())?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(answer, namespace).await);
    }
    if !is_agreed(&answer, &key) {
        return Err(format!("the API server does not speak {PROTOCOL}"));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|error| error.to_string())?;
    let (stream, inner) = duplex(BUFFER);
    let (say, failure) = oneshot::channel();
    let pump = tokio::spawn(async move {
        // Whoever reads the stream sees that it ends.
        let _ = pump(TokioIo::new(upgraded), inner, port, say).await;
    });
    Ok(Tunnel { stream, failure, pump: Pump(pump) })
}

/// Whether the server has switched to what was asked for.
fn is_agreed(answer: &Response<Body>, key: &Key) -> bool {
    let headers = answer.headers();
    headers.get(header::SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| key.is_answered_by(accept.as_bytes()))
        && headers.get(header::SEC_WEBSOCKET_PROTOCOL).is_some_and(|protocol| protocol == PROTOCOL)
}

/// The words of an API server that forwards nothing.
async fn refusal(answer: Response<Body>, namespace: &str) -> String {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), REFUSAL_MAX).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(Refusal { message }) if message.contains(NO_RIGHT) => {
            format!(
                "{message}; grant tidegate's account `get` and `create` on pods/portforward in namespace {namespace}"
            )
        }
        Ok(Refusal { message }) if !message.is_empty() => message,
        Ok(_) | Err(_) => format!("the API server answers {status}"),
    }
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

/// Passes bytes on in both directions until one of the ends is done.
async fn pump(
    node: impl AsyncRead + AsyncWrite,
    inner: DuplexStream,
    port: u16,
    say: oneshot::Sender<String>,
) -> io::Result<()> {
    let (from_node, to_node) = split(node);
    let (from_inner, to_inner) = split(inner);
    let (pong, pongs) = mpsc::channel(PONGS_MAX);
    tokio::select! {
        ended = up(from_inner, to_node, pongs) => ended,
        ended = down(from_node, to_inner, port, pong, say) => ended,
    }
}

async fn up(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut pongs: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut message = vec![DATA; BUFFER + 1];
    loop {
        let room = message.get_mut(1..).unwrap_or_default();
        let frame = tokio::select! {
            read = from.read(room) => match read? {
                0 => break,
                read => websocket::written(Kind::Message, message.get(..=read).unwrap_or_default())?,
            },
            Some(payload) = pongs.recv() => websocket::written(Kind::Pong, &payload)?,
        };
        to.write_all(&frame).await?;
        to.flush().await?;
    }
    to.write_all(&websocket::written(Kind::Close, &[])?).await?;
    to.flush().await
}

async fn down(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    port: u16,
    pong: mpsc::Sender<Vec<u8>>,
    say: oneshot::Sender<String>,
) -> io::Result<()> {
    let mut say = Some(say);
    // The channel of the message that goes on, and which channels have named the port.
    let (mut channel, mut named) = (None, [false; 2]);
    loop {
        let frame = websocket::read(&mut from).await?;
        let mut payload = frame.payload.as_slice();
        match frame.kind {
            Kind::Close => return to.shutdown().await,
            Kind::Pong => continue,
            Kind::Ping => {
                // One answer to many pings will do.
                let _ = pong.try_send(frame.payload);
                continue;
            }
            Kind::Message => channel = None,
            Kind::More => {}
        }
        if channel.is_none() {
            let Some((first, rest)) = payload.split_first() else { continue };
            (channel, payload) = (Some(*first), rest);
        }
        let Some(has_named) = channel.and_then(|channel| named.get_mut(usize::from(channel))) else {
            return Err(io::Error::other("a channel that was not asked for"));
        };
        if payload.is_empty() {
            continue;
        }
        if !*has_named {
            if payload != port.to_le_bytes() {
                return Err(io::Error::other("another port than was asked for"));
            }
            *has_named = true;
            continue;
        }
        match channel {
            Some(FAILURE) => {
                let words = payload.get(..WORDS_MAX).unwrap_or(payload);
                if let Some(say) = say.take() {
                    // Nobody may wait for it.
                    let _ = say.send(String::from_utf8_lossy(words).into_owned());
                }
            }
            Some(_) | None => to.write_all(payload).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        [&[first, u8::try_from(payload.len()).unwrap()], payload].concat()
    }

    /// The end of the node, and what the tunnel makes of it.
    fn tunnel(port: u16) -> (DuplexStream, Tunnel) {
        let (node, at_node) = duplex(1 << 20);
        let (stream, inner) = duplex(BUFFER);
        let (say, failure) = oneshot::channel();
        let pump = tokio::spawn(async move {
            let _ = pump(node, inner, port, say).await;
        });
        (at_node, Tunnel { stream, failure, pump: Pump(pump) })
    }

    #[tokio::test]
    async fn bytes_of_the_port_come_through_in_pieces_and_pings_are_answered() {
        let (mut node, mut tunnel) = tunnel(15_014);
        let port = 15_014_u16.to_le_bytes();
        let sent = [
            frame(0x82, &[&[0], &port[..]].concat()),
            frame(0x82, &[&[1], &port[..]].concat()),
            frame(0x02, b"\0ab"),
            frame(0x89, b"ping"),
            frame(0x00, b"cd"),
            frame(0x80, b""),
            frame(0x82, b"\0ef"),
            frame(0x88, b""),
        ];
        node.write_all(&sent.concat()).await.unwrap();
        let mut read = String::new();
        tunnel.stream.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "abcdef");
        assert!(tunnel.failure.try_recv().is_err(), "nothing failed");
    }

    #[tokio::test]
    async fn what_is_written_goes_to_the_port_and_a_ping_is_answered() {
        let (mut node, mut tunnel) = tunnel(80);
        node.write_all(&frame(0x89, b"?")).await.unwrap();
        let mut head = [0; 7];
        node.read_exact(&mut head).await.unwrap();
        assert_eq!((head[0], head[1], head[6] ^ head[2]), (0x8A, 0x81, b'?'));
        tunnel.stream.write_all(b"GET").await.unwrap();
        let mut head = [0; 10];
        node.read_exact(&mut head).await.unwrap();
        let text: Vec<u8> = head[6..].iter().zip(head[2..6].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!((head[0], head[1], text.as_slice()), (0x82, 0x84, &b"\0GET"[..]));
    }

    #[tokio::test]
    async fn the_words_of_the_node_are_told_and_another_port_ends_it() {
        let (mut node, tunnel) = tunnel(80);
        let sent = [frame(0x82, &[1, 80, 0]), frame(0x82, b"\x01connection refused")];
        node.write_all(&sent.concat()).await.unwrap();
        assert_eq!(tunnel.failure.await.unwrap(), "connection refused");
        let (mut node, mut tunnel) = self::tunnel(80);
        node.write_all(&frame(0x82, &[0, 81, 0])).await.unwrap();
        let mut read = Vec::new();
        assert_eq!(tunnel.stream.read_to_end(&mut read).await.unwrap(), 0);
    }
}
