//! Fuzzes the answers of API Functions.

use http::header;
use tasklane_model::Json;

use super::api_answer::{OURS, answer_of};

/// The length of the longest reason.
const LONGEST_REASON: usize = 1000;

/// Reads the input as the result of an API Function.
///
/// An accepted answer follows contract §5: a status from 200 to 499, a content type, no header of the connection, and no
/// header that could end the head early. A refusal has a reason of bounded length.
pub fn api_answer(data: &[u8]) {
    match answer_of(data) {
        Ok(answer) => {
            let streamed = data.windows(8).any(|bytes| bytes == [0; 8]);
            let json = std::str::from_utf8(data).is_ok_and(|text| Json::parse(text.to_owned()).is_ok());
            assert!(json != streamed, "it was accepted but is neither JSON nor a stream");
            assert!((200..=499).contains(&answer.status.as_u16()), "{}", answer.status);
            assert!(answer.headers.contains_key(header::CONTENT_TYPE) || answer.body.is_empty());
            for (name, value) in &answer.headers {
                assert!(!OURS.contains(name), "{name} was passed on");
                assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{name}: {value:?}");
            }
        }
        Err(why) => assert!(why.len() <= LONGEST_REASON, "{} bytes of reason", why.len()),
    }
}
