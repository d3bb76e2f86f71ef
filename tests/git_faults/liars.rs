//! Servers that begin as Git servers do and go on otherwise.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::support::certificates::Certificates;

/// What the server does.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    /// Lists references without end.
    EndlessReferences,
    /// Announces more objects than a fetch may bring.
    TooManyObjects,
    /// Sends objects without end, as many as announced.
    EndlessPack,
    /// Sends one object that is small on the wire and larger than any may be.
    HugeObject,
    /// Sends an object that is not what it says.
    Nonsense,
    /// Sends headers without end.
    EndlessHeaders,
}

/// A server that lies; dropped, it takes no more connections.
pub struct Liar {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Liar {
    pub fn start(lie: Lie) -> Self {
        Self::serve(move |socket| {
            // It ends when the client has had enough.
            let _ = answer(socket, lie);
        })
    }

    /// Shakes hands by TLS and never says anything.
    pub fn silent_after_tls(certificates: &Certificates) -> Self {
        let chain = CertificateDer::pem_file_iter(certificates.file("server.pem")).unwrap();
        let chain: Vec<CertificateDer<'static>> = chain.collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(certificates.file("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
        Self::serve(move |mut socket| {
            let mut connection = ServerConnection::new(config.clone()).unwrap();
            while connection.is_handshaking() {
                if connection.complete_io(&mut socket).is_err() {
                    return;
                }
            }
            // Until the client ends the connection.
            let _ = socket.read_to_end(&mut Vec::new());
        })
    }

    fn serve(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), ended: Arc::default() };
        let (ended, answer) = (server.ended.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(socket), answer) = (socket, answer.clone()) else { continue };
                std::thread::spawn(move || answer(socket));
            }
        });
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(socket: TcpStream, lie: Lie) -> std::io::Result<()> {
    let mut out = socket.try_clone()?;
    let mut reader = BufReader::new(socket);
    loop {
        let (mut first, mut size) = (String::new(), 0);
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                size = length.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; size])?;
        if first.starts_with("POST") {
            return pack(&mut out, lie);
        }
        references(&mut out, lie)?;
    }
}

const TIP: &str = "1111111111111111111111111111111111111111";

fn references(out: &mut impl Write, lie: Lie) -> std::io::Result<()> {
    if matches!(lie, Lie::EndlessHeaders) {
        out.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            out.write_all(b"X-More: and more\r\n")?;
        }
    }
    let kind = "Content-Type: application/x-git-upload-pack-advertisement";
    let begin = format!("001e# service=git-upload-pack\n0000{}", line(&format!("{TIP} refs/heads/main\0ofs-delta\n")));
    if matches!(lie, Lie::EndlessReferences) {
        write!(out, "HTTP/1.1 200 OK\r\n{kind}\r\nConnection: close\r\n\r\n{begin}")?;
        for count in 0_u64.. {
            out.write_all(line(&format!("{TIP} refs/heads/another-{count}\n")).as_bytes())?;
        }
    }
    let whole = begin + "0000";
    write!(out, "HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {}\r\n\r\n{whole}", whole.len())
}

/// A line as Git's protocol has it, behind its length.
fn line(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

fn pack(out: &mut impl Write, lie: Lie) -> std::io::Result<()> {
    let kind = "Content-Type: application/x-git-upload-pack-result";
    write!(out, "HTTP/1.1 200 OK\r\n{kind}\r\nConnection: close\r\n\r\n{}", line("NAK\n"))?;
    let count: u32 = match lie {
        Lie::TooManyObjects => 3_000_000,
        Lie::HugeObject | Lie::Nonsense => 1,
        _ => 1_000_000,
    };
    out.write_all(b"PACK\0\0\0\x02")?;
    out.write_all(&count.to_be_bytes())?;
    match lie {
        Lie::HugeObject => {
            static OBJECT: std::sync::LazyLock<Vec<u8>> =
                std::sync::LazyLock::new(|| object(80 << 20, &vec![0; 80 << 20], Compression::fast()));
            out.write_all(&OBJECT)
        }
        Lie::Nonsense => out.write_all(&[0x35; 4096]),
        _ => {
            for number in 0..count {
                let content = number.to_be_bytes().repeat(4096);
                out.write_all(&object(content.len(), &content, Compression::none()))?;
            }
            Ok(())
        }
    }
}

/// A blob of a pack that claims a size.
fn object(size: usize, content: &[u8], how: Compression) -> Vec<u8> {
    let (mut bytes, mut rest) = (vec![(3 << 4) | (size & 15) as u8], size >> 4);
    while rest > 0 {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push((rest & 127) as u8);
        rest >>= 7;
    }
    let mut deflated = ZlibEncoder::new(bytes, how);
    deflated.write_all(content).unwrap();
    deflated.finish().unwrap()
}
