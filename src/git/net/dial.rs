//! Connects to a server: plain or over TLS, directly or through a proxy.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::wire::{Basic, Proxy};
use super::{Fault, tls};
use crate::git::{Place, Scheme};

/// How long one address is tried.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long a connection may be silent.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The most bytes of a status line with its headers.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// A connection that is read through a buffer.
pub(super) type Wire = BufReader<Stream>;

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Below whatever protects it.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Connects to a place, with TLS where its scheme says so.
pub(super) fn dial(place: &Place, proxy: Option<&Proxy>, tls: Option<&Arc<ClientConfig>>) -> Result<Wire, Fault> {
    let socket = match proxy {
        None => connect(&place.host, place.port)?,
        Some(proxy) => {
            let socket = connect(&proxy.host, proxy.port).map_err(|fault| match fault {
                Fault::Unreachable { why } => Fault::Proxy { why },
                other => other,
            })?;
            if place.scheme == Scheme::Https { tunnel(socket, place, proxy)? } else { socket }
        }
    };
    let stream = match tls.filter(|_| place.scheme == Scheme::Https) {
        None => Stream::Plain(socket),
        Some(config) => Stream::Tls(Box::new(secure(socket, place, config)?)),
    };
    Ok(BufReader::new(stream))
}

fn connect(host: &str, port: u16) -> Result<TcpStream, Fault> {
    let unreachable = |error: io::Error| Fault::Unreachable { why: error.to_string() };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs().map_err(unreachable)? {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(socket) => {
                socket.set_read_timeout(Some(SILENCE_MAX)).map_err(unreachable)?;
                socket.set_write_timeout(Some(SILENCE_MAX)).map_err(unreachable)?;
                socket.set_nodelay(true).map_err(unreachable)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
}

/// Asks a proxy to pass everything on unread.
fn tunnel(socket: TcpStream, place: &Place, proxy: &Proxy) -> Result<TcpStream, Fault> {
    let broken = |error: io::Error| Fault::Proxy { why: error.to_string() };
    // With the port, even if it is the scheme's own.
    let host = if place.host.contains(':') { format!("[{}]", place.host) } else { place.host.clone() };
    let authority = format!("{host}:{}", place.port);
    let auth = proxy.basic.as_ref().map(|basic| format!("Proxy-Authorization: {}\r\n", authorization(basic)));
    let auth = auth.unwrap_or_default();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{auth}\r\n");
    (&socket).write_all(request.as_bytes()).map_err(broken)?;
    // Not one byte more than the answer may be read: what follows is TLS. A proxy says little.
    let mut wire = BufReader::with_capacity(1, &socket);
    let head = head(&mut wire).map_err(broken)?;
    match head.status {
        200..300 => Ok(socket),
        407 => Err(Fault::Proxy { why: "it asks for other credentials".to_owned() }),
        status => Err(Fault::Proxy { why: format!("it answers HTTP {status}") }),
    }
}

fn secure(
    mut socket: TcpStream,
    place: &Place,
    config: &Arc<ClientConfig>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Fault> {
    let unreachable = |why: String| Fault::Unreachable { why };
    let name = ServerName::try_from(place.host.clone()).map_err(|error| unreachable(error.to_string()))?;
    let mut connection =
        ClientConnection::new(config.clone(), name).map_err(|error| Fault::Tls { why: error.to_string() })?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| fault(&error))?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// What an error of a connection means.
pub(super) fn fault(error: &io::Error) -> Fault {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls::fault(error);
    }
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::Timeout { limit_s: SILENCE_MAX.as_secs() },
        io::ErrorKind::InvalidData => Fault::Server { what: "no HTTP".to_owned(), words: error.to_string() },
        io::ErrorKind::UnexpectedEof => Fault::Unreachable { why: "the connection ended too soon".to_owned() },
        _ => Fault::Unreachable { why: error.to_string() },
    }
}

/// The value of a header that says who asks.
pub(super) fn authorization(basic: &Basic) -> String {
    let pair = format!("{}:{}", basic.user, basic.password);
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// What stands before a body.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Whether the answer was in HTTP/1.0, where connections end by default.
    pub(super) old: bool,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, named in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a status line and headers; an empty connection is `UnexpectedEof`.
pub(super) fn head(from: &mut impl BufRead) -> io::Result<Head> {
    let mut from = from.take(HEAD_BYTES_MAX);
    let odd = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut line = move || -> io::Result<String> {
        let mut bytes = Vec::new();
        from.read_until(b'\n', &mut bytes)?;
        match bytes.pop() {
            Some(b'\n') => {}
            _ if from.limit() == 0 => return Err(odd("its headers are too long")),
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    let status = line()?;
    let mut words = status.split(' ');
    let version = words.next().filter(|version| matches!(*version, "HTTP/1.0" | "HTTP/1.1"));
    let number = words.next().and_then(|number| number.parse().ok());
    let (Some(version), Some(status)) = (version, number) else { return Err(odd("its status line is none")) };
    let mut head = Head { status, old: version == "HTTP/1.0", headers: Vec::new() };
    loop {
        let line = line()?;
        if line.is_empty() {
            return Ok(head);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| odd("a header has no colon"))?;
        head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<Head> {
        head(&mut text.as_bytes())
    }

    #[test]
    fn a_head_is_read_within_limits() {
        let head = read("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX: 1:2\r\n\r\nbody").unwrap();
        assert_eq!((head.status, head.old), (200, false));
        assert_eq!((head.get("content-type"), head.get("x"), head.get("y")), (Some("a/b"), Some("1:2"), None));
        assert!(read("HTTP/1.0 404\n\n").unwrap().old);
        for odd in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 ok\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"] {
            assert_eq!(read(odd).unwrap_err().kind(), io::ErrorKind::InvalidData, "{odd}");
        }
        for cut in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b"] {
            assert_eq!(read(cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(20_000));
        assert_eq!(read(&endless).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
