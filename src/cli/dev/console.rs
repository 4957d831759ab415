//! The console of `tasklane dev`.

use std::{fs, path::Path};

use anyhow::Context as _;
use tasklane_client::{BaseUrl, Client, Credential, StoredCredentials};
use tasklane_console::Console;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{console::bind_near, output};

/// The console while it runs.
pub(super) struct Open {
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Open {
    /// Closes it, and with it the streams that its pages have open.
    pub(super) async fn close(self) {
        self.stop.cancel();
        let _ = self.serving.await;
    }
}

/// Opens the console of the service at `url`, on the port after its own, or on a free one, and shows its link. Without it the
/// service works all the same.
pub(super) async fn open(url: &str, port: u16, credentials: &Path) -> Option<Open> {
    let console = match bind(url, port, credentials).await {
        Ok(console) => console,
        Err(error) => {
            output::note(&format!("warning: there is no console: {error:#}"));
            return None;
        }
    };
    output::note(&format!("console (this link works once): {}", console.link()));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(console.serve(stop.clone()));
    Some(Open { stop, serving })
}

async fn bind(url: &str, port: u16, credentials: &Path) -> anyhow::Result<Console> {
    let text =
        fs::read_to_string(credentials).with_context(|| format!("the credentials file {}", credentials.display()))?;
    let token = StoredCredentials::parse(&text).access_token.context("the credentials file has no access token")?;
    let client = Client::new(BaseUrl::from_url(url)?, Credential::Bearer(token))?;
    Ok(bind_near(port, client).await?)
}
