//! Deflate as tidegate uses it: for the journal in its annotation, and for objects that nobody works with.

use std::{cell::RefCell, io};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// For what is packed at each change of an object: a thirtieth larger, and in a third of the time.
const QUICK: u32 = 2;

thread_local! {
    /// Kept, for it is 300 KiB: taken and given back for each text, it would leave holes of that size between small
    /// lasting pieces, and the process would grow by one for each plan.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    static COMPRESS_QUICKLY: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(QUICK), false));
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// The bytes in less space, without a header.
///
/// # Errors
/// Where the compressor is broken; no input makes it err.
pub fn deflate(plain: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESS.with_borrow_mut(|compress| deflate_with(compress, plain))
}

/// [`deflate`] in less time, to a little more space.
///
/// # Errors
/// As [`deflate`].
pub fn deflate_quickly(plain: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESS_QUICKLY.with_borrow_mut(|compress| deflate_with(compress, plain))
}

fn deflate_with(compress: &mut Compress, plain: &[u8]) -> io::Result<Vec<u8>> {
    compress.reset();
    let mut bytes = Vec::with_capacity(plain.len() / 2 + 64);
    loop {
        let read = usize::try_from(compress.total_in()).map_err(io::Error::other)?;
        let rest = plain.get(read..).unwrap_or_default();
        match compress.compress_vec(rest, &mut bytes, FlushCompress::Finish)? {
            Status::StreamEnd => return Ok(bytes),
            Status::Ok | Status::BufError => bytes.reserve(bytes.capacity()),
        }
    }
}

/// The bytes as they were.
///
/// # Errors
/// Where they are no deflated bytes, or would be more than `bytes_max`.
pub fn inflate(deflated: &[u8], bytes_max: usize) -> io::Result<Vec<u8>> {
    let too_many = || io::Error::other(format!("it unpacks to more than {bytes_max} bytes"));
    DECOMPRESS.with_borrow_mut(|decompress| {
        decompress.reset(false);
        let mut plain = Vec::with_capacity(deflated.len().saturating_mul(4).min(bytes_max));
        loop {
            let read = usize::try_from(decompress.total_in()).map_err(io::Error::other)?;
            let rest = deflated.get(read..).unwrap_or_default();
            let status = decompress.decompress_vec(rest, &mut plain, FlushDecompress::Finish)?;
            match status {
                _ if plain.len() > bytes_max => return Err(too_many()),
                Status::StreamEnd => return Ok(plain),
                Status::Ok | Status::BufError if plain.len() < plain.capacity() => {
                    return Err(io::Error::other("it ends too early"));
                }
                Status::Ok | Status::BufError => plain.reserve(plain.capacity().max(64)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deflated_is_inflated_and_nothing_else_nor_more_than_allowed() {
        let plain: Vec<u8> = (0..50_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for deflated in [deflate(&plain).unwrap(), deflate_quickly(&plain).unwrap()] {
            assert_eq!(inflate(&deflated, plain.len()).unwrap(), plain);
            assert!(inflate(&deflated, plain.len() - 1).unwrap_err().to_string().contains("more than"));
            assert!(inflate(&deflated[..deflated.len() / 2], plain.len()).is_err());
        }
        assert_eq!(inflate(&deflate(b"").unwrap(), 0).unwrap(), b"");
        assert!(inflate(b"\xff\xff\xff", 100).is_err());
        assert!(inflate(b"", 100).is_err());
    }
}
