//! Deflate as tidegate uses it: for the journal in its annotation, and for objects that nobody works with.

use std::{
    cell::RefCell,
    io::{self, Read},
};

use flate2::{Compress, Compression, FlushCompress, Status, read::DeflateDecoder};

thread_local! {
    /// Kept, for it is 300 KiB: taken and given back for each text, it would leave holes of that size between small
    /// lasting pieces, and the process would grow by one for each plan.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
}

/// The bytes in less space, without a header.
///
/// # Errors
/// Where the compressor is broken; no input makes it err.
pub fn deflate(plain: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESS.with_borrow_mut(|compress| {
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
    })
}

/// The bytes as they were.
///
/// # Errors
/// Where they are no deflated bytes, or would be more than `bytes_max`.
pub fn inflate(deflated: &[u8], bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let read = DeflateDecoder::new(deflated).take(bytes_max + 1).read_to_end(&mut plain)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > bytes_max {
        return Err(io::Error::other(format!("it unpacks to more than {bytes_max} bytes")));
    }
    Ok(plain)
}
