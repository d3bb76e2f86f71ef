//! Reads the body of an HTTP answer and gives the connection back once all of it was read.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use super::dial::{Head, SILENCE_MAX, Wire};

/// How long is waited for an end that nobody has read yet, so that the connection can be used again.
const END_MAX: Duration = Duration::from_millis(50);

/// The most digits of a chunk's size with its extensions.
const SIZE_BYTES_MAX: u64 = 1 << 10;

/// A body on its connection.
pub(super) struct Body {
    wire: Wire,
    left: Left,
    keep: bool,
}

/// What is still to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    Bytes(u64),
    /// So many of the present chunk.
    Chunk(u64),
    /// The next chunk's size; before the first there is no end of another.
    Size {
        first: bool,
    },
    UntilClosed,
    Nothing,
}

impl Body {
    /// The body that a head announces.
    pub(super) fn of(head: &Head, wire: Wire) -> io::Result<Self> {
        let odd = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
        let left = match (head.get("transfer-encoding"), head.get("content-length")) {
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Left::Size { first: true },
            (Some(_), _) => return Err(odd("its transfer coding is not known")),
            (None, Some(size)) => match size.parse() {
                Ok(0) => Left::Nothing,
                Ok(size) => Left::Bytes(size),
                Err(_) => return Err(odd("its content length is none")),
            },
            (None, None) => Left::UntilClosed,
        };
        let connection = head.get("connection").unwrap_or_default().to_ascii_lowercase();
        let keep = !head.old && !connection.contains("close") && left != Left::UntilClosed;
        Ok(Self { wire, left, keep })
    }

    /// The connection, if it can carry another request.
    pub(super) fn finish(mut self) -> Option<Wire> {
        if !self.keep {
            return None;
        }
        if self.left != Left::Nothing {
            // libgit2 stops reading where its own protocol ends; the last chunk is on its way.
            self.wire.get_ref().socket().set_read_timeout(Some(END_MAX)).ok()?;
            if !matches!(self.read(&mut [0; 1]), Ok(0)) {
                return None;
            }
            self.wire.get_ref().socket().set_read_timeout(Some(SILENCE_MAX)).ok()?;
        }
        Some(self.wire)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.wire.by_ref().take(SIZE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        if bytes.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    fn next_chunk(&mut self, first: bool) -> io::Result<Left> {
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "a chunk has no size");
        if !first && !self.line()?.is_empty() {
            return Err(odd());
        }
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| odd())?;
        if size > 0 {
            return Ok(Left::Chunk(size));
        }
        // Headers may follow the last chunk; nobody needs them.
        for _ in 0..100 {
            if self.line()?.is_empty() {
                return Ok(Left::Nothing);
            }
        }
        Err(odd())
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Left::Size { first } = self.left {
            self.left = self.next_chunk(first)?;
        }
        let most = match self.left {
            Left::Nothing | Left::Size { .. } => return Ok(0),
            Left::UntilClosed => buffer.len(),
            Left::Bytes(left) | Left::Chunk(left) => buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
        };
        let read = match self.wire.read(buffer.get_mut(..most).unwrap_or_default()) {
            // Many servers end a TLS connection without a word, where that is what ends the body.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.left == Left::UntilClosed => 0,
            other => other?,
        };
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        self.left = match self.left {
            Left::Bytes(_) | Left::Chunk(_) if read == 0 && most > 0 => return Err(ended()),
            Left::Bytes(left) if left > read as u64 => Left::Bytes(left - read as u64),
            Left::Chunk(left) if left > read as u64 => Left::Chunk(left - read as u64),
            Left::Chunk(_) => Left::Size { first: false },
            Left::UntilClosed if read > 0 => Left::UntilClosed,
            _ => Left::Nothing,
        };
        Ok(read)
    }
}
