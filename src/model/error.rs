//! The errors that callers see: the contract's table (§9), and nothing else.
//!
//! Which error type belongs where: every error that a caller sees is an [`Error`], made by one of its constructors. A
//! fault of the service itself (the store did not answer, a row does not decode) becomes [`Error::internal`]: its cause
//! goes to the log through [`Error::cause`] and never into a response. The ports and the store have their own error
//! types, which `service` converts to this one.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{ObjectId, shorten};

/// `Result` with the contract's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $code:expr, $status:literal, $name:literal;)*) => {
        /// The rows of the contract's error table (§9).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl ErrorKind {
            /// Every row.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The code by which clients tell errors apart; some rows have none.
            pub fn code(self) -> Option<u16> {
                match self { $(Self::$kind => $code,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// The meaning, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$kind => concat!($($doc),*).trim_ascii_start(),)* }
            }

            /// The name that clients show.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

error_kinds! {
    /// A fault of the service itself.
    Server = Some(1), 500, "SERVER_EXCEPTION";
    /// Logged in, but without the permission.
    NoPermission = Some(10), 401, "NO_PERMISSION_EXCEPTION";
    /// Not 24 hex digits.
    IdFormat = Some(12), 400, "ID_FORMAT_EXCEPTION";
    /// A body is required.
    EmptyBody = Some(13), 400, "EMPTY_BODY_EXCEPTION";
    /// A required field is absent.
    MissingRequiredFields = Some(14), 400, "MISSING_REQUIRED_FIELDS_EXCEPTION";
    /// A field's value breaks its rule.
    FieldFormat = Some(15), 400, "FIELD_FORMAT_EXCEPTION";
    /// It does not exist.
    ResourceUnknown = Some(16), 404, "RESOURCE_UNKNOWN_EXCEPTION";
    /// The name is already taken.
    ResourceAlreadyExists = Some(17), 400, "RESOURCE_ALREADY_EXISTS_EXCEPTION";
    /// RQL that does not parse, or that a field does not support.
    InvalidRql = Some(19), 400, "INVALID_RQL_EXCEPTION";
    /// RQL is required.
    EmptyRql = Some(20), 400, "EMPTY_RQL_EXCEPTION";
    /// A query that exceeded its time budget.
    LongQuery = Some(21), 401, "LONG_QUERY_EXCEPTION";
    /// The body is not a JSON object.
    BodyFormat = Some(22), 400, "BODY_FORMAT_EXCEPTION";
    /// An argument that makes no sense here.
    IllegalArgument = Some(26), 400, "ILLEGAL_ARGUMENT_EXCEPTION";
    /// Not possible in this state.
    IllegalState = Some(27), 400, "ILLEGAL_STATE_EXCEPTION";
    /// The request is not signed by an application alone.
    ApplicationNotAuthenticated = Some(101), 401, "APPLICATION_NOT_AUTHENTICATED_EXCEPTION";
    /// Nobody is logged in.
    UserNotAuthenticated = Some(104), 401, "USER_NOT_AUTHENTICATED_EXCEPTION";
    /// A wrong email address or password.
    Authentication = Some(106), 401, "AUTHENTICATION_EXCEPTION";
    /// An unknown OAuth consumer key.
    OauthKey = Some(107), 401, "OAUTH_KEY_EXCEPTION";
    /// An unknown OAuth token.
    OauthToken = Some(108), 401, "OAUTH_TOKEN_EXCEPTION";
    /// An OAuth signature that does not match.
    OauthSignature = Some(109), 401, "OAUTH_SIGNATURE_EXCEPTION";
    /// A reused nonce, or a timestamp outside of its window.
    DuplicateRequest = Some(110), 401, "DUPLICATE_REQUEST_EXCEPTION";
    /// An unknown bearer token.
    AccessTokenUnknown = Some(117), 401, "ACCESS_TOKEN_UNKNOWN_EXCEPTION";
    /// An expired bearer token.
    AccessTokenExpired = Some(118), 401, "ACCESS_TOKEN_EXPIRED_EXCEPTION";
    /// The email address belongs to another user.
    EmailUsed = Some(203), 400, "EMAIL_USED_EXCEPTION";
    /// Too many wrong passwords for this user.
    LoginTimeout = Some(211), 401, "LOGIN_TIMEOUT_EXCEPTION";
    /// Not base64, not a zip, an empty or unsafe zip.
    InvalidFunctionCode = Some(1401), 400, "INVALID_FUNCTION_CODE_EXCEPTION";
    /// A configuration that Lambda would refuse.
    InvalidFunctionConfiguration = Some(1402), 400, "INVALID_FUNCTION_CONFIGURATION_EXCEPTION";
    /// No free slot for a direct execution.
    ConcurrentExecutionLimit = Some(1403), 400, "CONCURRENT_EXECUTION_LIMIT_EXCEPTION";
    /// The time limit is too long for a direct execution.
    TimeLimitExceedsDirectExecutionMaximum = Some(1404), 400, "TIME_LIMIT_EXCEEDS_DIRECT_EXECUTION_MAXIMUM_EXCEPTION";
    /// Lambda did not run the code.
    LambdaInvocation = Some(1405), 400, "LAMBDA_INVOCATION_EXCEPTION";
    /// The code threw.
    LambdaRuntime = Some(1406), 400, "LAMBDA_RUNTIME_EXCEPTION";
    /// Not a valid Function name: 1 to 64 of the characters A-Z a-z 0-9 _ -.
    InvalidFunctionName = Some(1407), 400, "INVALID_FUNCTION_NAME_EXCEPTION";
    /// No log line was found yet.
    NoTaskLogsFound = Some(1408), 400, "NO_TASK_LOGS_FOUND";
    /// An API Function returned something that is not an HTTP response.
    InvalidApiFunctionResult = Some(1409), 400, "INVALID_API_FUNCTION_RESULT";
    /// The time limit is too long for an API Function.
    ApiFunctionMaximumTimeLimit = Some(1411), 400, "API_FUNCTION_MAXIMUM_TIME_LIMIT";
    /// No free slot for an API Function.
    ConcurrentApiFunctionLimit = Some(1412), 400, "CONCURRENT_API_FUNCTION_LIMIT_EXCEPTION";
    /// No log line of an API Request was found yet.
    NoApiRequestLogsFound = Some(1413), 400, "NO_API_REQUEST_LOGS_FOUND";
    /// The idempotency key belongs to a call with another body.
    IdempotencyKeyReused = Some(1501), 409, "IDEMPOTENCY_KEY_REUSED_EXCEPTION";
    /// It is being changed concurrently.
    ConflictingUpdate = Some(1502), 409, "CONFLICTING_UPDATE_EXCEPTION";
    /// No upload has this id, or it has expired, or nothing was sent.
    UploadUnknown = Some(1503), 400, "UPLOAD_UNKNOWN_EXCEPTION";
    /// The Function has no such version, or it can no longer run.
    VersionUnknown = Some(1504), 404, "VERSION_UNKNOWN_EXCEPTION";
    /// Too many requests at once.
    TooManyRequests = Some(1505), 429, "TOO_MANY_REQUESTS_EXCEPTION";
    /// No such endpoint or method.
    Endpoint = None, 404, "ENDPOINT_EXCEPTION";
    /// Not a valid HTTP request.
    BadRequest = None, 400, "BAD_REQUEST_EXCEPTION";
    /// A body larger than the endpoint accepts.
    PayloadTooLarge = None, 413, "PAYLOAD_TOO_LARGE_EXCEPTION";
    /// A URL longer than the service accepts.
    UriTooLong = None, 414, "URI_TOO_LONG_EXCEPTION";
    /// A content coding that the endpoint does not accept.
    UnsupportedMediaType = None, 415, "UNSUPPORTED_MEDIA_TYPE_EXCEPTION";
    /// A request for a host that this service does not serve.
    MisdirectedRequest = None, 421, "MISDIRECTED_REQUEST_EXCEPTION";
    /// Too many headers, or headers that are too long.
    HeadersTooLarge = None, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE_EXCEPTION";
}

/// An error for the caller: `{code, name, message, …}`, with the operator's cause kept apart.
pub struct Error {
    kind: ErrorKind,
    message: String,
    details: Map<String, Value>,
    is_replay: bool,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind. The message says what was wrong, where, and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Map::new(), is_replay: false, cause: None }
    }

    /// A fault of the service itself. The caller learns only that there was one; the log gets the cause.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::new(ErrorKind::Server, "The service could not handle the request; try again later.");
        error.cause = Some(cause.into());
        error
    }

    /// A field's value breaks its rule (15): `field` is its path in the body, and `rule` continues the sentence.
    pub fn field_format(field: &str, rule: impl fmt::Display) -> Self {
        Self::new(ErrorKind::FieldFormat, format!("The field '{field}' {rule}."))
    }

    /// Required fields are absent (14).
    pub fn missing_fields(fields: &[&str]) -> Self {
        let list = fields.join("', '");
        Self::new(ErrorKind::MissingRequiredFields, format!("Required fields are missing: '{list}'."))
    }

    /// There is no such record (16): `what` names its kind, such as "function" or "task".
    pub fn unknown(what: &str, which: impl fmt::Display) -> Self {
        Self::new(ErrorKind::ResourceUnknown, format!("There is no {what} '{which}'."))
    }

    /// The idempotency key belongs to a call with another body (1501).
    pub fn idempotency_key_reused() -> Self {
        let message = "This idempotency key was used for a call with another body within the last 24 hours: send the same \
                       body again, or use another key.";
        Self::new(ErrorKind::IdempotencyKeyReused, message)
    }

    /// It is being changed concurrently (1502).
    pub fn conflicting_update() -> Self {
        Self::new(ErrorKind::ConflictingUpdate, "It is being changed concurrently; try again.")
    }

    /// Not an id (12).
    pub fn id_format(text: &str) -> Self {
        Self::new(ErrorKind::IdFormat, format!("'{}' is not an id: expected 24 hexadecimal digits.", shorten(text)))
    }

    /// Logged in, without the permission (10).
    pub fn no_permission(permission: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NoPermission, format!("The permission {permission} is required."))
    }

    /// No user is logged in (104).
    pub fn not_authenticated() -> Self {
        Self::new(ErrorKind::UserNotAuthenticated, "Log in first: the request carries no user's credential.")
    }

    /// The caller is an account without a role (10).
    pub fn no_role() -> Self {
        let message = "You have no role yet, so you may do nothing: an administrator has to add one.";
        Self::new(ErrorKind::NoPermission, message)
    }

    /// Invalid RQL (19).
    pub fn invalid_rql(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRql, message)
    }

    /// The code threw (1406): with `runtimeError {name, message}` and, for a Task, `taskId`.
    pub fn runtime_error(name: &str, message: &str, task: Option<ObjectId>) -> Self {
        let error = Self::new(ErrorKind::LambdaRuntime, "The Function's code failed.")
            .with("runtimeError", serde_json::json!({ "name": name, "message": message }));
        match task {
            Some(id) => error.with("taskId", Value::String(id.to_string())),
            None => error,
        }
    }

    /// Adds a field to its JSON.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.details.insert(field.to_owned(), value);
        self
    }

    /// Adds the operator's cause, for the log only.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Marks it as what an earlier call with the same idempotency key was answered.
    #[must_use]
    pub fn of_replay(mut self) -> Self {
        self.is_replay = true;
        self
    }

    /// Whether an earlier call with the same idempotency key was answered so.
    pub fn is_replay(&self) -> bool {
        self.is_replay
    }

    /// The row of the table.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The cause for the operator's log, never for the caller.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// The body of the response.
    pub fn to_body(&self) -> ErrorBody<'_> {
        ErrorBody { code: self.kind.code(), name: self.kind.name(), message: &self.message, details: &self.details }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}

/// The JSON of an error.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    name: &'static str,
    message: &'a str,
    #[serde(flatten)]
    details: &'a Map<String, Value>,
}
