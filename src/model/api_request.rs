//! API Requests: the records of calls of API Functions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApplicationId, FunctionName, ObjectId, Timestamp, UserId, json::exact_f64};

/// One call of a Function as an HTTP endpoint (contract §5). Losing one never fails the call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(description = "One call of a Function as an HTTP endpoint. Losing one never fails the call.")]
pub struct ApiRequest {
    /// Its id.
    pub id: ObjectId,
    /// The Function that was called.
    pub function_name: FunctionName,
    /// The HTTP method.
    pub method: Method,
    /// The path after the Function's name, without its leading slash, with the query.
    pub path: String,
    /// The user, if one was logged in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_id: Option<UserId>,
    /// The application that the call came through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application_id: Option<ApplicationId>,
    /// The status of the response, including the service's own errors.
    pub status_code: u16,
    /// When the call arrived.
    pub timestamp: Timestamp,
    /// How long the Function took, in seconds.
    #[serde(deserialize_with = "exact_f64")]
    pub duration: f64,
    /// The error, if the call failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<ApiRequestError>,
    /// Lambda's id of the invocation, by which its logs are found. Not part of the public record.
    #[serde(skip)]
    pub request_id: Option<String>,
}

/// The error of an API Request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiRequestError {
    /// The stage at which it failed.
    #[serde(rename = "type")]
    pub kind: ApiRequestErrorKind,
    /// The error's name, as the Function or the service gave it.
    pub name: String,
    /// What happened.
    pub message: String,
}

/// The stage at which an API Request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApiRequestErrorKind {
    /// Before the code ran.
    Invocation,
    /// In the code.
    Runtime,
    /// In the code's response.
    Response,
}

/// The methods that API Functions accept (contract §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(description = "The methods that API Functions accept.")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    Head,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 7] = [Self::Get, Self::Post, Self::Put, Self::Delete, Self::Patch, Self::Options, Self::Head];

    /// As written in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::Head => "HEAD",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A method that API Functions do not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a method that API Functions accept")]
pub struct UnknownMethod;

impl FromStr for Method {
    type Err = UnknownMethod;
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or(UnknownMethod)
    }
}
