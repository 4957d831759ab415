use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(result: &str) -> ApiAnswer {
    answer_of(result.as_bytes()).unwrap_or_else(|why| panic!("{result}: {why}"))
}

fn values<'a>(answer: &'a ApiAnswer, name: &str) -> Vec<&'a str> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn a_complete_answer_is_not_changed() {
    let answer = read(
        &json!({
            "statusCode": 201,
            "headers": { "Content-Type": "text/plain", "X-A": "b", "Content-Length": "9", "Connection": "close" },
            "cookies": ["a=1", "b=2"],
            "body": "aGk=",
            "isBase64Encoded": true
        })
        .to_string(),
    );
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body, "hi");
    assert_eq!(answer.headers["content-type"], "text/plain");
    assert_eq!(answer.headers["x-a"], "b");
    assert!(!answer.headers.contains_key("content-length") && !answer.headers.contains_key("connection"));
    assert_eq!(values(&answer, "set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn json_bodies_are_sent_as_they_were_written_and_their_type_is_json() {
    for (body, sent) in [
        (r#"{"a":1}"#, r#"{"a":1}"#),
        (
            r#"{"b": 1.10, "a": [1e21, 12345678901234567890123, -0.0]}"#,
            r#"{"b": 1.10, "a": [1e21, 12345678901234567890123, -0.0]}"#,
        ),
        ("5", "5"),
        ("1.0", "1.0"),
        ("false", "false"),
        ("\"t\"", "t"),
        (r#""é \ud83d""#, "é \u{fffd}"),
    ] {
        let answer = read(&format!(r#"{{"statusCode":200,"body":{body}}}"#));
        assert_eq!(answer.body, sent);
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[test]
fn a_status_may_be_written_with_digits_of_any_kind() {
    for (written, status) in [("200", 200), ("\"200\"", 200), ("200.0", 200), ("\"418\"", 418), ("4.99e2", 499)] {
        assert_eq!(read(&format!(r#"{{"statusCode":{written}}}"#)).status, status, "{written}");
    }
}

#[test]
fn numbers_and_booleans_in_headers_become_text_and_null_is_left_out() {
    let answer = read(
        r#"{"statusCode":200,"headers":{"a":true,"b":86400,"c":1.50,"d":null,"e":"x","f":["1",2,null,false],"g":[],"Content-Type":null}}"#,
    );
    assert_eq!(
        (&answer.headers["a"], &answer.headers["b"], &answer.headers["c"]),
        (&"true".parse().unwrap(), &"86400".parse().unwrap(), &"1.50".parse().unwrap())
    );
    assert_eq!(values(&answer, "f"), ["1", "2", "false"]);
    assert!(!answer.headers.contains_key("d") && !answer.headers.contains_key("g"));
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[test]
fn the_last_of_several_cases_of_a_name_wins_but_cookies_add_up() {
    let answer = read(
        r#"{"statusCode":200,"headers":{"Content-Type":"text/html","content-type":"text/plain","X-A":"1","x-a":"2",
            "Set-Cookie":"a=1","set-cookie":["b=2","c=3"]},"cookies":["d=4"]}"#,
    );
    assert_eq!(values(&answer, "content-type"), ["text/plain"]);
    assert_eq!(values(&answer, "x-a"), ["2"]);
    assert_eq!(values(&answer, "set-cookie"), ["a=1", "b=2", "c=3", "d=4"]);
}

#[test]
fn several_values_of_one_name_may_have_their_own_field() {
    let answer = read(
        r#"{"statusCode":200,"headers":{"vary":"x","x-b":"1"},"multiValueHeaders":{"Vary":["a","b"],"Set-Cookie":["a=1","b=2"]}}"#,
    );
    assert_eq!(values(&answer, "vary"), ["a", "b"]);
    assert_eq!(values(&answer, "x-b"), ["1"]);
    assert_eq!(values(&answer, "set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn answers_without_a_body_have_no_content_type() {
    for status in [204, 205, 304] {
        let answer = read(&format!(r#"{{"statusCode":{status},"body":"nope"}}"#));
        assert!(answer.body.is_empty() && !answer.headers.contains_key("content-type"), "{status}");
    }
    let answer = read(r#"{"statusCode":304,"headers":{"etag":"\"1\"","content-length":"30"}}"#);
    assert_eq!((&answer.headers["etag"], answer.length), (&"\"1\"".parse().unwrap(), None));
}

#[test]
fn a_stream_has_its_head_before_eight_zeros() {
    let head = br#"{"statusCode":201,"headers":{"content-type":"text/plain","x-a":1},"cookies":["a=1"]}"#;
    let streamed = |head: &[u8], body: &[u8]| answer_of(&[head, &[0; 8], body].concat());
    let answer = streamed(head, b"hello \xff\0world").unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"hello \xff\0world"[..]));
    assert_eq!((&answer.headers["x-a"], values(&answer, "set-cookie")), (&"1".parse().unwrap(), vec!["a=1"]));
    let answer = streamed(b"{}", &[0; 9]).unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &[0; 9][..]));
    for head in [&b"hello"[..], b"", b"[]", br#"{"statusCode":700}"#, b"\xff"] {
        assert!(streamed(head, b"x").is_err(), "{}", String::from_utf8_lossy(head));
    }
}

#[test]
fn headers_for_the_whole_origin_are_dropped() {
    let answer = read(
        r#"{"statusCode":200,"headers":{"strict-transport-security":"max-age=9","Clear-Site-Data":"\"*\"","alt-svc":"h2","server":"evil",
            "service-worker-allowed":"/","date":"never","www-authenticate":"Basic realm=\"x\"","set-cookie":"c=1; Domain=example.com; Path=/",
            "x-frame-options":"DENY"},"cookies":["d=1; domain=example.com"]}"#,
    );
    let mut names: Vec<_> = answer.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "set-cookie", "x-frame-options"]);
    assert_eq!(values(&answer, "set-cookie"), ["c=1; Path=/", "d=1"]);
}

#[test]
fn other_answers_are_refused_with_a_reason() {
    for (result, named) in [
        ("null", "object"),
        ("\"text\"", "object"),
        ("{}", "statusCode"),
        (r#"{"statusCode":199}"#, "statusCode"),
        (r#"{"statusCode":500}"#, "statusCode"),
        (r#"{"statusCode":"500"}"#, "statusCode"),
        (r#"{"statusCode":200.5}"#, "statusCode"),
        (r#"{"statusCode":"200.0"}"#, "statusCode"),
        (r#"{"statusCode":" 200"}"#, "statusCode"),
        (r#"{"statusCode":""}"#, "statusCode"),
        (r#"{"statusCode":null}"#, "statusCode"),
        (r#"{"statusCode":[200]}"#, "statusCode"),
        (r#"{"statusCode":200,"headers":[]}"#, "headers"),
        (r#"{"statusCode":200,"headers":{"a":{}}}"#, "'a'"),
        (r#"{"statusCode":200,"headers":{"a":[[]]}}"#, "'a'"),
        (r#"{"statusCode":200,"multiValueHeaders":"x"}"#, "multiValueHeaders"),
        (r#"{"statusCode":200,"headers":{"a b":"c"}}"#, "'a b'"),
        (r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#, "'a'"),
        (r#"{"statusCode":200,"cookies":"a=1"}"#, "cookies"),
        (r#"{"statusCode":200,"cookies":[1]}"#, "cookies"),
        (r#"{"statusCode":200,"isBase64Encoded":"yes"}"#, "isBase64Encoded"),
        (r#"{"statusCode":200,"isBase64Encoded":true,"body":"?"}"#, "base64"),
        (r#"{"statusCode":200,"isBase64Encoded":true,"body":{}}"#, "string"),
    ] {
        let why = answer_of(result.as_bytes()).unwrap_err();
        assert!(why.contains(named), "{result}: {why}");
    }
}

proptest! {
    #[test]
    fn no_result_makes_it_panic(result in "\\PC*", status in any::<i64>(), name in "\\PC*", value in "\\PC*") {
        let _ = answer_of(result.as_bytes());
        let _ = answer_of(json!({ "statusCode": status, "headers": { name: value } }).to_string().as_bytes());
    }
}

#[test]
fn a_json_body_is_sent_as_the_function_wrote_it() {
    for body in [
        "[0.9157037119440723,117.63331139400017,123456789012345680000,1e21,1e-7,1.0,-0.0,9007199254740993,1e999]",
        r#"{"z": 0.10, "a": "\ud83d", "z": 12345678901234567890123456789.123456789}"#,
        "1.50",
        "true",
    ] {
        let answer = answer_of(format!("{{\"statusCode\":200,\"body\":{body} }}").as_bytes()).unwrap();
        assert_eq!(answer.body, body);
    }
    let answer = answer_of(br#"{"statusCode":200,"body":"Hello \ud83d"}"#).unwrap();
    assert_eq!(answer.body, "Hello \u{FFFD}");
    let answer = answer_of(br#"{"statusCode":200,"body":{"mean":NaN}}"#).unwrap();
    assert_eq!(answer.body, r#"{"mean":null}"#);
}
