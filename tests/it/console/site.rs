//! A `tasklane dev` with something to see, and its console.

use serde_json::{Value, json};

use crate::support::{dev::Dev, project::write_function};

/// A service and its console. The folder of its data goes when it is dropped.
pub struct Site {
    pub dev: Dev,
    /// The link that lets one browser in.
    pub link: String,
    pub home: tempfile::TempDir,
}

/// A Function that does as its input says.
const WORKER: &str = r"
exports.handler = async (event) => {
  const data = event.data ?? {};
  for (const line of data.lines ?? ['hello']) console.log(line);
  if (data.ms) await new Promise((resolve) => setTimeout(resolve, data.ms));
  if (data.fail) throw Object.assign(new Error(data.fail), { name: 'MAIL_REFUSED' });
  if (event.rawPath) return { statusCode: 200, body: { path: event.rawPath } };
  return { done: true, of: data.number ?? null };
};
";

/// Text that tries everything: HTML, a terminal's colors, the other direction, a null byte, and length.
pub fn hostile() -> String {
    let long = "x".repeat(300);
    format!(
        "<script>globalThis.pwned=1</script><img src=x onerror=\"globalThis.pwned=1\">\u{1b}[31m\u{202e}gnirts\0 مرحبا 🎉 {long}"
    )
}

impl Site {
    /// Starts it with three Functions, one whose runs are retried, and one whose Tasks take turns.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// The same, in this folder, in which there may be data already.
    pub fn start_in(home: tempfile::TempDir) -> Self {
        let functions = home.path().join("functions");
        let more = json!({
            "executionPermission": "allUsers", "environment": { "MAIL_HOST": "mail.internal", "MAIL_KEY": "a-secret-value" },
        });
        for name in ["invoices", "reports", "idle"] {
            write_function(&functions, name, WORKER, &more);
        }
        let retried = json!({ "retryPolicy": { "enabled": true, "strategy": { "maxRetries": 2, "baseSeconds": 1, "jitter": false } } });
        write_function(&functions, "mailer", WORKER, &retried);
        let in_turn =
            json!({ "flow": { "key": "data.customer", "concurrent": 2, "rate": { "count": 1, "seconds": 86_400 } } });
        write_function(&functions, "exports", WORKER, &in_turn);
        let dev = Dev::start(home.path(), [functions.as_os_str()]);
        let line = dev.says("console (this link works once): ");
        let link = line.rsplit(' ').next().unwrap().to_owned();
        Self { dev, link, home }
    }

    /// Where its pages are.
    pub fn root(&self) -> String {
        self.link.split_once("open?").unwrap().0.to_owned()
    }

    /// Creates a Task and waits until it is final.
    pub fn finished(&self, function: &str, data: Value) -> String {
        let task = self.dev.create_task(function, json!({ "data": data }));
        let id = task["id"].as_str().unwrap().to_owned();
        for _ in 0..5 {
            let task = self.dev.get(&format!("/tasklane/v1/tasks/{id}?wait=25"));
            if !["new", "inProgress"].contains(&task["status"].as_str().unwrap()) {
                return id;
            }
        }
        panic!("the Task does not end");
    }
}
