//! Requests to DynamoDB and its responses, as HTTP carries them between a process and the database in memory.

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector as _, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

/// The header that names the operation.
const TARGET: &str = "x-amz-target";

/// A response of the database.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// A successful one.
    pub fn of(body: &Value) -> Self {
        Self { status: 200, body: body.to_string().into_bytes() }
    }

    /// A partition has no throughput left.
    pub fn throttled() -> Self {
        let body = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": "simulated",
        });
        Self { status: 400, body: body.to_string().into_bytes() }
    }

    /// Its JSON; `null` if it has none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn into_response(self) -> Result<HttpResponse, ConnectorError> {
        let status = StatusCode::try_from(self.status).map_err(|error| ConnectorError::other(error.into(), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(self.body));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        Ok(response)
    }
}

/// The operation and the body of a request.
pub fn read(request: &HttpRequest) -> (String, Value) {
    let target = request.headers().get(TARGET).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let body = request.body().bytes().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    (operation, body)
}

/// Sends a request to the database in memory.
pub async fn send(database: &SharedHttpConnector, operation: &str, body: &Value) -> Answer {
    let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
    request.headers_mut().insert(TARGET, format!("DynamoDB_20120810.{operation}"));
    match database.call(request).await {
        Ok(response) => {
            let body = response.body().bytes().unwrap_or_default().to_vec();
            Answer { status: response.status().as_u16(), body }
        }
        Err(error) => Answer { status: 500, body: error.to_string().into_bytes() },
    }
}
