//! API Functions: a Function called as an HTTP endpoint (contract §5).

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::Service;
use crate::model::{Caller, Error, Method, Result};

/// One HTTP call of an API Function.
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// The method.
    pub method: Method,
    /// What follows the Function's name in the path, as it was sent, with its leading `/`.
    pub raw_path: String,
    /// The query as it was sent, without its `?`.
    pub raw_query: Option<String>,
    /// The headers as they were sent.
    pub headers: HeaderMap,
    /// The body as it was sent.
    pub body: Bytes,
}

/// What an API Function answered.
#[derive(Clone, Debug)]
pub struct ApiAnswer {
    /// 200–499.
    pub status: StatusCode,
    /// Its headers; `connection` and `content-length` are left to the server.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Service {
    /// Calls a Function as an HTTP endpoint and leaves an API Request record.
    pub async fn call_api_function(&self, caller: &Caller, function: &str, call: ApiCall) -> Result<ApiAnswer> {
        let _ = (caller, function, call);
        Err(Error::internal("not built yet"))
    }
}
