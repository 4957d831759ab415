//! `/tasklane/v1/uploads`: code that is sent ahead of the Function that it is for (contract §19). These endpoints have no
//! counterpart upstream.

use std::collections::BTreeMap;

use http::Method;
use serde::Serialize;
use tasklane_model::{AffectedRecords, CodeSha256, ErrorKind, FunctionName, Result, Timestamp, UploadId, UploadSize};
use tasklane_ports::UploadTarget;
use tasklane_service::{Announced, Service};
use utoipa::ToSchema;

use crate::{
    access::{Allowed, Anybody, permission::UpdateTaskFunction},
    answer::Json,
    body::Fields,
    endpoint::Endpoint,
    input::{FromFields, JsonBody, StreamedZip},
    params::{ServiceUrl, UploadInPath},
};

const PATH: &str = "/tasklane/v1/uploads";

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::POST, PATH, "announceUpload", announce)
            .summary("Announce code that is too large for a request")
            .about(
                "Then PUT the zip to `url` with these `headers`, and use `uploadId` as the `codeUploadId` of a Function, all \
                 within 15 minutes. If `held` is true, a version of the Function has these bytes, and nothing is to be sent.",
            ),
        Endpoint::new(Method::PUT, "/tasklane/v1/uploads/{uploadId}", "sendUpload", send)
            .summary("Send code that was announced")
            .about(
                "The URL that `POST /tasklane/v1/uploads` returns on one machine. It authorises by itself. On AWS, the URL is \
                 one of S3.",
            )
            .fails(&[
                ErrorKind::UploadUnknown,
                ErrorKind::InvalidFunctionCode,
                ErrorKind::BodyFormat,
                ErrorKind::TooManyRequests,
                ErrorKind::Endpoint,
            ]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Functions")).collect()
}

async fn announce(
    service: Service,
    _: Allowed<UpdateTaskFunction>,
    ServiceUrl(base): ServiceUrl,
    JsonBody(body): JsonBody<NewUpload>,
) -> Result<Json<UploadDetails>> {
    let NewUpload { function_name, sha256, size } = body;
    let announced = service.announce_upload(function_name, sha256, size).await?;
    Ok(Json::of(UploadDetails::of(announced, &base)))
}

async fn send(
    service: Service,
    _: Anybody,
    UploadInPath(id): UploadInPath,
    StreamedZip(body): StreamedZip,
) -> Result<Json<AffectedRecords>> {
    service.receive_upload(&id, body).await?;
    Ok(Json::of(AffectedRecords::ONE))
}

/// Code to be sent.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewUpload {
    /// The Function that it is for, which may not exist yet.
    function_name: FunctionName,
    /// The SHA-256 of the zip, in base64.
    #[schema(value_type = String)]
    sha256: CodeSha256,
    /// How many bytes the zip has.
    size: UploadSize,
}

impl FromFields for NewUpload {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        fields.require(&["functionName", "sha256", "size"])?;
        Ok(Self {
            function_name: fields.required("functionName")?,
            sha256: fields.required("sha256")?,
            size: fields.required("size")?,
        })
    }
}

/// An announced upload.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Upload)]
pub struct UploadDetails {
    /// Stands in place of a Function's code.
    upload_id: UploadId,
    /// Whether a version of the Function has these bytes. Then nothing is to be sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    held: bool,
    /// Where to send the zip. It authorises by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// How to send it: `PUT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    /// The headers to send with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    /// Until when it can be sent and used.
    expires: Timestamp,
}

impl UploadDetails {
    fn of(Announced { upload, target }: Announced, base: &str) -> Self {
        let (url, headers) = match target {
            None => (None, None),
            Some(UploadTarget::Elsewhere { url, headers }) => (Some(url), Some(headers)),
            Some(UploadTarget::Service) => {
                let headers = [("content-type".to_owned(), "application/zip".to_owned())].into();
                (Some(format!("{base}{PATH}/{}", upload.id)), Some(headers))
            }
        };
        let method = url.is_some().then_some("PUT");
        Self { upload_id: upload.id, held: upload.held, url, method, headers, expires: upload.expires }
    }
}
