//! The little of WebSocket (RFC 6455) that a client of port-forwards needs: the handshake's key, and frames.

use std::io::{self, ErrorKind};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a server appends to the key before it hashes it.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The longest frame that is taken. Kubelets send 32 KiB.
const FRAME_MAX: u64 = 1 << 20;
/// The payload of a control frame is not longer.
const CONTROL_MAX: u64 = 125;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// What a client says to prove that the other end speaks WebSocket.
pub(super) struct Key(String);

impl Key {
    /// A new one.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(BASE64_STANDARD.encode(random::<16>()?)))
    }

    /// As the request has it.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether this is what a server answers to it.
    pub(super) fn is_answered_by(&self, accept: &[u8]) -> bool {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{}{GUID}", self.0).as_bytes());
        BASE64_STANDARD.encode(hash).as_bytes() == accept
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// More of the message before.
    More,
    /// The beginning of a message.
    Message,
    Close,
    Ping,
    Pong,
}

/// One frame as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
}

/// The bytes of a whole message or control frame of a client.
pub(super) fn written(kind: Kind, payload: &[u8]) -> io::Result<Vec<u8>> {
    let opcode = match kind {
        Kind::More => 0x0,
        Kind::Message => 0x2,
        Kind::Close => 0x8,
        Kind::Ping => 0x9,
        Kind::Pong => 0xA,
    };
    let mut bytes = vec![FINAL | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => bytes.push(MASKED | length),
        (_, Ok(length)) => {
            bytes.push(MASKED | 126);
            bytes.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            bytes.push(MASKED | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    let mask = random::<4>()?;
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    Ok(bytes)
}

/// The next frame of a server.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let broken = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let [first, second] = array(from).await?;
    let kind = match first & 0x0F {
        0x0 => Kind::More,
        0x1 | 0x2 => Kind::Message,
        0x8 => Kind::Close,
        0x9 => Kind::Ping,
        0xA => Kind::Pong,
        _ => return Err(broken("a frame of an unknown kind")),
    };
    if second & MASKED != 0 || first & 0x70 != 0 {
        return Err(broken("a frame that no server sends"));
    }
    let length = match second {
        126 => u64::from(u16::from_be_bytes(array(from).await?)),
        127 => u64::from_be_bytes(array(from).await?),
        short => u64::from(short),
    };
    let is_control = matches!(kind, Kind::Close | Kind::Ping | Kind::Pong);
    if length > if is_control { CONTROL_MAX } else { FRAME_MAX } {
        return Err(broken("a frame that is too long"));
    }
    let mut payload = Vec::new();
    if from.take(length).read_to_end(&mut payload).await? as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Frame { kind, payload })
}

async fn array<const N: usize>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_standard_says() {
        let key = Key("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        assert!(key.is_answered_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(!Key::new().unwrap().is_answered_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    /// As a server would send it: the same without its mask.
    fn unmasked(mut bytes: Vec<u8>) -> Vec<u8> {
        let at = match bytes[1] & 0x7F {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let mask: Vec<u8> = bytes.drain(at..at + 4).collect();
        bytes[1] &= 0x7F;
        bytes[at..].iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        bytes
    }

    #[tokio::test]
    async fn frames_of_every_length_come_as_they_were_sent() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sent = written(Kind::Message, &payload).unwrap();
            assert!(length < 16 || !sent.windows(16).any(|window| window == &payload[..16]), "it is masked");
            let bytes = unmasked(sent);
            let frame = read(&mut bytes.as_slice()).await.unwrap();
            assert_eq!(frame, Frame { kind: Kind::Message, payload });
            assert!(read(&mut &bytes[..bytes.len() - 1]).await.is_err(), "one byte is missing");
        }
    }

    #[tokio::test]
    async fn what_no_server_may_send_is_refused() {
        let masked = written(Kind::Message, b"ab").unwrap();
        let long_ping = unmasked(written(Kind::Ping, &[0; 126]).unwrap());
        let endless = [0x82, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF].to_vec();
        for bytes in [masked, long_ping, endless, [0x83, 0].to_vec(), [0xC2, 0].to_vec(), Vec::new()] {
            assert!(read(&mut bytes.as_slice()).await.is_err(), "{bytes:?}");
        }
    }
}
