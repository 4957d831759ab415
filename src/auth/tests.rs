//! Whole requests through the [`Authenticator`]: as the official SDK signed and sent them, as RFC 5849 prints them, and
//! each with one fault.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderValue;
use serde::Deserialize;
use tasklane_model::{ApplicationId, Caller, ErrorKind, Identity, ObjectId, Permissions, Result, Timestamp, UserId};
use tasklane_ports::{Clock, PortError, PortFuture};

use super::{credential::*, *};

/// Made by the SDK itself, with tests/vectors/oauth1.mjs.
#[derive(Deserialize)]
struct Recorded {
    keys: Keys,
    requests: Vec<Request>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    consumer_key: String,
    consumer_secret: String,
    token: String,
    token_secret: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Request {
    method: String,
    host: String,
    target: String,
    authorization: String,
}

/// Parameters that the SDK sends but does not sign. They could be added in transit, so a request that has them is
/// refused.
const UNSIGNED: [&str; 6] = ["?oauth_", "?toString=", "?__proto__=", "?a[constructor]=", "?a[__proto__]=", "?=1"];

impl Request {
    fn is_unsigned_in_part(&self) -> bool {
        UNSIGNED.iter().any(|part| self.target.contains(part))
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.host, self.target)
    }

    fn sent_at(&self) -> Timestamp {
        let timestamp = self.authorization.split("oauth_timestamp=\"").nth(1).unwrap().split('"').next().unwrap();
        Timestamp::from_millis(timestamp.parse::<i64>().unwrap() * 1000).unwrap()
    }
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("../../tests/vectors/oauth1.json")).unwrap()
}

struct SetClock {
    now: Mutex<Timestamp>,
    slept: Mutex<Vec<Duration>>,
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        self.slept.lock().unwrap().push(duration);
        Box::pin(async {})
    }
}

#[derive(Default)]
struct TestSource(Mutex<Vec<StoredCredential>>);

impl TestSource {
    fn find(
        &self,
        is_it: impl Fn(&StoredCredential) -> bool,
    ) -> std::result::Result<Option<StoredCredential>, PortError> {
        Ok(self.0.lock().unwrap().iter().find(|credential| is_it(credential)).cloned())
    }
}

impl CredentialSource for TestSource {
    fn by_consumer_key<'a>(
        &'a self,
        key: &'a str,
    ) -> PortFuture<'a, std::result::Result<Option<StoredCredential>, PortError>> {
        Box::pin(async move {
            self.find(|credential| credential.consumer_key == key && credential.access_token_hash.is_some())
        })
    }

    fn by_token<'a>(
        &'a self,
        token: &'a str,
    ) -> PortFuture<'a, std::result::Result<Option<StoredCredential>, PortError>> {
        Box::pin(async move { self.find(|credential| credential.token == token && credential.account.is_some()) })
    }

    fn by_access_token_hash<'a>(
        &'a self,
        hash: &'a [u8; 32],
    ) -> PortFuture<'a, std::result::Result<Option<StoredCredential>, PortError>> {
        Box::pin(async move { self.find(|credential| credential.access_token_hash == Some(*hash)) })
    }
}

/// Remembers every request.
#[derive(Default)]
struct Seen(Mutex<BTreeSet<(String, String, i64)>>);

impl NonceMemory for Seen {
    fn remember<'a>(&'a self, sighting: Sighting<'a>) -> PortFuture<'a, std::result::Result<bool, PortError>> {
        // Must be kept until one window later.
        assert!(sighting.expires.as_secs() > sighting.timestamp + 300);
        let request = (sighting.consumer_key.to_owned(), sighting.nonce.to_owned(), sighting.timestamp);
        Box::pin(async move { Ok(self.0.lock().unwrap().insert(request)) })
    }
}

/// A service with one credential.
struct Fixture {
    authenticator: Authenticator,
    source: Arc<TestSource>,
    clock: Arc<SetClock>,
}

const ACCESS_TOKEN: [u8; 32] = [7; 32];

impl Fixture {
    async fn new(keys: &Keys, now: Timestamp) -> Self {
        Self::keeping(keys, now, Duration::ZERO).await
    }

    async fn keeping(keys: &Keys, now: Timestamp, keep_credentials: Duration) -> Self {
        let secrets = KeyFile::ephemeral();
        let id = ObjectId::first_at(Timestamp::EPOCH);
        let seal = async |secret: &str, context: String| secrets.seal(secret.as_bytes(), &context).await.unwrap();
        let credential = StoredCredential {
            id,
            identity: Identity {
                user_id: UserId::parse("ada").unwrap(),
                application_id: Some(ApplicationId::parse("app").unwrap()),
                permissions: Permissions::none(),
            },
            consumer_key: keys.consumer_key.clone(),
            consumer_secret: seal(&keys.consumer_secret, consumer_secret_context(id)).await,
            token: keys.token.clone(),
            token_secret: seal(&keys.token_secret, token_secret_context(id)).await,
            access_token_hash: access_token::hash(&access_token::token_of(ACCESS_TOKEN)),
            account: None,
            creation_timestamp: Timestamp::EPOCH,
            expires: None,
            created_by_user_id: None,
            ancestors: Vec::new(),
        };
        let source = Arc::new(TestSource(Mutex::new(vec![credential])));
        let clock = Arc::new(SetClock { now: Mutex::new(now), slept: Mutex::default() });
        let authenticator = Authenticator::new(
            source.clone(),
            Arc::new(secrets),
            Arc::new(Seen::default()),
            clock.clone(),
            AuthSettings { keep_credentials, ..AuthSettings::default() },
        );
        Self { authenticator, source, clock }
    }

    async fn send(&self, method: &str, url: &str, authorization: &[&str]) -> Result<Caller> {
        self.send_from(None, method, url, authorization).await
    }

    async fn send_from(
        &self,
        address: Option<IpAddr>,
        method: &str,
        url: &str,
        authorization: &[&str],
    ) -> Result<Caller> {
        let mut headers = http::HeaderMap::new();
        for one in authorization {
            headers.append(http::header::AUTHORIZATION, HeaderValue::from_bytes(one.as_bytes()).unwrap());
        }
        self.authenticator.authenticate(RequestParts { method, url, headers: &headers, form: None, address }).await
    }

    async fn send_recorded(&self, request: &Request) -> Result<Caller> {
        self.send(&request.method, &request.url(), &[&request.authorization]).await
    }

    fn expire_at(&self, at: Timestamp) {
        self.source.0.lock().unwrap()[0].expires = Some(at);
    }

    fn set_clock(&self, millis: i64) {
        *self.clock.now.lock().unwrap() = Timestamp::from_millis(millis).unwrap();
    }
}

fn kind(result: Result<Caller>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

async fn one_recorded() -> (Fixture, Request) {
    let recorded = recorded();
    let request = recorded.requests.iter().find(|request| request.target.contains("a=1&b=2")).unwrap().clone();
    (Fixture::new(&recorded.keys, request.sent_at()).await, request)
}

#[tokio::test]
async fn every_request_that_the_sdk_signed_belongs_to_its_user() {
    let recorded = recorded();
    assert!(recorded.requests.len() > 80);
    let fixture = Fixture::new(&recorded.keys, recorded.requests[0].sent_at()).await;
    let (refused, taken): (Vec<_>, Vec<_>) =
        recorded.requests.iter().partition(|request| request.is_unsigned_in_part());
    assert!(refused.len() >= UNSIGNED.len(), "{}", refused.len());
    for request in refused {
        assert_eq!(kind(fixture.send_recorded(request).await), Some(ErrorKind::OauthSignature), "{}", request.target);
    }
    for request in taken {
        let caller = fixture.send_recorded(request).await.unwrap_or_else(|error| panic!("{}: {error}", request.target));
        let expected = if request.authorization.contains("oauth_token=") {
            caller.user_id().map(UserId::as_str) == Some("ada")
        } else {
            matches!(&caller, Caller::Application(application) if application.id.as_str() == "app")
        };
        assert!(expected, "{}: {caller:?}", request.target);
    }
}

#[tokio::test]
async fn the_example_of_rfc_5849_is_valid() {
    let keys = Keys {
        consumer_key: "dpf43f3p2l4k3l03".to_owned(),
        consumer_secret: "kd94hf93k423kf44".to_owned(),
        token: "nnch734d00sl2jdk".to_owned(),
        token_secret: "pfkkdhi9sl3r4s00".to_owned(),
    };
    let fixture = Fixture::new(&keys, Timestamp::from_millis(137_131_200_000).unwrap()).await;
    let header = "OAuth realm=\"Photos\", oauth_consumer_key=\"dpf43f3p2l4k3l03\", oauth_token=\"nnch734d00sl2jdk\", \
                  oauth_signature_method=\"HMAC-SHA1\", oauth_timestamp=\"137131202\", oauth_nonce=\"chapoH\", \
                  oauth_signature=\"MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D\"";
    let url = "http://photos.example.net/photos?file=vacation.jpg&size=original";
    assert!(fixture.send("GET", url, &[header]).await.unwrap().user_id().is_some());
}

#[tokio::test]
async fn no_part_of_a_signed_request_can_be_changed() {
    let (fixture, request) = one_recorded().await;
    let url = request.url();
    let edited = |from: &str, to: &str| {
        assert!(request.authorization.contains(from), "{from}");
        request.authorization.replace(from, to)
    };
    let nonce = request.authorization.split("oauth_nonce=\"").nth(1).unwrap()[..8].to_owned();
    let signature = request.authorization.split("oauth_signature=\"").nth(1).unwrap()[..8].to_owned();
    let timestamp = (request.sent_at().as_secs()).to_string();
    let later = (request.sent_at().as_secs() + 1).to_string();
    for (method, url, authorization) in [
        ("POST", url.clone(), request.authorization.clone()),
        ("GET", url.replace("http://", "https://"), request.authorization.clone()),
        ("GET", url.replace("localhost", "127.0.0.1"), request.authorization.clone()),
        ("GET", url.replace(&request.host, "localhost"), request.authorization.clone()),
        ("GET", url.replace("/items", "/item"), request.authorization.clone()),
        ("GET", url.replace("a=1", "a=2"), request.authorization.clone()),
        ("GET", format!("{url}&c=3"), request.authorization.clone()),
        ("GET", url.replace("?a=1&b=2", ""), request.authorization.clone()),
        ("GET", url.clone(), edited(&nonce, "AAAAAAAA")),
        ("GET", url.clone(), edited(&signature, "AAAAAAAA")),
        ("GET", url.clone(), edited(&timestamp, &later)),
        ("GET", url.clone(), edited(", oauth_version=\"1.0\"", "")),
        ("GET", url.clone(), edited("oauth_version=\"1.0\"", "oauth_version=\"1.0\", extra=\"1\"")),
        // Without its token the request would be the application's.
        ("GET", url.clone(), edited("oauth_token=\"token%2B1\", ", "")),
        ("GET", url.clone(), edited("oauth_token=\"token%2B1\"", "oauth_token=\"\"")),
    ] {
        let result = fixture.send(method, &url, &[&authorization]).await;
        assert_eq!(kind(result), Some(ErrorKind::OauthSignature), "{method} {url} {authorization}");
    }
    fixture.send_recorded(&request).await.unwrap();
}

#[tokio::test]
async fn the_order_of_parameters_and_the_case_of_the_host_make_no_difference() {
    let (fixture, request) = one_recorded().await;
    let url = request.url().replace("a=1&b=2", "b=2&a=1").replace("localhost", "LOCALHOST");
    fixture.send("get", &url, &[&request.authorization.replace("OAuth ", "oauth  ")]).await.unwrap();
}

#[tokio::test]
async fn a_wrong_consumer_is_reported_before_a_wrong_token_and_that_before_a_wrong_signature() {
    let (fixture, request) = one_recorded().await;
    let edit = |edits: &[(&str, &str)]| {
        edits.iter().fold(request.authorization.clone(), |text, (from, to)| text.replace(from, to))
    };
    let (consumer, token, signature) = (
        ("oauth_consumer_key=\"", "oauth_consumer_key=\"x"),
        ("oauth_token=\"", "oauth_token=\"x"),
        ("oauth_signature=\"", "oauth_signature=\"x"),
    );
    for (edits, expected) in [
        (vec![consumer, token, signature], ErrorKind::OauthKey),
        (vec![token, signature], ErrorKind::OauthToken),
        (vec![signature], ErrorKind::OauthSignature),
        (vec![("HMAC-SHA1", "PLAINTEXT"), consumer], ErrorKind::OauthSignature),
    ] {
        let result = fixture.send("GET", &request.url(), &[&edit(&edits)]).await;
        assert_eq!(kind(result), Some(expected));
    }
}

#[tokio::test]
async fn a_request_is_accepted_once() {
    let (fixture, request) = one_recorded().await;
    // A nonce is neither reported nor remembered before the signature is verified.
    let forged = request.authorization.replace("oauth_signature=\"", "oauth_signature=\"x");
    assert_eq!(kind(fixture.send("GET", &request.url(), &[&forged]).await), Some(ErrorKind::OauthSignature));
    fixture.send_recorded(&request).await.unwrap();
    assert_eq!(kind(fixture.send_recorded(&request).await), Some(ErrorKind::DuplicateRequest));
    assert_eq!(kind(fixture.send("GET", &request.url(), &[&forged]).await), Some(ErrorKind::OauthSignature));
}

#[tokio::test]
async fn a_request_is_accepted_within_five_minutes_of_our_clock() {
    let (fixture, request) = one_recorded().await;
    let sent = request.sent_at().as_millis();
    for off in [-301_000, 301_000] {
        fixture.set_clock(sent + off);
        assert_eq!(kind(fixture.send_recorded(&request).await), Some(ErrorKind::DuplicateRequest), "{off}");
    }
    fixture.set_clock(sent + 300_999);
    fixture.send_recorded(&request).await.unwrap();
    // Remembered until the end of the window, and outside it afterwards.
    assert_eq!(kind(fixture.send_recorded(&request).await), Some(ErrorKind::DuplicateRequest));
}

#[tokio::test]
async fn the_error_for_an_expired_credential_depends_on_the_scheme() {
    let (fixture, request) = one_recorded().await;
    let bearer = format!("Bearer {}", access_token::token_of(ACCESS_TOKEN));
    assert!(fixture.send("GET", "http://h/", &[&bearer]).await.unwrap().user_id().is_some());
    fixture.expire_at(request.sent_at());
    assert_eq!(kind(fixture.send("GET", "http://h/", &[&bearer]).await), Some(ErrorKind::AccessTokenExpired));
    assert_eq!(kind(fixture.send_recorded(&request).await), Some(ErrorKind::OauthToken));
    let recorded = recorded();
    let of_application = recorded.requests.last().unwrap();
    assert_eq!(kind(fixture.send_recorded(of_application).await), Some(ErrorKind::OauthKey));
}

#[tokio::test]
async fn a_revoked_credential_is_unknown() {
    let (fixture, request) = one_recorded().await;
    let bearer = format!("bearer  {}", access_token::token_of(ACCESS_TOKEN));
    fixture.send("GET", "http://h/", &[&bearer]).await.unwrap();
    fixture.source.0.lock().unwrap().clear();
    assert_eq!(kind(fixture.send("GET", "http://h/", &[&bearer]).await), Some(ErrorKind::AccessTokenUnknown));
    assert_eq!(kind(fixture.send_recorded(&request).await), Some(ErrorKind::OauthKey));
}

#[tokio::test]
async fn a_kept_credential_works_for_five_seconds_at_most() {
    let recorded = recorded();
    let now = recorded.requests[0].sent_at();
    let fixture = Fixture::keeping(&recorded.keys, now, Duration::from_secs(3600)).await;
    let bearer = format!("Bearer {}", access_token::token_of(ACCESS_TOKEN));
    fixture.send("GET", "http://h/", &[&bearer]).await.unwrap();
    fixture.send_recorded(&recorded.requests[0]).await.unwrap();
    fixture.source.0.lock().unwrap().clear();
    fixture.set_clock(now.as_millis() + 4_999);
    fixture.send("GET", "http://h/", &[&bearer]).await.unwrap();
    fixture.send_recorded(&recorded.requests[1]).await.unwrap();
    fixture.set_clock(now.as_millis() + 5_000);
    assert_eq!(kind(fixture.send("GET", "http://h/", &[&bearer]).await), Some(ErrorKind::AccessTokenUnknown));
    assert_eq!(kind(fixture.send_recorded(&recorded.requests[2]).await), Some(ErrorKind::OauthKey));
}

#[tokio::test]
async fn guesses_wait_longer_and_longer_but_valid_credentials_do_not_wait() {
    let recorded = recorded();
    let fixture = Fixture::new(&recorded.keys, recorded.requests[0].sent_at()).await;
    let here = Some(IpAddr::from([192, 0, 2, 1]));
    let slept = || std::mem::take(&mut *fixture.clock.slept.lock().unwrap());
    let guess = async |request: &Request, authorization: &str| {
        kind(fixture.send_from(here, &request.method, &request.url(), &[authorization]).await)
    };
    let forged = |request: &Request| request.authorization.replace("oauth_signature=\"", "oauth_signature=\"x");

    let first = &recorded.requests[0];
    for _ in 0..20 {
        assert_eq!(guess(first, &forged(first)).await, Some(ErrorKind::OauthSignature));
    }
    assert!(slept().is_empty());
    for n in 0..100_u8 {
        let token = access_token::token_of([n; 32]);
        if n != ACCESS_TOKEN[0] {
            assert_eq!(guess(first, &format!("Bearer {token}")).await, Some(ErrorKind::AccessTokenUnknown));
        }
        assert_eq!(guess(first, &forged(first)).await, Some(ErrorKind::OauthSignature));
        let strange = first.authorization.replace("oauth_consumer_key=\"", "oauth_consumer_key=\"x");
        assert_eq!(guess(first, &strange).await, Some(ErrorKind::OauthKey));
    }
    let waits = slept();
    assert!(waits.len() > 250 && waits.is_sorted(), "{waits:?}");
    assert_eq!((waits.first(), waits.last()), (Some(&Duration::from_millis(100)), Some(&Duration::from_secs(2))));

    // Valid requests from the same address and for the same consumer are answered at once.
    let bearer = format!("Bearer {}", access_token::token_of(ACCESS_TOKEN));
    for request in recorded.requests.iter().filter(|request| !request.is_unsigned_in_part()) {
        assert_eq!(guess(request, &request.authorization).await, None);
        assert_eq!(guess(request, &bearer).await, None);
        assert_eq!(kind(fixture.send_from(here, "GET", "http://h/", &[]).await), None);
    }
    // A credential that used to be valid is not a guess.
    assert_eq!(guess(first, &first.authorization).await, Some(ErrorKind::DuplicateRequest));
    fixture.expire_at(first.sent_at());
    assert_eq!(guess(first, &bearer).await, Some(ErrorKind::AccessTokenExpired));
    assert!(slept().is_empty());

    // From another address, only guesses for that consumer wait.
    let elsewhere = Some(IpAddr::from([192, 0, 2, 2]));
    let unknown = format!("Bearer {}", access_token::token_of([8; 32]));
    assert!(fixture.send_from(elsewhere, "GET", "http://h/", &[&unknown]).await.is_err());
    assert!(slept().is_empty());
    assert!(fixture.send_from(elsewhere, &first.method, &first.url(), &[&forged(first)]).await.is_err());
    assert_eq!(slept(), [Duration::from_secs(2)]);
}

#[tokio::test]
async fn two_headers_that_a_gateway_joined_are_not_a_credential() {
    let (fixture, request) = one_recorded().await;
    let bearer = format!("Bearer {}", access_token::token_of(ACCESS_TOKEN));
    for (joined, expected) in [
        (format!("{bearer},{bearer}"), ErrorKind::AccessTokenUnknown),
        (format!("{bearer}, {}", request.authorization), ErrorKind::AccessTokenUnknown),
        (format!("{}, {bearer}", request.authorization), ErrorKind::OauthSignature),
        (format!("{},{}", request.authorization, request.authorization), ErrorKind::OauthSignature),
    ] {
        assert_eq!(kind(fixture.send("GET", &request.url(), &[&joined]).await), Some(expected), "{joined}");
    }
}

#[tokio::test]
async fn without_a_credential_the_caller_is_nobody_and_an_unsupported_one_is_an_error() {
    let (fixture, request) = one_recorded().await;
    assert_eq!(fixture.send("GET", "http://h/", &[]).await.unwrap(), Caller::Nobody);
    let good = access_token::token_of(ACCESS_TOKEN);
    let other = access_token::token_of([8; 32]);
    for (headers, expected) in [
        (vec![""], ErrorKind::UserNotAuthenticated),
        (vec!["Basic YTpi"], ErrorKind::UserNotAuthenticated),
        (vec!["Bearér x"], ErrorKind::UserNotAuthenticated),
        (vec![good.as_str()], ErrorKind::UserNotAuthenticated),
        (vec![request.authorization.as_str(), "Bearer x"], ErrorKind::UserNotAuthenticated),
        (vec!["Bearer"], ErrorKind::AccessTokenUnknown),
        (vec!["Bearer tl_x"], ErrorKind::AccessTokenUnknown),
        (vec![&*format!("Bearer {other}")], ErrorKind::AccessTokenUnknown),
        (vec![&*format!("Bearer {good} ,")], ErrorKind::AccessTokenUnknown),
        (vec!["OAuth"], ErrorKind::OauthSignature),
        (vec!["OAuth x=y"], ErrorKind::OauthSignature),
    ] {
        assert_eq!(kind(fixture.send("GET", "http://h/", &headers).await), Some(expected), "{headers:?}");
    }
}

#[tokio::test]
async fn no_error_quotes_a_credential() {
    let (fixture, request) = one_recorded().await;
    let other = access_token::token_of([8; 32]);
    let shown = [format!("Bearer {other}"), request.authorization.replace("GET", "x"), format!("Token {other}")];
    for authorization in &shown {
        let error = fixture.send("PUT", "http://h/", &[authorization]).await.unwrap_err();
        let printed = format!("{error} {error:?}");
        for part in authorization.split(['"', ' ']).filter(|part| part.len() > 10 && !part.starts_with("oauth_")) {
            assert!(!printed.contains(part), "{printed}");
        }
    }
}
