//! What the log contains about a request, and what it must not contain.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tasklane_testing::log::capture;
use tracing_subscriber::fmt::MakeWriter;

use super::kit::Kit;

/// The captured log.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// Takes all of it.
    pub fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_line_has_route_status_and_time_and_no_secrets_or_data() {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false).json().finish();
    let guard = capture(subscriber);
    let kit = Kit::new().await;
    let body = "{\"functionName\":\"private-name\",\"data\":\"private-data\",\"priority\":\"private-priority\"}";
    let answered = kit.ask("POST /tasks/v1?private-query", "may CREATE_TASKS,PRIVATE_PERMISSION", body).await;
    assert_eq!(answered.code(), 15);
    kit.ask("GET /tasks/v1/private-path/logs", "Bearer private-token", "").await;
    drop(guard);
    let log = kept.take();
    for part in
        ["\"route\":\"/tasks/v1\"", "\"method\":\"POST\"", "\"status\":400", "\"millis\":", "FIELD_FORMAT_EXCEPTION"]
    {
        assert!(log.contains(part), "{part} in {log}");
    }
    assert!(log.contains(answered.headers["x-request-id"].to_str().unwrap()), "{log}");
    assert!(!log.to_lowercase().contains("private"), "{log}");
}
