//! Decodes a body to the text of its JSON, which is UTF-8 (RFC 8259 §8.1).

use http::{HeaderMap, header};
use tasklane_model::{Error, ErrorKind, Result};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Refuses a body with a content coding, such as gzip, before it is read (415).
pub fn check(headers: &HeaderMap) -> Result<()> {
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let codings = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let unknown = codings.split(',').map(str::trim).find(|coding| !["", "identity"].contains(coding));
        if let Some(coding) = unknown {
            let coding: String = coding.chars().take(32).collect();
            return Err(unsupported(format!("The body has the Content-Encoding '{coding}': send it unencoded.")));
        }
    }
    Ok(())
}

/// The text of a body, without a byte order mark: 22 when it is not UTF-8, 415 when the headers declare another
/// charset.
pub fn text_of<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<&'a str> {
    if !body.is_ascii()
        && let Some(charset) = charset(headers).filter(|charset| !["utf-8", "utf8"].contains(&charset.as_str()))
    {
        let charset: String = charset.chars().take(32).collect();
        return Err(unsupported(format!("The body's charset is '{charset}': send it as UTF-8.")));
    }
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)),
        Err(error) => {
            let why = match body {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 0, 0xfe, 0xff, ..] => "it is UTF-16 or UTF-32".to_owned(),
                _ => format!("it is not UTF-8 after byte {}", error.valid_up_to()),
            };
            let message = format!("The body is not a JSON object: {why}. Send it as UTF-8.");
            Err(Error::new(ErrorKind::BodyFormat, message))
        }
    }
}

fn charset(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let charset = parameters.into_iter().find(|(name, _)| name.trim() == "charset");
    charset.map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::UnsupportedMediaType, message)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn a_body_with_a_content_coding_is_refused() {
        for (coding, taken) in [("", true), ("identity", true), ("gzip", false), ("identity, BR", false), ("x", false)]
        {
            let checked = check(&headers(header::CONTENT_ENCODING, coding)).map_err(|error| error.kind());
            assert_eq!(checked, if taken { Ok(()) } else { Err(ErrorKind::UnsupportedMediaType) }, "{coding}");
        }
        assert!(check(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let none = HeaderMap::new();
        assert_eq!(text_of(&none, "\u{feff}{}".as_bytes()).unwrap(), "{}");
        assert_eq!(text_of(&none, "\u{feff}".as_bytes()).unwrap(), "");
        assert_eq!(text_of(&none, "{\"a\":\"\u{feff}\"}".as_bytes()).unwrap(), "{\"a\":\"\u{feff}\"}");
    }

    #[test]
    fn other_encodings_are_refused_by_name() {
        let none = HeaderMap::new();
        for (body, says) in [
            (&b"\xff\xfe{\0}\0"[..], "UTF-16"),
            (b"\0\0\xfe\xff\0\0\0{", "UTF-16"),
            (b"{\"a\":\"\xe9\"}", "after byte 6"),
        ] {
            let error = text_of(&none, body).unwrap_err();
            assert!(error.kind() == ErrorKind::BodyFormat && error.message().contains(says), "{error}");
        }
        for (kind, taken) in [
            ("application/json", true),
            ("application/json; charset=UTF-8", true),
            ("application/json;charset=\"utf8\"; x=y", true),
            ("application/json; charset=iso-8859-1", false),
            ("application/json; charset=utf-16", false),
        ] {
            let read = |body: &'static str| text_of(&headers(header::CONTENT_TYPE, kind), body.as_bytes());
            assert_eq!(read("{\"a\":\"é\"}").is_ok(), taken, "{kind}");
            assert!(read("{}").is_ok(), "{kind}");
        }
    }
}
