//! A client of Lambda's Extensions API, for a process that is an extension of itself.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
//!
//! It uses one connection, which is polled together with the request and not by a task of its own. So the first poll
//! has already sent the request when it returns, and the handler starts while Lambda answers. The crate
//! `lambda-extension` is not used, because it opens connections of its own and registers in a loop of its own
//! (`docs/performance.md` has the figures).

use std::{env, fmt, io, pin::pin};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// Why a call of the API failed.
#[derive(Debug, thiserror::Error)]
pub enum ExtensionError {
    /// This process does not run in Lambda.
    #[error("AWS_LAMBDA_RUNTIME_API is not set")]
    NotInLambda,
    /// The connection failed.
    #[error("cannot connect to Lambda: {0}")]
    Unreachable(#[from] io::Error),
    /// The connection broke.
    #[error("the connection to Lambda broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The request is invalid.
    #[error("the request is invalid: {0}")]
    Request(#[from] http::Error),
    /// Lambda refused the request.
    #[error("Lambda answered {0}: {1}")]
    Refused(StatusCode, String),
    /// Lambda registered the extension, but sent no identifier.
    #[error("Lambda gave the extension no identifier")]
    Nameless,
}

/// The API in this execution environment.
pub struct ExtensionsApi {
    host: String,
    /// `None` after an error.
    connection: Option<Connection>,
}

type Connection = (SendRequest<Full<Bytes>>, http1::Connection<TokioIo<TcpStream>, Full<Bytes>>);

impl ExtensionsApi {
    /// Connects to the address that Lambda sets in the environment.
    #[allow(clippy::disallowed_methods)]
    pub async fn connect() -> Result<Self, ExtensionError> {
        Self::at(env::var("AWS_LAMBDA_RUNTIME_API").map_err(|_| ExtensionError::NotInLambda)?).await
    }

    async fn at(host: String) -> Result<Self, ExtensionError> {
        let connection = Some(open(&host).await?);
        Ok(Self { host, connection })
    }

    /// Registers an extension that is notified of each invocation. This must happen before the runtime asks for the
    /// first invocation.
    pub async fn register(mut self, name: &'static str) -> Result<Extension, ExtensionError> {
        let request = self
            .request(Method::POST, "register")
            .header(NAME, HeaderValue::from_static(name))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(r#"{"events":["INVOKE"]}"#))?;
        let mut answer = self.exchange(request).await?;
        let id = answer.headers_mut().remove(IDENTIFIER).ok_or(ExtensionError::Nameless)?;
        Ok(Extension { api: self, id })
    }

    fn request(&self, method: Method, what: &str) -> http::request::Builder {
        let uri = format!("/2020-01-01/extension/{what}");
        Request::builder().method(method).uri(uri).header(header::HOST, &self.host)
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, ExtensionError> {
        let (mut sender, mut connection) = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.host).await?,
        };
        let answer = {
            let mut answer = pin!(async {
                sender.ready().await?;
                let (head, body) = sender.send_request(request).await?.into_parts();
                Ok::<_, hyper::Error>(Response::from_parts(head, body.collect().await?.to_bytes()))
            });
            tokio::select! {
                biased;
                answer = &mut answer => answer?,
                // A response that arrived before the end is valid.
                ended = &mut connection => {
                    ended?;
                    return good(answer.await?);
                }
            }
        };
        self.connection = Some((sender, connection));
        good(answer)
    }
}

async fn open(host: &str) -> Result<Connection, ExtensionError> {
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let (mut sender, mut connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::select! {
        biased;
        ready = sender.ready() => ready?,
        ended = &mut connection => ended?,
    }
    Ok((sender, connection))
}

fn good(answer: Response<Bytes>) -> Result<Response<Bytes>, ExtensionError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    Err(ExtensionError::Refused(status, String::from_utf8_lossy(answer.body()).into_owned()))
}

impl fmt::Debug for ExtensionsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionsApi").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A registered extension.
#[derive(Debug)]
pub struct Extension {
    api: ExtensionsApi,
    id: HeaderValue,
}

impl Extension {
    /// Tells Lambda that the work is done, and waits for the next invocation.
    pub async fn next(&mut self) -> Result<(), ExtensionError> {
        let request = || self.api.request(Method::GET, "event/next").header(IDENTIFIER, &self.id).body(Full::default());
        let (first, second) = (request()?, request()?);
        // The connection may have ended in the meantime. A new one works.
        if self.api.exchange(first).await.is_err() {
            self.api.exchange(second).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Reads one request, answers it, and returns the request.
    async fn answer(stream: &mut TcpStream, status: &str, headers: &str) -> String {
        let mut heard = String::new();
        while !heard.contains("\r\n\r\n") || heard.starts_with("POST") && !heard.ends_with('}') {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "the connection ended after {heard:?}");
            heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        let answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: 2\r\n\r\n{{}}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        heard
    }

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        (listener, host)
    }

    /// On one thread, so that only the poll can have sent what has arrived when it returns.
    #[tokio::test]
    async fn registering_sends_its_request_in_the_first_poll() {
        let (listener, host) = listen().await;
        let (api, accepted) = tokio::join!(ExtensionsApi::at(host), listener.accept());
        let (mut stream, _) = accepted.unwrap();
        let mut registering = pin!(api.unwrap().register("me"));
        // One poll, and nothing else that could send.
        assert!((&mut registering).now_or_never().is_none());
        let mut sent = [0; 4];
        assert_eq!(stream.peek(&mut sent).await.unwrap(), 4);
        assert_eq!(&sent, b"POST");
        let (registered, heard) =
            tokio::join!(registering, answer(&mut stream, "200 OK", "Lambda-Extension-Identifier: it\r\n"));
        assert!(registered.is_ok());
        assert!(
            heard.contains("lambda-extension-name: me\r\n") && heard.ends_with(r#"{"events":["INVOKE"]}"#),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn the_connection_is_reused_and_replaced_when_it_has_ended() {
        let (listener, host) = listen().await;
        let lambda = tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            answer(&mut first, "200 OK", "Lambda-Extension-Identifier: it\r\n").await;
            answer(&mut first, "200 OK", "").await;
            drop(first);
            let (mut second, _) = listener.accept().await.unwrap();
            answer(&mut second, "200 OK", "").await
        });
        let mut extension = ExtensionsApi::at(host).await.unwrap().register("me").await.unwrap();
        extension.next().await.unwrap();
        extension.next().await.unwrap();
        let heard = lambda.await.unwrap();
        assert!(heard.starts_with("GET /2020-01-01/extension/event/next HTTP/1.1\r\n"), "{heard}");
        assert!(heard.contains("lambda-extension-identifier: it\r\n"), "{heard}");
    }

    #[tokio::test]
    async fn an_environment_without_extensions_is_an_error() {
        let (listener, host) = listen().await;
        let lambda = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, "404 Not Found", "").await
        });
        let refused = ExtensionsApi::at(host).await.unwrap().register("me").await.err().unwrap();
        assert_eq!(refused.to_string(), "Lambda answered 404 Not Found: {}");
        lambda.await.unwrap();
    }
}
