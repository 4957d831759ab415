//! The Extensions API, as far as a process needs it that is an extension of itself.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
//!
//! One connection carries all of it, and is driven where an answer is awaited, by no task of its own: what a poll asks for
//! is on its way when that poll returns, and what else there is to do can be done while Lambda answers.

use std::{env, fmt, io, pin::pin};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// Why the API does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ExtensionError {
    /// This is no execution environment of Lambda.
    #[error("AWS_LAMBDA_RUNTIME_API does not say where Lambda is")]
    NotInLambda,
    /// It was not reached.
    #[error("Lambda was not reached: {0}")]
    Unreachable(#[from] io::Error),
    /// The connection broke off.
    #[error("the connection to Lambda broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// What was to be asked cannot be written down as a request.
    #[error("no request can be made of it: {0}")]
    Request(#[from] http::Error),
    /// It said no.
    #[error("Lambda answered {0}: {1}")]
    Refused(StatusCode, String),
    /// It said yes, and not to whom.
    #[error("Lambda gave the extension no identifier")]
    Nameless,
}

/// The API of this execution environment.
pub struct ExtensionsApi {
    host: String,
    /// None when there was an error on the last one.
    connection: Option<Connection>,
}

type Connection = (SendRequest<Full<Bytes>>, http1::Connection<TokioIo<TcpStream>, Full<Bytes>>);

impl ExtensionsApi {
    /// Connects to where Lambda says that it is.
    pub async fn connect() -> Result<Self, ExtensionError> {
        Self::at(env::var("AWS_LAMBDA_RUNTIME_API").map_err(|_| ExtensionError::NotInLambda)?).await
    }

    async fn at(host: String) -> Result<Self, ExtensionError> {
        let connection = Some(open(&host).await?);
        Ok(Self { host, connection })
    }

    /// Tells Lambda of an extension that hears of each invocation. To be done before the first one is asked for.
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
                // What was answered before the end counts.
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
    /// Says that everything is done, and waits for the next invocation.
    pub async fn next(&mut self) -> Result<(), ExtensionError> {
        let request = || self.api.request(Method::GET, "event/next").header(IDENTIFIER, &self.id).body(Full::default());
        let (first, second) = (request()?, request()?);
        // The connection may have come to its end meanwhile; a new one has not.
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

    /// Hears one request and answers it; answers what was heard.
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

    /// In one thread: what is on its way when a poll returns was sent by that poll.
    #[tokio::test]
    async fn the_extension_is_told_of_before_anything_else_is_done() {
        let (listener, host) = listen().await;
        let (api, accepted) = tokio::join!(ExtensionsApi::at(host), listener.accept());
        let (mut stream, _) = accepted.unwrap();
        let mut registering = pin!(api.unwrap().register("me"));
        // One poll, and nothing after it that could send.
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
    async fn invocations_are_asked_for_on_the_same_connection_and_on_a_new_one_when_that_has_ended() {
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
    async fn where_there_are_no_extensions_that_is_said() {
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
