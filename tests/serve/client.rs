//! An HTTP client that sends what it is told, byte by byte if need be.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const DEADLINE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Reads an answer to its end; none where the connection was closed without one.
    pub fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { code, head: head.to_lowercase(), body: body.to_owned() })
    }
}

/// Sends the bytes on a connection of their own and reads until the other side closes it.
pub async fn raw(address: &str, bytes: &[u8]) -> Option<Answer> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Who refuses early closes before everything was sent.
        let _ = stream.write_all(bytes).await;
        rest(stream).await
    };
    tokio::time::timeout(DEADLINE, talk).await.unwrap_or_else(|_| panic!("no answer in {DEADLINE:?}"))
}

/// What is left to read on a connection.
pub async fn rest(mut stream: TcpStream) -> Option<Answer> {
    let mut text = Vec::new();
    // A torn connection may still have brought an answer.
    let _ = stream.read_to_end(&mut text).await;
    Answer::read(&String::from_utf8_lossy(&text))
}

pub async fn get(address: &str, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
    raw(address, request.as_bytes()).await.unwrap()
}

pub async fn post(address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let length = body.len();
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    raw(address, &[head.as_bytes(), b"\r\n", body].concat()).await.unwrap()
}
