//! Connects the AWS SDK to the embedded database: an HTTP client that sends nothing.

use std::{
    fmt,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use tokio::sync::oneshot;

use super::{
    Watch,
    calls::{Answer, Request, Tokens, answer, has_written},
};

/// How calls reach the database.
pub(super) enum Backend {
    /// On the caller's thread: a database in memory answers in microseconds.
    Inline(Result<dynoxide::Database, String>, Option<Watch>),
    /// On a thread of its own, because a write waits for the disk and must not block an async thread.
    Thread { requests: Option<mpsc::Sender<Request>>, thread: Option<JoinHandle<()>> },
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Self::Thread { requests, thread } = self {
            requests.take();
            // Wait until the file is closed, so that another process can open it. A panic in the thread was reported
            // when it happened.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

/// The HTTP client. The database stays open while a clone of it lives.
#[derive(Clone)]
pub(super) struct Connector(pub(super) Arc<Backend>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector(embedded DynamoDB)")
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request
            .headers()
            .get("x-amz-target")
            .and_then(|target| target.rsplit('.').next())
            .unwrap_or_default()
            .to_owned();
        let Some(body) = request.body().bytes() else {
            return HttpConnectorFuture::ready(Err(ConnectorError::user("a streamed request".into())));
        };
        match &*self.0 {
            Backend::Inline(Ok(database), watch) => {
                let answer = answer(database, &operation, body, Tokens::Kept);
                if let Some(watch) = watch
                    && watch.is_wanted()
                    && has_written(&operation, &answer)
                {
                    watch.written(&operation, body);
                }
                HttpConnectorFuture::ready(respond(answer))
            }
            Backend::Inline(Err(why), _) => {
                HttpConnectorFuture::ready(Err(ConnectorError::other(why.clone().into(), None)))
            }
            Backend::Thread { requests, .. } => {
                let (answer, answered) = oneshot::channel();
                let request = Request { operation, body: body.to_vec(), answer };
                let sent = requests.as_ref().map(|requests| requests.send(request));
                let connector = self.clone();
                HttpConnectorFuture::new(async move {
                    // Keeps the thread alive.
                    let _connector = connector;
                    match (sent, answered.await) {
                        (Some(Ok(())), Ok(answer)) => respond(answer),
                        _ => Err(ConnectorError::other("the database has stopped".into(), None)),
                    }
                })
            }
        }
    }
}

fn respond(answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}
