//! Who gets in: the link that works once, the cookie that it sets, and where a request may come from.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, Method, header};
use sha2::{Digest as _, Sha256};
use tasklane_model::Timestamp;
use tasklane_runtime::lock::Lock;

/// What is below this path is the console, and only there does the browser send its cookie.
pub(crate) const ROOT: &str = "/console/";

/// How many browsers can be let in at once. The one that was seen least recently goes.
const MOST_SESSIONS: usize = 32;
/// How long a browser that does not come back is remembered.
const LIFETIME_MILLIS: i64 = 12 * 60 * 60 * 1000;

/// Lets browsers in, and refuses everything else.
pub(crate) struct Door {
    hosts: [String; 3],
    cookie: String,
    /// The digest of the link's key, until it is used.
    link: Lock<Option<Secret>>,
    sessions: Lock<HashMap<Secret, Session>>,
}

/// The digest of a random string, so that comparing it tells nothing about the string.
pub(crate) type Secret = [u8; 32];

struct Session {
    seen: Timestamp,
    /// What the next page says first: what an act did.
    notice: Option<String>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("This address is the console's only under the names 127.0.0.1, localhost and [::1], with its own port.")]
    Host,
    #[error("This request comes from another site. Only the console's own pages can make it.")]
    Origin,
    #[error("This link was used before, and works only once.")]
    Link,
    #[error("This browser has not been let in, or not lately.")]
    Session,
}

impl Door {
    /// A door for this port, and the key of its link.
    pub(crate) fn new(port: u16) -> Result<(Self, String), getrandom::Error> {
        let key = random()?;
        let door = Self {
            hosts: ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")),
            cookie: format!("tasklane-console-{port}"),
            link: Lock::new(Some(digest(&key))),
            sessions: Lock::default(),
        };
        Ok((door, key))
    }

    /// Checks where a request comes from.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        let host = only(headers, &header::HOST).filter(|host| self.hosts.iter().any(|own| own == host));
        let Some(host) = host else { return Err(Refused::Host) };
        let site = only(headers, &FETCH_SITE);
        let is_navigation = only(headers, &FETCH_MODE) == Some("navigate") && *method == Method::GET;
        // A link to a page may be anywhere. What it shows stays in its own window.
        if !matches!(site, None | Some("same-origin" | "none")) && !is_navigation {
            return Err(Refused::Origin);
        }
        if *method == Method::GET || *method == Method::HEAD {
            return Ok(());
        }
        match headers.get(header::ORIGIN) {
            Some(origin) if origin.as_bytes() == format!("http://{host}").as_bytes() => Ok(()),
            Some(_) => Err(Refused::Origin),
            None if site == Some("same-origin") => Ok(()),
            None => Err(Refused::Origin),
        }
    }

    /// Uses the link up, and returns the cookie for the browser.
    pub(crate) fn open(&self, key: &str, now: Timestamp) -> Result<String, Refused> {
        let mut link = self.link.lock();
        if *link != Some(digest(key)) {
            return Err(Refused::Link);
        }
        let session = random().map_err(|_| Refused::Link)?;
        *link = None;
        let mut sessions = self.sessions.lock();
        if sessions.len() >= MOST_SESSIONS
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.seen).map(|(id, _)| *id)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(digest(&session), Session { seen: now, notice: None });
        Ok(format!("{}={session}; Path={ROOT}; HttpOnly; SameSite=Strict", self.cookie))
    }

    /// The session of a request's cookie.
    pub(crate) fn enter(&self, headers: &HeaderMap, now: Timestamp) -> Result<Secret, Refused> {
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, session| now.as_millis() - session.seen.as_millis() < LIFETIME_MILLIS);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let values = cookies.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        });
        // Another program on this machine may have set one of the same name.
        for value in values.take(4) {
            let id = digest(value);
            if let Some(session) = sessions.get_mut(&id) {
                session.seen = now;
                return Ok(id);
            }
        }
        Err(Refused::Session)
    }

    /// Has the next page of this session say something first.
    pub(crate) fn tell(&self, session: &Secret, notice: String) {
        if let Some(session) = self.sessions.lock().get_mut(session) {
            session.notice = Some(notice);
        }
    }

    /// What the page is to say first.
    pub(crate) fn told(&self, session: &Secret) -> Option<String> {
        self.sessions.lock().get_mut(session).and_then(|session| session.notice.take())
    }
}

static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The value of a header that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn digest(text: &str) -> Secret {
    Sha256::digest(text.as_bytes()).into()
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::saturating_from_millis(seconds * 1000)
    }

    #[test]
    fn only_this_machines_names_are_answered() {
        let (door, _) = Door::new(4001).unwrap();
        let check = |host: &[&str]| {
            let pairs: Vec<_> = host.iter().map(|host| ("host", *host)).collect();
            door.check(&Method::GET, &headers(&pairs))
        };
        for host in ["127.0.0.1:4001", "localhost:4001", "[::1]:4001"] {
            assert_eq!(check(&[host]), Ok(()), "{host}");
        }
        for host in
            ["evil.example:4001", "localhost", "localhost:4000", "localhost.evil.example:4001", "127.0.0.1:4001.", ""]
        {
            assert_eq!(check(&[host]), Err(Refused::Host), "{host}");
        }
        assert_eq!(check(&[]), Err(Refused::Host));
        assert_eq!(check(&["localhost:4001", "evil.example"]), Err(Refused::Host));
    }

    #[test]
    fn only_its_own_pages_change_anything() {
        let (door, _) = Door::new(4001).unwrap();
        let check = |method: Method, more: &[(&'static str, &str)]| {
            let pairs: Vec<_> = [("host", "localhost:4001")].iter().chain(more).copied().collect();
            door.check(&method, &headers(&pairs))
        };
        let refused = Err(Refused::Origin);
        assert_eq!(check(Method::POST, &[("origin", "http://localhost:4001")]), Ok(()));
        assert_eq!(check(Method::POST, &[("sec-fetch-site", "same-origin")]), Ok(()));
        for origin in
            ["http://localhost:4000", "https://localhost:4001", "http://127.0.0.1:4001", "http://evil.example", "null"]
        {
            assert_eq!(check(Method::POST, &[("origin", origin)]), refused, "{origin}");
        }
        assert_eq!(check(Method::POST, &[]), refused);
        assert_eq!(
            check(Method::POST, &[("origin", "http://localhost:4001"), ("sec-fetch-site", "cross-site")]),
            refused
        );
        // Another port of this machine is the same site, but not the same origin.
        assert_eq!(check(Method::GET, &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")]), refused);
        assert_eq!(check(Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]), Ok(()));
        assert_eq!(check(Method::POST, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]), refused);
        assert_eq!(check(Method::GET, &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]), Ok(()));
    }

    #[test]
    fn a_link_works_once_and_its_cookie_until_it_is_not_used_any_more() {
        let (door, key) = Door::new(4001).unwrap();
        assert_eq!(door.open("wrong", at(0)), Err(Refused::Link));
        let cookie = door.open(&key, at(0)).unwrap();
        assert_eq!(door.open(&key, at(0)), Err(Refused::Link), "a stolen link");
        assert!(cookie.ends_with("; Path=/console/; HttpOnly; SameSite=Strict"), "{cookie}");
        let pair = cookie.split(';').next().unwrap();
        let enter = |cookies: &[&str], now| {
            let pairs: Vec<_> = cookies.iter().map(|cookie| ("cookie", *cookie)).collect();
            door.enter(&headers(&pairs), at(now)).is_ok()
        };
        assert!(enter(&[pair], 1) && enter(&[&format!("a=b; tasklane-console-4001=x; {pair}")], 1));
        assert!(
            !enter(&[], 1) && !enter(&["tasklane-console-4001=x"], 1) && !enter(&[&pair.replace("4001", "4002")], 1)
        );
        assert!(!enter(&[&format!("tasklane-console-4001={key}")], 1), "the link's key is not the cookie");
        assert!(enter(&[pair], 43_000) && enter(&[pair], 86_000) && !enter(&[pair], 86_000 + 43_200));
    }

    #[test]
    fn a_notice_is_told_once() {
        let (door, key) = Door::new(1).unwrap();
        let cookie = door.open(&key, at(0)).unwrap();
        let session = door.enter(&headers(&[("cookie", &cookie)]), at(1)).unwrap();
        door.tell(&session, "done".to_owned());
        assert_eq!((door.told(&session).as_deref(), door.told(&session)), (Some("done"), None));
    }
}
