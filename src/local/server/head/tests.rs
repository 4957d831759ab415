use proptest::prelude::*;

use super::*;

fn take(input: impl AsRef<[u8]>) -> Result<Option<Head>, Error> {
    HeadReader::default().take(&mut BytesMut::from(input.as_ref()))
}

fn target(written: &[u8]) -> String {
    let head = take([b"GET ", written, b" HTTP/1.1\r\nhost: x\r\n\r\n"].concat());
    let head = head.unwrap_or_else(|error| panic!("{written:?}: {error}")).unwrap();
    let line = head.bytes.split(|byte| *byte == b'\r').next().unwrap().to_vec();
    let line = String::from_utf8(line).unwrap();
    assert!(Uri::try_from(line.split(' ').nth(1).unwrap()).is_ok(), "{line}");
    assert!(head.bytes.ends_with(b"\r\nhost: x\r\n\r\n"), "{:?}", head.bytes);
    line.split(' ').nth(1).unwrap().to_owned()
}

fn refused(input: impl AsRef<[u8]>) -> ErrorKind {
    take(input).unwrap_err().kind()
}

#[test]
fn a_target_that_is_a_url_is_not_touched() {
    for written in [
        "/tasks/v1/?eq(a,b)&sort(-x)&a=%3C%zz",
        "/a%20b/%2e%2E/c%2f/../~!$&'()*+,;=:@",
        "/a^b|c{d}\\e?a^b|c{d}\\e`f[]",
        "/json/{\"a\":1}",
        "http://localhost:4000/x?y",
        "*",
        "/?",
    ] {
        assert_eq!(target(written.as_bytes()), written);
    }
}

#[test]
fn characters_not_allowed_in_urls_are_encoded() {
    for (written, sent) in [
        (&b"/?priority>=3&a<4"[..], "/?priority%3E=3&a%3C4"),
        (b"/?eq(data.s,\"5\")", "/?eq(data.s,%225%22)"),
        (b"/?eq(data.name,a b c)", "/?eq(data.name,a%20b%20c)"),
        (b"/a b?c", "/a%20b?c"),
        (b"/?a#b", "/?a%23b"),
        (b"/<`>?`", "/%3C%60%3E?`"),
        ("/café?ü=☃".as_bytes(), "/caf%C3%A9?%C3%BC=%E2%98%83"),
        (b"/caf\xe9?\xfc", "/caf%C3%A9?%C3%BC"),
    ] {
        assert_eq!(target(written), sent);
    }
}

#[test]
fn a_complete_head_is_taken_and_the_rest_of_the_input_stays() {
    let head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    let mut reader = HeadReader::default();
    let mut input = BytesMut::from(&b"\r\n"[..]);
    for byte in &head[..head.len() - 1] {
        assert_eq!(reader.take(&mut input).unwrap(), None);
        input.extend_from_slice(&[*byte]);
    }
    assert_eq!(reader.take(&mut input).unwrap(), None);
    input.extend_from_slice(b"\nhelloGET");
    let taken = reader.take(&mut input).unwrap().unwrap();
    assert_eq!((&taken.bytes[..], taken.body), (&head[..], Following::Bytes(5)));
    assert_eq!(input, "helloGET");
}

#[test]
fn bare_line_feeds_end_lines_too() {
    let taken = take("GET /<x> HTTP/1.0\nconnection: close\n\nrest").unwrap().unwrap();
    assert_eq!(taken.bytes, "GET /%3Cx%3E HTTP/1.0\r\nconnection: close\n\n");
}

#[test]
fn ambiguous_ends_of_requests_are_refused() {
    let with = |headers: &str| take(format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n"));
    for (headers, body) in [
        ("x: y", Following::Bytes(0)),
        ("Content-Length: 007 ", Following::Bytes(7)),
        ("transfer-encoding: Chunked", Following::Chunks),
        ("transfer-encoding: chunked\r\ncontent-length: 3", Following::Chunks),
    ] {
        assert_eq!(with(headers).unwrap().unwrap().body, body, "{headers}");
    }
    for headers in [
        "content-length: 1\r\ncontent-length: 1",
        "content-length: 1, 1",
        "content-length: +1",
        "content-length: 0x1",
        "content-length:",
        "content-length : 1",
        "transfer-encoding: identity",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "x: y\r\n folded",
        "host: y",
    ] {
        assert_eq!(with(headers).unwrap_err().kind(), ErrorKind::BadRequest, "{headers}");
    }
    assert_eq!(with("content-length: 18446744073709551616").unwrap_err().kind(), ErrorKind::PayloadTooLarge);
}

#[test]
fn invalid_requests_are_refused_as_early_as_possible() {
    for input in [
        &b"\x16\x03\x01\x02\0"[..],
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET  HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n",
        b"G(T / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\na\0: y\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        assert_eq!(refused(input), ErrorKind::BadRequest, "{}", String::from_utf8_lossy(input));
    }
}

#[test]
fn the_sizes_of_targets_and_heads_are_limited() {
    let long = "a".repeat(MAX_TARGET_BYTES);
    assert_eq!(refused(format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n")), ErrorKind::UriTooLong);
    assert_eq!(refused(format!("GET /{long}{}", "a".repeat(100))), ErrorKind::UriTooLong);
    // It fits until it is encoded.
    let angles = "<".repeat(MAX_TARGET_BYTES / 2);
    assert_eq!(refused(format!("GET /{angles} HTTP/1.1\r\nhost: x\r\n\r\n")), ErrorKind::UriTooLong);
    let many: String = (0..=MAX_HEADERS).map(|n| format!("x-{n}: y\r\n")).collect();
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n")), ErrorKind::HeadersTooLarge);
    let large = "y".repeat(MAX_HEAD_BYTES);
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nhost: x\r\nx: {large}")), ErrorKind::HeadersTooLarge);
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nhost: x\r\nx: {large}\r\n\r\n")), ErrorKind::HeadersTooLarge);
}

proptest! {
    #[test]
    fn any_input_is_refused_or_a_head_that_the_library_accepts(
        input in prop::collection::vec(any::<u8>(), 0..200),
        near in "(GET|POST) [ -~éÿ\u{1}]{0,20} HTTP/1\\.[01]\r\n(host: x\r\n)?(([a-zA-Z-]{1,3}|content-length|transfer-encoding): ?[ -~]{0,8}\r?\n){0,3}\r\n",
    ) {
        for input in [input.as_slice(), near.as_bytes()] {
            if let Ok(Some(head)) = take(input) {
                let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
                let mut request = httparse::Request::new(&mut headers);
                let parsed = request.parse(&head.bytes);
                prop_assert_eq!(parsed, Ok(httparse::Status::Complete(head.bytes.len())));
                prop_assert!(Uri::try_from(request.path.unwrap()).is_ok());
            }
        }
    }
}
