//! Checks and repairs the head of a request before the HTTP library reads it.
//!
//! The library rejects some heads without a response, among them request targets that clients do send: RQL is full of
//! `<`, `>` and `"`, and curl, Python and Go do not encode them; Node sends text as Latin-1. So each head is checked
//! here first. If it can be understood in only one way, it is rewritten to conform to RFC 9112; otherwise it is refused
//! with an error message.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Uri};
use tasklane_model::{Error, ErrorKind};

/// The most bytes of a request target: what [`Uri`] can hold.
pub const MAX_TARGET_BYTES: usize = u16::MAX as usize - 1;
/// The most bytes of a whole head.
pub const MAX_HEAD_BYTES: usize = 96 * 1024;
/// The most headers of a request: the HTTP library's limit.
pub const MAX_HEADERS: usize = 100;

/// A head that the HTTP library accepts.
#[derive(Debug, PartialEq)]
pub struct Head {
    /// The whole head, including the empty line.
    pub bytes: Bytes,
    /// What follows the head.
    pub body: Following,
}

/// What comes between a head and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// This many bytes.
    Bytes(u64),
    /// Chunks, and no further request: the connection closes after the response.
    Chunks,
}

/// Finds heads in the bytes received so far.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// There is no empty line before this position.
    searched: usize,
}

impl HeadReader {
    /// Takes a complete head from the beginning of `input`. `None` if more bytes are needed.
    pub fn take(&mut self, input: &mut BytesMut) -> Result<Option<Head>, Error> {
        let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blank > 0 {
            // Some clients send an extra line break after a body (RFC 9112 §2.2).
            input.advance(blank);
            self.searched = 0;
        }
        let Some(end) = end_of_head(input, self.searched) else {
            self.searched = input.len().saturating_sub(2);
            return still_fits(input).map(|()| None);
        };
        self.searched = 0;
        let bytes = input.split_to(end).freeze();
        read(bytes).map(Some)
    }
}

/// The end of the empty line that ends the head, searching from `from`.
fn end_of_head(input: &[u8], from: usize) -> Option<usize> {
    let breaks = input.iter().enumerate().skip(from).filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    for at in breaks {
        match &input[at + 1..] {
            [b'\n', ..] => return Some(at + 2),
            [b'\r', b'\n', ..] => return Some(at + 3),
            _ => {}
        }
    }
    None
}

/// Refuses input that can no longer become a valid head.
fn still_fits(input: &[u8]) -> Result<(), Error> {
    if input.first().is_some_and(|byte| !is_token(*byte)) {
        return Err(not_http());
    }
    let line = input.iter().position(|byte| *byte == b'\n');
    // Room for a method and a version besides the target.
    if line.is_none() && input.len() > MAX_TARGET_BYTES + 64 {
        return Err(target_too_long());
    }
    if input.len() > MAX_HEAD_BYTES { Err(head_too_large()) } else { Ok(()) }
}

fn read(bytes: Bytes) -> Result<Head, Error> {
    let line_end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let line = bytes[..line_end].strip_suffix(b"\r").unwrap_or(&bytes[..line_end]);
    let first_blank = line.iter().position(|byte| *byte == b' ').ok_or_else(not_http)?;
    let last_blank =
        line.iter().rposition(|byte| *byte == b' ').filter(|last| *last > first_blank).ok_or_else(not_http)?;
    let (method, written, version) =
        (&line[..first_blank], &line[first_blank + 1..last_blank], &line[last_blank + 1..]);
    let is_1_1 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return Err(not_http()),
    };
    Method::from_bytes(method).map_err(|_| not_http())?;
    let target = fit_target(written)?;
    let headers = &bytes[line_end..];
    let whole = match &target {
        Cow::Borrowed(_) => bytes.clone(),
        Cow::Owned(target) => {
            let line = [method, b" ", target, b" ", version, b"\r"].concat();
            Bytes::from([&line, headers].concat())
        }
    };
    if whole.len() > MAX_HEAD_BYTES {
        return Err(head_too_large());
    }
    let body = following(&whole, is_1_1)?;
    Ok(Head { bytes: whole, body })
}

/// Makes a request target a valid URL: percent-encodes bytes that no URL may contain, and leaves everything else as it
/// is.
fn fit_target(written: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if written.iter().any(|byte| byte.is_ascii_control()) {
        return Err(bad("The request's target contains control characters; percent-encode them."));
    }
    let query = written.iter().position(|byte| *byte == b'?').unwrap_or(written.len());
    let is_fit = |at: usize, byte: u8| match byte {
        b' ' | b'<' | b'>' | b'#' => false,
        b'"' => at < query,
        b'`' => at > query,
        _ => byte.is_ascii(),
    };
    let fits = written.iter().enumerate().all(|(at, byte)| is_fit(at, *byte));
    let target = if fits { Cow::Borrowed(written) } else { Cow::Owned(encode(written, &is_fit)) };
    if target.len() > MAX_TARGET_BYTES {
        return Err(target_too_long());
    }
    match Uri::try_from(target.as_ref()) {
        Ok(_) => Ok(target),
        Err(error) => Err(bad(format!("The request's target is not a valid URL: {error}."))),
    }
}

fn encode(written: &[u8], is_fit: &impl Fn(usize, u8) -> bool) -> Vec<u8> {
    let is_utf_8 = std::str::from_utf8(written).is_ok();
    let mut encoded = Vec::with_capacity(written.len() + 16);
    for (at, byte) in written.iter().enumerate() {
        let mut utf_8 = [0; 2];
        match byte {
            _ if is_fit(at, *byte) => encoded.push(*byte),
            // Bytes that are not UTF-8 are Latin-1, whose characters are the first ones in Unicode.
            0x80.. if !is_utf_8 => {
                let character = char::from(*byte).encode_utf8(&mut utf_8);
                character.bytes().for_each(|byte| push_escape(&mut encoded, byte));
            }
            _ => push_escape(&mut encoded, *byte),
        }
    }
    encoded
}

fn push_escape(encoded: &mut Vec<u8>, byte: u8) {
    encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
}

/// Determines the body from the headers. Ambiguous headers are refused: every server on the way must agree on where a
/// request ends.
fn following(head: &[u8], is_1_1: bool) -> Result<Following, Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(head_too_large()),
        Ok(_) => return Err(not_http()),
        Err(error) => return Err(bad(format!("The request's headers cannot be read: {error}."))),
    }
    let all = |name: &str| {
        let named = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.trim_ascii()).collect::<Vec<_>>()
    };
    match all("host").len() {
        1 => {}
        0 if !is_1_1 => {}
        0 => return Err(bad("The request has no Host header.")),
        _ => return Err(bad("The request has more than one Host header.")),
    }
    let (codings, lengths) = (all("transfer-encoding"), all("content-length"));
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Following::Bytes(0)),
        ([], [length]) => length_of(length).map(Following::Bytes),
        ([], _) => Err(bad("The request has more than one Content-Length header.")),
        ([coding], _) if is_1_1 && coding.eq_ignore_ascii_case(b"chunked") => Ok(Following::Chunks),
        _ => Err(bad("Unsupported Transfer-Encoding: send the body with Content-Length, or chunked.")),
    }
}

fn length_of(digits: &[u8]) -> Result<u64, Error> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(bad("The request's Content-Length is not a number."));
    }
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok());
    length
        .and_then(|length| u64::try_from(length).ok())
        .ok_or_else(|| Error::new(ErrorKind::PayloadTooLarge, "The request's body is too large."))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}

fn not_http() -> Error {
    bad("This is not an HTTP/1.1 request. The server speaks HTTP/1.1 without TLS.")
}

fn target_too_long() -> Error {
    let message = format!("The request's target is longer than {MAX_TARGET_BYTES} bytes.");
    Error::new(ErrorKind::UriTooLong, message)
}

fn head_too_large() -> Error {
    let message =
        format!("The request has more than {MAX_HEADERS} headers, or they are longer than {MAX_HEAD_BYTES} bytes.");
    Error::new(ErrorKind::HeadersTooLarge, message)
}

#[cfg(test)]
mod tests;
