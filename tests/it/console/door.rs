//! Who gets into the console, and what its answers say.

use reqwest::{Client, Response, StatusCode, redirect::Policy};
use serde_json::json;

use crate::support::{command::tasklane, dev::Dev, wait};

use super::site::{Site, hostile};

/// A browser without a window.
struct Browser {
    http: Client,
    root: String,
    cookie: String,
}

fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}

impl Browser {
    async fn let_in(link: &str) -> Self {
        let http = http();
        let answer = http.get(link).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
        assert!(cookie.contains("; Path=/console/"), "the service on another port must not get it: {cookie}");
        let root = link.split_once("open?").unwrap().0.to_owned();
        Self { http, root, cookie: cookie.split(';').next().unwrap().to_owned() }
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.root)).header("cookie", &self.cookie).send().await.unwrap()
    }

    async fn post(&self, path: &str, form: &str) -> Response {
        let origin = self.root.trim_end_matches("/console/").to_owned();
        self.post_from(path, form, Some(&origin)).await
    }

    async fn post_from(&self, path: &str, form: &str, origin: Option<&str>) -> Response {
        let mut request = self.http.post(format!("{}{path}", self.root)).header("cookie", &self.cookie);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        request.send().await.unwrap()
    }
}

fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

#[test]
fn nobody_gets_in_without_the_link_and_nobody_with_it_twice() {
    let site = Site::start();
    block_on(async {
        let http = http();
        let plain = |path: &str| http.get(format!("{}{path}", site.root()));
        for path in ["", "tasks", "credentials", "changes?page=/console/"] {
            let answer = plain(path).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
            assert!(!answer.text().await.unwrap().contains("invoices"), "{path}");
        }
        assert_eq!(plain("open?key=guess").send().await.unwrap().status(), StatusCode::FORBIDDEN);

        let browser = Browser::let_in(&site.link).await;
        assert_eq!(browser.get("").await.status(), StatusCode::OK);
        let stolen = http.get(&site.link).send().await.unwrap();
        assert_eq!((stolen.status(), stolen.headers().get("set-cookie")), (StatusCode::FORBIDDEN, None));
        assert!(stolen.text().await.unwrap().contains("works only once"));
        // The browser that was let in gets there from its history.
        assert_eq!(browser.get(site.link.rsplit('/').next().unwrap()).await.status(), StatusCode::SEE_OTHER);
    });
    site.dev.stop();
}

#[test]
fn other_names_and_other_sites_get_nowhere() {
    let site = Site::start();
    let waiting = site.dev.create_task("idle", json!({ "startTimestamp": "2099-01-01T00:00:00Z" }));
    let cancel = format!("tasks/{}/cancel", waiting["id"].as_str().unwrap());
    block_on(async {
        let browser = Browser::let_in(&site.link).await;
        // DNS rebinding: a name of somebody else that leads here.
        let rebound = browser.http.get(&browser.root).header("cookie", &browser.cookie).header("host", "evil.example");
        assert_eq!(rebound.send().await.unwrap().status(), StatusCode::MISDIRECTED_REQUEST);
        // Forms of other sites, and of the service itself, whose origin API Functions share.
        for origin in [None, Some("https://evil.example"), Some("null"), Some(site.dev.base_url())] {
            let answer = browser.post_from(&cancel, "", origin).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin:?}");
        }
        let embedded = browser.http.get(format!("{}tasks", browser.root)).header("cookie", &browser.cookie);
        let embedded = embedded.header("sec-fetch-site", "same-site").header("sec-fetch-mode", "no-cors");
        assert_eq!(embedded.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    });
    assert_eq!(site.dev.task(waiting["id"].as_str().unwrap())["status"], "new", "nothing was done");
    site.dev.stop();
}

#[test]
fn every_page_is_strict_small_and_without_secrets() {
    let site = Site::start();
    let failed = site.finished("invoices", json!({ "fail": hostile(), "lines": [hostile()] }));
    site.dev
        .ask(
            "POST",
            "/tasklane/v1/schedules",
            Some(&json!({ "name": "<b>nightly</b>", "cron": "0 3 * * *", "functionName": "idle" })),
        )
        .ok();
    let secrets: Vec<String> = {
        let credentials = site.dev.credentials();
        let secret = |name: &&str| credentials[*name].clone();
        ["API_ACCESS_TOKEN", "API_OAUTH_CONSUMER_SECRET", "API_OAUTH_TOKEN_SECRET"]
            .iter()
            .filter(|name| credentials.contains_key(**name))
            .map(secret)
            .chain(["a-secret-value".to_owned()])
            .collect()
    };
    assert!(secrets.len() >= 2);
    block_on(async {
        let browser = Browser::let_in(&site.link).await;
        let task = format!("tasks/{failed}");
        let pages = [
            "",
            "tasks",
            "failures",
            "functions",
            "functions/invoices",
            "schedules",
            "bulk",
            "requests",
            "live",
            "credentials",
            "nowhere",
            "tasks?rql=eq(",
            "static/console.js",
            "static/console.css",
            &task,
        ];
        for page in pages {
            let answer = browser.get(page).await;
            let headers = answer.headers().clone();
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{page}: {policy}");
            for (name, value) in [
                ("x-frame-options", "DENY"),
                ("x-content-type-options", "nosniff"),
                ("cross-origin-resource-policy", "same-origin"),
                ("referrer-policy", "same-origin"),
            ] {
                assert_eq!(headers[name], value, "{page}");
            }
            let is_file = page.starts_with("static/");
            assert!(is_file || headers["cache-control"] == "no-store", "{page}");
            let text = answer.text().await.unwrap();
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "a secret is on {page}");
            }
            assert!(
                is_file || !(text.contains("<script>") || text.contains("<img") || text.contains("style=")),
                "{page}"
            );
            assert!(!text.contains('\0') && !text.contains('\u{1b}') && !text.contains('\u{202e}'), "{page}");
        }
        // The first visit, as it travels.
        let mut bytes = 0;
        for path in ["", "static/console.css", "static/console.js", "static/icon.svg"] {
            let request = browser.http.get(format!("{}{path}", browser.root)).header("cookie", &browser.cookie);
            bytes += request.header("accept-encoding", "gzip").send().await.unwrap().bytes().await.unwrap().len();
        }
        assert!(bytes < 40_000, "{bytes} bytes");
    });
    site.dev.stop();
}

#[test]
fn what_a_caller_may_not_do_is_neither_offered_nor_done() {
    let site = Site::start();
    let waiting = site.dev.create_task("idle", json!({ "startTimestamp": "2099-01-01T00:00:00Z" }));
    let id = waiting["id"].as_str().unwrap();
    let viewer = site.dev.ask(
        "POST",
        "/tasklane/v1/credentials",
        Some(&json!({ "userId": "viewer", "permissions": ["VIEW_TASKS", "VIEW_TASK_FUNCTIONS", "VIEW_TASK_FUNCTION_DETAILS"] })),
    );
    let token = viewer.ok()["accessToken"].as_str().unwrap().to_owned();
    let (mut child, link) = open(&site.dev, site.home.path(), &token);
    block_on(async {
        let browser = Browser::let_in(&link).await;
        let page = browser.get(&format!("tasks/{id}")).await.text().await.unwrap();
        assert!(page.contains("It waits for its start time") && page.contains("viewer"));
        for act in ["Cancel…", "Run again…"] {
            assert!(!page.contains(act), "{act}");
        }
        assert!(!browser.get("functions/idle").await.text().await.unwrap().contains("Disable…"));
        let refused = browser.post(&format!("tasks/{id}/cancel"), "").await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        let text = refused.text().await.unwrap();
        assert!(text.contains("10 NO_PERMISSION_EXCEPTION") && text.contains("Ask an administrator"), "{text}");
        assert_eq!(browser.get("credentials").await.status(), StatusCode::FORBIDDEN);
    });
    assert_eq!(site.dev.task(id)["status"], "new");
    nix::sys::signal::kill(pid(&child), nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    site.dev.stop();
}

fn pid(child: &std::process::Child) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// A `tasklane console` with this token, and its link.
fn open(dev: &Dev, home: &std::path::Path, token: &str) -> (std::process::Child, String) {
    use std::io::{BufRead as _, BufReader};
    let mut command = tasklane(home);
    command.args(["console", "--port", "0", "--url", dev.base_url()]).env("API_ACCESS_TOKEN", token);
    let command = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("/console/open?key="), "{line}");
    (child, line.trim().to_owned())
}

#[test]
fn a_page_follows_the_service_and_says_when_it_does_not_answer() {
    let site = Site::start();
    block_on(async {
        let browser = Browser::let_in(&site.link).await;
        let mut stream = browser.get("changes?page=%2Fconsole%2Ftasks").await;
        let mut seen = String::new();
        let task =
            site.dev.asker().ask("POST", "/tasks/v1/", Some(&json!({ "functionName": "idle" }))).await.unwrap().ok();
        let id = task["id"].as_str().unwrap();
        let began = std::time::Instant::now();
        while !seen.contains(id) {
            assert!(began.elapsed() < wait::PATIENCE, "{seen}");
            let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
            seen.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(seen.contains("event: part"), "{seen}");
    });
    site.dev.stop();
}
