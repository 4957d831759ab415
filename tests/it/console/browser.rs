//! Every page and every act in Chromium (`browser.mjs`), in one run.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::support::{debian, packages, project::repository};

use super::site::{Site, hostile};

/// Set to rewrite `structure.txt`, and to store the pictures of README.
const UPDATE: &str = "UPDATE_CONSOLE";

#[test]
fn every_page_and_every_act_works_in_a_browser() {
    let (chromium, packages) = (debian::program("chromium"), packages::install());
    let home = tempfile::tempdir().unwrap();
    if std::env::var_os(UPDATE).is_some() {
        write_history(&home.path().join(".tasklane"));
    }
    let site = Site::start_in(home);
    let mail = json!({ "data": { "number": 1041, "to": "ada@example.com", "fail": "connect ECONNREFUSED 10.0.0.7:587", "lines": ["invoice 1041 for ada"] } });
    let mailed = site.dev.create_task("mailer", mail)["id"].as_str().unwrap().to_owned();
    for number in 0..24 {
        site.dev.create_task("invoices", json!({ "data": { "number": number, "ms": 20 }, "tags": ["import"] }));
    }
    let failed = site
        .finished("invoices", json!({ "fail": format!("refused {}", hostile()), "lines": [hostile(), "ERROR no"] }));
    let complete = site.finished("reports", json!({ "number": 7 }));
    let later = json!({ "startTimestamp": "2099-01-01T00:00:00Z", "data": { "text": hostile() }, "tags": ["<b>tag</b>", "مرحبا"] });
    let waiting = site.dev.create_task("idle", later)["id"].as_str().unwrap().to_owned();
    let schedule = json!({ "name": "<i>nightly</i> مرحبا", "cron": "0 3 * * *", "timezone": "Europe/Berlin", "functionName": "idle" });
    let schedule =
        site.dev.ask("POST", "/tasklane/v1/schedules", Some(&schedule)).ok()["id"].as_str().unwrap().to_owned();
    site.dev.ask("GET", "/tasks/v1/api/reports/a%3Cb%3E?x=1", None);
    let request = crate::support::wait::until("the API Request is recorded", || {
        site.dev.get("/tasks/v1/apiRequests")["data"][0]["id"].as_str().map(str::to_owned)
    });

    // A version that is tried, under a name that nobody should be fooled by.
    let label = "<img src=x onerror=\"globalThis.pwned=1\">\u{202e}gnirts مرحبا";
    let version = json!({ "description": "what it is for", "label": label, "publishOnly": true });
    site.dev.ask("PUT", "/tasks/v1/functions/idle", Some(&version)).ok();
    let canary = json!({ "version": 2, "percent": 10, "failWhen": { "failures": 3, "of": 20 } });
    site.dev.ask("POST", "/tasklane/v1/functions/idle/canary", Some(&canary)).ok();

    // The first one runs, and the others wait until tomorrow.
    for number in 0..3 {
        site.dev.create_task("exports", json!({ "data": { "customer": hostile_key(), "number": number } }));
    }
    crate::support::wait::until("two Tasks wait for their key", || {
        let keys = site.dev.get("/tasklane/v1/functions/exports/flow");
        (keys["data"][0]["waiting"] == 2 && keys["data"][0]["running"] == 0).then_some(())
    });

    let pictures = site.home.path().join("pictures");
    let plan = json!({
        "link": site.link, "root": site.root(), "service": site.dev.base_url(), "chromium": chromium,
        "token": site.dev.credentials()["API_ACCESS_TOKEN"], "profile": site.home.path().join("profile"), "pictures": pictures,
        "mailed": mailed, "failed": failed, "complete": complete, "waiting": waiting, "schedule": schedule, "request": request,
    });
    let mut node = packages::node();
    node.arg(repository().join("tests/it/console/browser.mjs"))
        .env("TASKLANE_TEST_PACKAGES", &packages)
        .env("TASKLANE_TEST_PLAN", plan.to_string())
        .env_remove("NODE_OPTIONS");
    let output = node.output().expect("node starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "the browser found faults\n{said}{}\n--- tasklane dev\n{}",
        String::from_utf8_lossy(&output.stderr),
        site.dev.stderr()
    );
    let (_, structure) = said.split_once("--- structure\n").expect("the program says the structure of each page");
    compare(&repository().join("tests/it/console/structure.txt"), structure);
    if std::env::var_os(UPDATE).is_some() {
        for picture in ["console-light.png", "console-dark.png"] {
            fs::copy(pictures.join(picture), repository().join("docs/images").join(picture)).unwrap();
        }
    }
    site.dev.stop();
}

/// As much of the hostile text as a key may have.
fn hostile_key() -> String {
    hostile().chars().take(100).collect()
}

/// A day's statistics, so that the charts in README's pictures are not empty.
fn write_history(data_dir: &Path) {
    const SCRIPT: &str = r"
import math, random, sqlite3, struct, sys, time
random.seed(7)
db = sqlite3.connect(sys.argv[1])
db.execute('CREATE TABLE runs (minute INTEGER NOT NULL, function TEXT NOT NULL, started INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, retried INTEGER NOT NULL, late BLOB NOT NULL, PRIMARY KEY (minute, function)) WITHOUT ROWID')
now = int(time.time() // 60)
for ago in range(1, 24 * 60):
    day = 1.2 + math.sin((now - ago) / 229)
    for name, scale in (('invoices', 9), ('reports', 4), ('mailer', 2)):
        started = int(random.expovariate(1 / (scale * day)))
        bad = sum(random.random() < (0.12 if 95 < ago < 140 and name == 'mailer' else 0.004) for _ in range(started))
        late = struct.pack('<BI', random.choice((17, 18, 20, 22, 24, 27)), max(started, 1))
        db.execute('INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)', (now - ago, name, started, started - bad, bad // 2, bad - bad // 2, late))
db.commit()
";
    fs::create_dir_all(data_dir).unwrap();
    let python = Command::new("python3").args(["-c", SCRIPT]).arg(data_dir.join("stats.sqlite")).status();
    assert!(python.expect("python3 starts").success());
}

/// The headings, tables, fields and buttons of each page are those of the stored file.
fn compare(file: &Path, structure: &str) {
    if std::env::var_os(UPDATE).is_some() {
        fs::write(file, structure).unwrap();
        return;
    }
    let stored = fs::read_to_string(file).expect("structure.txt is there");
    for (at, (found, expected)) in structure.lines().zip(stored.lines()).enumerate() {
        assert_eq!(
            found,
            expected,
            "line {} of {}: if it is meant, run this test with {UPDATE}=1",
            at + 1,
            file.display()
        );
    }
    assert_eq!(structure.lines().count(), stored.lines().count(), "if it is meant, run this test with {UPDATE}=1");
}
