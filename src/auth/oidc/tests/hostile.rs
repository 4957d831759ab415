//! Attacks.

use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;
use tasklane_model::ErrorKind;

use super::super::testing::{Fixture, claims, claims_with, encode, noon, recorded, sign_as, token};
use crate::oidc::{key_set::KeySet, token::Token};

/// The three parts of a valid token.
fn parts() -> [String; 3] {
    let token = token(&claims());
    let parts: Vec<_> = token.split('.').map(ToOwned::to_owned).collect();
    parts.try_into().unwrap()
}

async fn assert_unknown(fixture: &Fixture, token: &str) {
    assert_eq!(fixture.outcome(token).await, Err(ErrorKind::AccessTokenUnknown), "{token}");
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let fixture = Fixture::new();
    let [_, payload, signature] = parts();
    for alg in ["none", "None", "NONE", "nOnE", "", "null", "HS256"] {
        for kid in [json!("p256"), Value::Null] {
            let header = encode(json!({ "alg": alg, "kid": kid }).to_string());
            for signature in ["", signature.as_str(), "AA"] {
                assert_unknown(&fixture, &format!("{header}.{payload}.{signature}")).await;
            }
        }
    }
    for header in [json!({}), json!({ "alg": null }), json!({ "alg": ["none"] }), json!({ "alg": 0 })] {
        assert_unknown(&fixture, &format!("{}.{payload}.", encode(header.to_string()))).await;
    }
    assert_eq!(fixture.published.fetches(), 0, "none of them causes a fetch");
}

#[tokio::test]
async fn a_public_key_is_not_accepted_as_a_shared_secret() {
    let fixture = Fixture::new();
    let recorded = recorded();
    let jwk = &recorded.key("rsa-1").jwk;
    let (modulus, whole) = (jwk["n"].as_str().unwrap(), jwk.to_string());
    for secret in [modulus.as_bytes(), whole.as_bytes(), b""] {
        for alg in ["HS256", "RS256", "ES256"] {
            let message = format!(
                "{}.{}",
                encode(json!({ "alg": alg, "kid": "rsa-1" }).to_string()),
                encode(claims().to_string())
            );
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            mac.update(message.as_bytes());
            let signature = mac.finalize().into_bytes();
            assert_unknown(&fixture, &format!("{message}.{}", encode(signature))).await;
        }
    }
}

#[tokio::test]
async fn a_published_shared_secret_is_not_accepted() {
    let fixture = Fixture::new();
    let secret = json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": encode("secret") });
    fixture.published.put(super::super::testing::KEYS, &json!({ "keys": [secret] }));
    let message =
        format!("{}.{}", encode(json!({ "alg": "HS256", "kid": "shared" }).to_string()), encode(claims().to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(message.as_bytes());
    assert_unknown(&fixture, &format!("{message}.{}", encode(mac.finalize().into_bytes()))).await;
}

#[tokio::test]
async fn the_key_determines_the_algorithm() {
    let fixture = Fixture::new();
    for recorded in recorded().tokens {
        let (message, signature) = recorded.token.rsplit_once('.').unwrap();
        let payload = message.split_once('.').unwrap().1;
        for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
            if alg != recorded.alg {
                let header = encode(json!({ "alg": alg, "kid": recorded.kid, "typ": "JWT" }).to_string());
                assert_unknown(&fixture, &format!("{header}.{payload}.{signature}")).await;
            }
        }
    }
    // A key that is restricted to one algorithm is not accepted with another.
    let mut key = super::super::testing::recorded().key("rsa-1").jwk.clone();
    key["alg"] = json!("PS256");
    fixture.published.put(super::super::testing::KEYS, &json!({ "keys": [key] }));
    fixture.issuer.fetch().await.unwrap();
    assert_unknown(&fixture, &sign_as("rsa-1", &json!({ "alg": "RS256", "kid": "rsa-1" }), &claims())).await;
    let tokens = super::super::testing::recorded().tokens;
    let pss = tokens.iter().find(|token| token.alg == "PS256").unwrap();
    assert_eq!(fixture.outcome(&pss.token).await, Ok("ada".to_owned()));
}

#[tokio::test]
async fn a_short_rsa_key_is_not_accepted() {
    let fixture = Fixture::new();
    let tokens = recorded().tokens;
    let short = tokens.iter().find(|token| token.kid == "rsa-small").unwrap();
    assert_unknown(&fixture, &short.token).await;
}

#[tokio::test]
async fn a_key_inside_a_token_is_ignored() {
    let fixture = Fixture::new();
    let recorded = recorded();
    let own = &recorded.key("rsa-1").jwk;
    fixture.published.put(super::super::testing::KEYS, &json!({ "keys": [recorded.key("p256").jwk] }));
    for brought in [
        json!({ "alg": "RS256", "jwk": own }),
        json!({ "alg": "RS256", "kid": "rsa-1", "jwk": own }),
        json!({ "alg": "RS256", "kid": "p256", "jwk": own }),
        json!({ "alg": "RS256", "kid": "rsa-1", "jku": "https://evil.example/jwks" }),
        json!({ "alg": "RS256", "kid": "https://evil.example/jwks", "x5u": "https://evil.example/cert" }),
        json!({ "alg": "RS256", "kid": "../../etc/passwd", "x5c": ["MIIB"] }),
    ] {
        assert_unknown(&fixture, &sign_as("rsa-1", &brought, &claims())).await;
    }
    let fetched = fixture.published.fetched();
    assert!(fetched.iter().all(|url| !url.contains("evil")), "{fetched:?}");
}

#[tokio::test]
async fn no_part_of_a_token_can_be_changed() {
    let fixture = Fixture::new();
    let [header, payload, signature] = parts();
    let richer = claims_with(json!({ "permissions": ["CREATE_CREDENTIALS"], "sub": "root" }));
    let zeros = encode([0; 64]);
    for changed in [
        format!("{header}.{}.{signature}", encode(richer.to_string())),
        format!("{header}.{}.{signature}", encode(claims_with(json!({ "exp": noon().as_secs() + 7200 })).to_string())),
        // r = s = 0: some implementations accepted it for every message.
        format!("{header}.{payload}.{zeros}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 2]),
        format!("{header}.{payload}.{signature}{signature}"),
        sign_as("rsa-2", &json!({ "alg": "RS256", "kid": "rsa-1" }), &claims()),
        sign_as("p256", &json!({ "alg": "ES256", "kid": "p384" }), &claims()),
    ] {
        assert_unknown(&fixture, &changed).await;
    }
    // Each bit of the signature matters.
    for at in 0..64 {
        let mut bytes = [0_u8; 64];
        bytes.copy_from_slice(&base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, &signature).unwrap());
        bytes[at] ^= 1 << (at % 8);
        assert_unknown(&fixture, &format!("{header}.{payload}.{}", encode(bytes))).await;
    }
}

#[tokio::test]
async fn a_string_that_is_not_a_jwt_of_three_parts_is_refused() {
    let fixture = Fixture::new();
    let [header, payload, signature] = parts();
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{header}.{payload}"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{signature}.{signature}"),
        // Encrypted tokens have five parts.
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}.{payload}.{signature}=="),
        format!("{}.{payload}.{signature}", encode("[]")),
        format!("{}.{payload}.{signature}", encode(r#"{"alg":"ES256","alg":"none"}"#)),
        format!("{header}.{}.{signature}", encode("[]")),
        format!("{header}.{}.{signature}", encode("null")),
        format!("{header}.{}.{signature}", encode([0xff, 0xfe])),
        format!("{header}.{}.{signature}", encode(format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)))),
    ] {
        assert_unknown(&fixture, &text).await;
    }
    assert_eq!(fixture.published.fetches(), 0);
}

#[tokio::test]
async fn a_token_that_is_too_long_is_refused() {
    let fixture = Fixture::new();
    let padded = |bytes: usize| token(&claims_with(json!({ "padding": "x".repeat(bytes) })));
    assert_eq!(fixture.outcome(&padded(11_000)).await, Ok("ada".to_owned()));
    let error = fixture.identify(&padded(13_000)).await.unwrap_err();
    assert!(error.message().contains("longer than 16 KB"), "{error}");
}

#[tokio::test]
async fn other_things_that_an_issuer_signs_are_not_access_tokens() {
    let fixture = Fixture::new();
    for (header, taken) in [
        (json!({ "typ": "JWT" }), true),
        (json!({ "typ": "jwt" }), true),
        (json!({ "typ": "at+jwt" }), true),
        (json!({ "typ": "application/at+jwt" }), true),
        (json!({ "typ": "logout+jwt" }), false),
        (json!({ "typ": "dpop+jwt" }), false),
        (json!({ "typ": "secevent+jwt" }), false),
        (json!({ "typ": "" }), false),
        (json!({ "crit": ["b64"], "b64": false }), false),
        (json!({ "crit": [] }), false),
    ] {
        let mut header = header;
        header["alg"] = json!("ES256");
        header["kid"] = json!("p256");
        let outcome = fixture.outcome(&sign_as("p256", &header, &claims())).await;
        assert_eq!(outcome.is_ok(), taken, "{header}: {outcome:?}");
    }
    // Bound to a key, without proof of possession.
    assert_unknown(&fixture, &token(&claims_with(json!({ "cnf": { "jkt": "x" } })))).await;
}

#[tokio::test]
async fn a_token_of_another_issuer_causes_no_fetch() {
    let fixture = Fixture::new();
    for issuer in ["https://evil.example", "https://issuer.example/", "https://ISSUER.example", "", "issuer.example"] {
        assert_unknown(&fixture, &token(&claims_with(json!({ "iss": issuer })))).await;
    }
    for issuer in [json!(null), json!(7), json!([super::super::testing::ISSUER])] {
        assert_unknown(&fixture, &token(&claims_with(json!({ "iss": issuer })))).await;
    }
    assert_eq!(fixture.published.fetches(), 0);
}

#[tokio::test]
async fn a_token_without_a_key_id_is_verified_with_the_only_possible_key() {
    let fixture = Fixture::new();
    let unnamed = sign_as("p256", &json!({ "alg": "ES256" }), &claims());
    // Only one key is for P-256.
    assert_eq!(fixture.outcome(&unnamed).await, Ok("ada".to_owned()));
    // Three keys are for RSA, and they are not tried one by one.
    assert_unknown(&fixture, &sign_as("rsa-1", &json!({ "alg": "RS256" }), &claims())).await;
}

#[tokio::test]
async fn expiry_is_reported_only_for_tokens_with_a_valid_signature() {
    let fixture = Fixture::new();
    let expired = token(&claims_with(json!({ "exp": 1 })));
    assert_eq!(fixture.outcome(&expired).await, Err(ErrorKind::AccessTokenExpired));
    let (message, _) = expired.rsplit_once('.').unwrap();
    assert_unknown(&fixture, &format!("{message}.{}", encode([1; 64]))).await;
}

#[tokio::test]
async fn no_error_quotes_a_token() {
    let fixture = Fixture::new();
    let [header, payload, signature] = parts();
    let secret = token(&claims_with(json!({ "sub": "s3cret subject", "aud": "s3cret" })));
    for text in [format!("{header}.{payload}.{}", &signature[4..]), secret, format!("x{payload}.{header}.{signature}")]
    {
        let error = fixture.identify(&text).await.unwrap_err();
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("s3cret"), "{printed}");
        assert!(text.split('.').all(|part| !printed.contains(part)), "{printed}");
    }
}

#[test]
fn keys_of_other_kinds_are_ignored_and_invalid_key_sets_are_refused() {
    let good = recorded().key("p256").jwk.clone();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let (x, y) = (good["x"].clone(), good["y"].clone());
    for key in [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("ECDH-ES")),
        with("alg", json!("HS256")),
        with("kty", json!("oct")),
        with("crv", json!("secp256k1")),
        with("crv", json!("P-521")),
        with("crv", json!("P-384")),
        with("x", json!("")),
        with("x", json!("AA")),
        with("x", json!("not base64")),
        with("kid", json!(7)),
        json!({ "kty": "EC", "crv": "P-256", "y": y }),
        json!({ "kty": "RSA", "n": x }),
        json!(null),
        json!("key"),
        json!([]),
    ] {
        let set = KeySet::parse(json!({ "keys": [key, good] }).to_string().as_bytes()).unwrap();
        assert_eq!(set.len(), 1, "{key}");
    }
    assert_eq!(KeySet::parse(br#"{"keys":[]}"#).unwrap().len(), 0);
    let many = json!({ "keys": vec![good; 101] }).to_string();
    for document in ["", "{}", "[]", "null", r#"{"keys":{}}"#, r#"{"keys":"#, "<html>", many.as_str()] {
        assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
    }
}

proptest! {
    #[test]
    fn no_string_causes_a_panic(any in any::<String>(), near in r"[A-Za-z0-9_=-]{0,40}(\.[A-Za-z0-9_=-]{0,60}){0,4}") {
        let _ = (Token::parse(&any), Token::parse(&near));
    }

    #[test]
    fn no_header_and_no_claims_are_accepted_without_the_key(
        alg in prop_oneof![Just("ES256"), Just("RS256"), Just("PS512"), Just("ES384"), Just("EdDSA")],
        kid in prop_oneof![Just(json!("p256")), Just(json!("rsa-1")), Just(json!("p384")), Just(json!("ed25519")), Just(json!(null))],
        signature in prop::collection::vec(any::<u8>(), 0..300),
        expiry in any::<f64>(),
    ) {
        let payload = claims_with(json!({ "exp": expiry }));
        let header = json!({ "alg": alg, "kid": kid });
        let text = format!("{}.{}.{}", encode(header.to_string()), encode(payload.to_string()), encode(signature));
        let keys = KeySet::parse(recorded().jwks().to_string().as_bytes()).unwrap();
        if let Ok(token) = Token::parse(&text) {
            prop_assert!(!keys.verify(&token));
        }
    }

    #[test]
    fn no_key_set_causes_a_panic(document in r#"\{"keys":\[(\{"kty":"(RSA|EC|OKP)"(,"(crv|n|e|x|y|kid)":"[A-Za-z0-9_-]{0,50}"){0,5}\},?){0,3}\]\}"#, any in any::<Vec<u8>>()) {
        let text = token(&claims());
        let token = Token::parse(&text).unwrap();
        for document in [document.as_bytes(), &any] {
            if let Ok(keys) = KeySet::parse(document) {
                prop_assert!(!keys.verify(&token));
            }
        }
    }
}
