//! The chunked coding (RFC 9112 §7.1), decoded strictly: every line ends in CRLF, a size is 1 to 16 hex digits with
//! nothing but an extension behind it. Extensions and trailers are read over, within bounds.

use gatepass_core::http::problem::Problem;

use super::Limits;

/// The most bytes of all chunk extensions of one body together.
const MAX_EXTENSIONS: usize = 4 * 1024;

/// The most digits of a chunk's size: as many as 64 bits have.
const MAX_DIGITS: u8 = 16;

/// A body that is being decoded.
#[derive(Debug)]
pub(super) struct Chunked {
    body: Vec<u8>,
    at: At,
    extensions: usize,
    trailer_bytes: usize,
    trailers: usize,
}

/// The byte that comes next.
#[derive(Debug)]
enum At {
    /// A digit of the size, or what ends it.
    Size {
        digits: u8,
        size: u64,
    },
    /// Inside an extension.
    Extension {
        size: u64,
    },
    /// The line feed after the size.
    SizeEnd {
        size: u64,
    },
    /// This many bytes of the chunk.
    Chunk {
        left: u64,
    },
    /// The carriage return, then the line feed, after a chunk.
    ChunkReturn,
    ChunkEnd,
    /// The first byte of a trailer line, or the carriage return of the empty line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// The line feed of the empty line.
    Last,
    /// Behind the body.
    Done,
}

const NEXT_SIZE: At = At::Size { digits: 0, size: 0 };

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { body: Vec::new(), at: NEXT_SIZE, extensions: 0, trailer_bytes: 0, trailers: 0 }
    }

    /// Decodes the part of the body in `input`, and returns the number of bytes it took. With [`Self::is_whole`] the
    /// rest belongs to the next request.
    ///
    /// # Errors
    /// 400 for anything malformed, 413 past [`Limits::body`] or too many extensions, 431 for too many trailers.
    pub(super) fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Problem> {
        let mut rest = input;
        while let (false, Some((&byte, tail))) = (self.is_whole(), rest.split_first()) {
            if let At::Chunk { left } = self.at {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (chunk, tail) = rest.split_at_checked(take).unwrap_or((rest, &[]));
                self.body.extend_from_slice(chunk);
                let left = left - take as u64;
                self.at = if left == 0 { At::ChunkReturn } else { At::Chunk { left } };
                rest = tail;
            } else {
                self.at = self.step(byte, limits)?;
                rest = tail;
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Returns the state after `byte`, anywhere but inside a chunk.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<At, Problem> {
        let text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        Ok(match (&self.at, byte) {
            (&At::Size { digits, size }, _) if byte.is_ascii_hexdigit() && digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                At::Size { digits: digits + 1, size: (size << 4) | u64::from(digit) }
            }
            (&At::Size { digits, size }, b'\r') if digits > 0 => At::SizeEnd { size },
            (&At::Size { digits, size }, b';') if digits > 0 => At::Extension { size },
            (&At::Extension { size }, b'\r') => At::SizeEnd { size },
            (&At::Extension { size }, _) if text => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return Err(Problem::ContentTooLarge);
                }
                At::Extension { size }
            }
            (&At::SizeEnd { size: 0 }, b'\n') => At::Trailer,
            (&At::SizeEnd { size }, b'\n') => {
                let free = limits.body.saturating_sub(self.body.len());
                if size > free as u64 {
                    return Err(Problem::ContentTooLarge);
                }
                At::Chunk { left: size }
            }
            (At::ChunkReturn, b'\r') => At::ChunkEnd,
            (At::ChunkEnd, b'\n') => NEXT_SIZE,
            (At::Trailer, b'\r') => At::Last,
            (At::Trailer, _) if is_token(byte) => {
                self.trailers += 1;
                if self.trailers > limits.headers {
                    return Err(Problem::HeadTooLarge);
                }
                self.trailer(limits, At::TrailerName)?
            }
            (At::TrailerName, _) if is_token(byte) => self.trailer(limits, At::TrailerName)?,
            (At::TrailerName, b':') => self.trailer(limits, At::TrailerValue)?,
            (At::TrailerValue, b'\r') => At::TrailerEnd,
            (At::TrailerValue, _) if text => self.trailer(limits, At::TrailerValue)?,
            (At::TrailerEnd, b'\n') => At::Trailer,
            (At::Last, b'\n') => At::Done,
            _ => return Err(Problem::BadHttp),
        })
    }

    /// Counts one byte of trailers.
    fn trailer(&mut self, limits: &Limits, next: At) -> Result<At, Problem> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > limits.head { Err(Problem::HeadTooLarge) } else { Ok(next) }
    }

    /// Returns true if the last byte has been read.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Returns the bytes of memory held.
    pub(super) const fn held(&self) -> usize {
        self.body.capacity()
    }

    /// Returns the decoded body.
    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
