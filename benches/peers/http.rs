//! A connection that makes the same request again and again.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tasklane::load::{Caller, Pace, Report, Until, drive};
use tokio::net::TcpStream;

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    pub address: SocketAddr,
    pub method: Method,
    pub path: String,
    pub body: Bytes,
}

impl Call {
    pub fn get(address: SocketAddr, path: &str) -> Self {
        Self { address, method: Method::GET, path: path.to_owned(), body: Bytes::new() }
    }

    pub fn post(address: SocketAddr, path: &str, body: impl Into<Bytes>) -> Self {
        Self { address, method: Method::POST, path: path.to_owned(), body: body.into() }
    }

    /// Makes the call once and returns the status and the body.
    pub async fn once(&self) -> Result<(u16, Bytes), String> {
        Connection { call: self.clone(), sender: None }.exchange().await
    }

    /// Makes the call on this many connections, one after another on each. Runs in a separate thread, so that the
    /// client takes as little as possible of the cores that are measured.
    pub async fn load(&self, connections: usize, pace: Pace, until: Until) -> anyhow::Result<Report> {
        let callers: Vec<_> = (0..connections).map(|_| Connection { call: self.clone(), sender: None }).collect();
        let driven = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok::<_, std::io::Error>(runtime.block_on(drive(callers, pace, until, &Arc::default())))
        });
        Ok(driven.await??)
    }
}

/// One connection. It is opened on first use, and again after it broke.
pub struct Connection {
    pub call: Call,
    pub sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    async fn exchange(&mut self) -> Result<(u16, Bytes), String> {
        let mut sender = match self.sender.take() {
            Some(sender) => sender,
            None => {
                let stream = TcpStream::connect(self.call.address).await.map_err(|error| error.to_string())?;
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                let (sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
                tokio::spawn(connection);
                sender
            }
        };
        let request = Request::builder()
            .method(self.call.method.clone())
            .uri(&self.call.path)
            .header(header::HOST, self.call.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(self.call.body.clone()))
            .map_err(|error| error.to_string())?;
        sender.ready().await.map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        self.sender = Some(sender);
        Ok((status, body))
    }
}

impl Caller for Connection {
    async fn call(&mut self) -> Result<(), String> {
        match self.exchange().await? {
            (200..300, _) => Ok(()),
            (status, body) => {
                let text: String = String::from_utf8_lossy(&body).chars().take(160).collect();
                Err(format!("HTTP {status}: {text}"))
            }
        }
    }
}
