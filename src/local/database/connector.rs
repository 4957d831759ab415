//! Connects the AWS SDK to the embedded database: an HTTP client that sends nothing.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, mpsc},
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
    calls::{Call, Work},
    desk::{Answer, Desk},
};

/// How calls reach the database.
pub(super) enum Backend {
    /// On the caller's thread: a database in memory answers in microseconds.
    Inline(Result<Box<Mutex<Desk>>, String>, Option<Watch>),
    /// On a thread of its own, because a write waits for the disk and must not block an async thread.
    Thread { requests: Option<mpsc::Sender<Box<dyn Work>>>, thread: Option<JoinHandle<()>> },
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
        let call = |caller| Call::new(operation, body.to_vec(), caller);
        let answered = self.0.submit(call);
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            // Keeps the thread alive.
            let _connector = connector;
            match answered {
                Ok(answered) => answered.await.map_err(|_| STOPPED.to_owned()).map(respond),
                Err(why) => Err(why),
            }
            .unwrap_or_else(|why| Err(ConnectorError::other(why.into(), None)))
        })
    }
}

pub(super) const STOPPED: &str = "the database has stopped";

impl Backend {
    /// Has a request done. Its answer arrives at what is returned.
    pub(super) fn submit<W: Work + 'static, A>(
        &self,
        work: impl FnOnce(oneshot::Sender<A>) -> W,
    ) -> Result<oneshot::Receiver<A>, String> {
        let (caller, answered) = oneshot::channel();
        let mut work = Box::new(work(caller));
        match self {
            Self::Inline(Ok(desk), watch) => {
                let watch = watch.as_ref();
                let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
                desk.begin(None);
                work.run(&mut desk, watch);
                let ended = desk.end();
                drop(desk);
                work.answer(ended.as_ref().copied().map_err(String::as_str), watch);
            }
            Self::Inline(Err(why), _) => return Err(why.clone()),
            Self::Thread { requests, .. } => {
                let sent = requests.as_ref().map(|requests| requests.send(work));
                if !matches!(sent, Some(Ok(()))) {
                    return Err(STOPPED.to_owned());
                }
            }
        }
        Ok(answered)
    }
}

fn respond(answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}
