//! When an issuer's documents are fetched, and what happens to tokens if that fails.

use std::time::Duration;

use serde_json::json;
use tasklane_model::ErrorKind;

use super::super::testing::{DESCRIPTION, Fixture, ISSUER, KEYS, claims, recorded, sign_as, token};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn unknown(n: usize) -> String {
    sign_as("p256", &json!({ "alg": "ES256", "kid": format!("unknown-{n}") }), &claims())
}

fn of_rsa_1() -> String {
    sign_as("rsa-1", &json!({ "alg": "RS256", "kid": "rsa-1" }), &claims())
}

#[tokio::test]
async fn keys_are_fetched_once_for_many_tokens() {
    let fixture = Fixture::new();
    for _ in 0..10 {
        assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
        assert_eq!(fixture.outcome(&of_rsa_1()).await, Ok("ada".to_owned()));
    }
    assert_eq!(fixture.published.fetched(), [DESCRIPTION, KEYS]);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_causes_one_fetch_in_half_a_minute() {
    let fixture = Fixture::new();
    assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
    let begin = fixture.published.fetches();
    // 200 s of flood, with a valid token now and then.
    for n in 0..1_000 {
        assert_eq!(fixture.outcome(&unknown(n)).await, Err(ErrorKind::AccessTokenUnknown));
        if n % 5 == 0 {
            fixture.later(SECOND);
            assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
        }
    }
    assert_eq!(fixture.published.fetches() - begin, 200 / 30);
}

#[tokio::test(start_paused = true)]
async fn concurrent_tokens_wait_for_one_fetch() {
    let fixture = Fixture::new();
    *fixture.published.delay.lock().unwrap() = SECOND;
    let (good, odd) = (token(&claims()), unknown(0));
    let several = (0..50).map(|n| fixture.outcome(if n % 2 == 0 { &good } else { &odd }));
    let outcomes = futures::future::join_all(several).await;
    assert!(outcomes.iter().step_by(2).all(|outcome| outcome.is_ok()), "{outcomes:?}");
    assert_eq!(fixture.published.fetches(), 1);
}

// Tokio's clock, which stands still here.
#[allow(clippy::disallowed_methods)]
#[tokio::test(start_paused = true)]
async fn tokens_with_known_keys_do_not_wait_for_a_fetch() {
    let fixture = Fixture::new();
    assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
    *fixture.published.delay.lock().unwrap() = MINUTE;
    for age in [MINUTE, 11 * MINUTE] {
        fixture.later(age);
        let odd = unknown(0);
        let slow = fixture.outcome(&odd);
        tokio::pin!(slow);
        // The fetch has started and hangs.
        assert!(futures::poll!(&mut slow).is_pending());
        let began = tokio::time::Instant::now();
        let good = tokio::time::timeout(SECOND, async { fixture.outcome(&token(&claims())).await }).await;
        assert_eq!(good, Ok(Ok("ada".to_owned())), "it waited");
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(slow.await, Err(ErrorKind::AccessTokenUnknown));
    }
}

#[tokio::test]
async fn a_new_key_is_accepted_immediately_and_a_withdrawn_one_for_at_most_ten_minutes() {
    let fixture = Fixture::new();
    let (first, second) = (recorded().key("p256").jwk.clone(), recorded().key("rsa-1").jwk.clone());
    fixture.published.put(KEYS, &json!({ "keys": [first] }));
    assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));

    // The issuer rotates: first both keys, then the new one alone.
    fixture.later(MINUTE);
    fixture.published.put(KEYS, &json!({ "keys": [first, second] }));
    assert_eq!(fixture.outcome(&of_rsa_1()).await, Ok("ada".to_owned()));
    assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
    fixture.published.put(KEYS, &json!({ "keys": [second] }));
    fixture.later(10 * MINUTE - SECOND);
    assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
    fixture.later(SECOND);
    assert_eq!(fixture.outcome(&token(&claims())).await, Err(ErrorKind::AccessTokenUnknown));
    assert_eq!(fixture.outcome(&of_rsa_1()).await, Ok("ada".to_owned()));
    assert_eq!(fixture.published.fetches(), 3);
}

#[tokio::test]
async fn while_an_issuer_is_unreachable_its_tokens_work_for_six_hours() {
    let fixture = Fixture::new();
    assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
    fixture.published.fail(DESCRIPTION);
    let lasting = token(&super::super::testing::claims_with(json!({ "exp": 4_000_000_000_u64 })));
    for _ in 0..35 {
        fixture.later(10 * MINUTE);
        assert_eq!(fixture.outcome(&lasting).await, Ok("ada".to_owned()));
    }
    assert_eq!(fixture.published.fetches(), 36, "each of them causes a fetch");
    fixture.later(10 * MINUTE);
    assert_eq!(fixture.outcome(&lasting).await, Err(ErrorKind::Server));
    fixture.published.put(DESCRIPTION, &json!({ "issuer": ISSUER, "jwks_uri": KEYS }));
    fixture.later(5 * SECOND);
    assert_eq!(fixture.outcome(&lasting).await, Ok("ada".to_owned()));
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_an_internal_error_and_is_tried_every_five_seconds() {
    let fixture = Fixture::new();
    fixture.published.fail(KEYS);
    for _ in 0..100 {
        assert_eq!(fixture.outcome(&token(&claims())).await, Err(ErrorKind::Server));
    }
    assert_eq!(fixture.published.fetches(), 1);
    fixture.later(5 * SECOND - Duration::from_millis(1));
    assert_eq!(fixture.outcome(&token(&claims())).await, Err(ErrorKind::Server));
    assert_eq!(fixture.published.fetches(), 1);
    fixture.later(Duration::from_millis(1));
    fixture.published.put(KEYS, &recorded().jwks());
    assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
}

#[tokio::test]
async fn documents_of_another_issuer_are_refused() {
    for description in [
        json!({ "issuer": "https://evil.example", "jwks_uri": KEYS }),
        json!({ "issuer": "https://issuer.example/", "jwks_uri": KEYS }),
        json!({ "jwks_uri": KEYS }),
        json!({ "issuer": ISSUER }),
        json!({ "issuer": ISSUER, "jwks_uri": "http://keys.example/jwks" }),
        json!({ "issuer": ISSUER, "jwks_uri": "http://169.254.169.254/latest/meta-data/" }),
        json!({ "issuer": ISSUER, "jwks_uri": "http://localhost/jwks" }),
        json!({ "issuer": ISSUER, "jwks_uri": "file:///etc/passwd" }),
        json!([]),
    ] {
        let fixture = Fixture::new();
        fixture.published.put(DESCRIPTION, &description);
        assert_eq!(fixture.outcome(&token(&claims())).await, Err(ErrorKind::Server), "{description}");
        assert_eq!(fixture.published.fetched(), [DESCRIPTION], "{description}");
    }
    let fixture = Fixture::new();
    fixture.published.put(KEYS, &json!({ "error": "not here" }));
    assert_eq!(fixture.outcome(&token(&claims())).await, Err(ErrorKind::Server));
}

#[tokio::test]
async fn an_issuer_may_withdraw_all_its_keys() {
    let fixture = Fixture::new();
    assert_eq!(fixture.outcome(&token(&claims())).await, Ok("ada".to_owned()));
    fixture.published.put(KEYS, &json!({ "keys": [] }));
    fixture.later(10 * MINUTE);
    assert_eq!(fixture.outcome(&token(&claims())).await, Err(ErrorKind::AccessTokenUnknown));
}

#[tokio::test]
async fn a_clock_that_jumps_costs_only_one_fetch() {
    let fixture = Fixture::new();
    let lasting = token(&super::super::testing::claims_with(json!({ "exp": 4_000_000_000_u64 })));
    assert_eq!(fixture.outcome(&lasting).await, Ok("ada".to_owned()));
    fixture.earlier(1_000 * MINUTE);
    for _ in 0..10 {
        assert_eq!(fixture.outcome(&lasting).await, Ok("ada".to_owned()));
    }
    assert_eq!(fixture.published.fetches(), 2);
    fixture.later(100_000 * MINUTE);
    for _ in 0..10 {
        assert_eq!(fixture.outcome(&lasting).await, Ok("ada".to_owned()));
    }
    assert_eq!(fixture.published.fetches(), 3);
}
