//! `/tasks/v1/api/{functionName}/…`: API Functions (contract §5). The rest of the path belongs to the Function and is
//! passed on byte for byte.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use percent_encoding::percent_decode_str;
use tasklane_model::{Error, ErrorKind, Method as ApiMethod, Result};
use tasklane_service::{ApiAnswer, ApiCall, Service};
use utoipa::openapi::{
    ContentBuilder, Required,
    path::{Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    schema::{ObjectBuilder, Type},
};

use crate::{
    access::{ByPermissionMode, permission::ExecuteApiFunction},
    config::BodyLimits,
    endpoint::Endpoint,
    head::Head,
    input::Input,
    openapi::Schemas,
    params::{Name, Params},
};

pub fn endpoints() -> Vec<Endpoint> {
    let methods = [
        (Method::GET, "callApiFunctionByGet"),
        (Method::POST, "callApiFunctionByPost"),
        (Method::PUT, "callApiFunctionByPut"),
        (Method::DELETE, "callApiFunctionByDelete"),
        (Method::PATCH, "callApiFunctionByPatch"),
        (Method::OPTIONS, "callApiFunctionByOptions"),
        (Method::HEAD, "callApiFunctionByHead"),
    ];
    let endpoint = |(method, id): (Method, &str)| {
        Endpoint::new(method.clone(), "/tasks/v1/api/{functionName}/{path}", id, call)
            .catch_all()
            .tag("API Functions")
            .summary("Call a Function")
            .about(
                "The Function receives the request as an API Gateway event (payload version 2.0) and returns \
                 `{statusCode, headers?, body?, isBase64Encoded?}`. Each call is recorded as an API Request.",
            )
            .fails(&[
                ErrorKind::IllegalState,
                ErrorKind::LambdaInvocation,
                ErrorKind::LambdaRuntime,
                ErrorKind::InvalidApiFunctionResult,
                ErrorKind::ApiFunctionMaximumTimeLimit,
                ErrorKind::ConcurrentApiFunctionLimit,
            ])
    };
    methods.into_iter().map(endpoint).collect()
}

async fn call(
    service: Service,
    access: ByPermissionMode<ExecuteApiFunction>,
    target: Target,
    input: Passed,
) -> Result<ApiAnswer> {
    let call = ApiCall {
        method: input.method,
        raw_path: target.raw_path,
        raw_query: target.raw_query,
        headers: input.headers,
        body: input.body,
        protocol: input.protocol,
        address: input.address,
    };
    service.call_api_function(access.caller(), &target.function, call).await
}

/// The Function of a call, and the path and query for it.
#[derive(Debug)]
pub struct Target {
    function: String,
    raw_path: String,
    raw_query: Option<String>,
}

impl Params for Target {
    fn read(head: &Head) -> Result<Self> {
        let target = head.raw_path_value();
        let (name, raw_path) = target.split_at(target.find('/').unwrap_or(target.len()));
        Ok(Self {
            function: percent_decode_str(name).decode_utf8_lossy().into_owned(),
            raw_path: if raw_path.is_empty() { "/".to_owned() } else { raw_path.to_owned() },
            raw_query: head.uri.query().map(str::to_owned),
        })
    }

    fn function(&self) -> Option<&str> {
        Some(&self.function)
    }

    fn parameters(path_name: &str) -> Vec<Parameter> {
        let path = ParameterBuilder::new()
            .name("path")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some("Passed on to the Function: any number of segments, or none."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build();
        [Name::parameters(path_name), vec![path]].concat()
    }

    fn errors() -> Vec<ErrorKind> {
        vec![]
    }
}

/// The rest of the request, which is passed on to the Function.
#[derive(Debug)]
pub struct Passed {
    method: ApiMethod,
    headers: HeaderMap,
    body: Bytes,
    protocol: Version,
    address: Option<IpAddr>,
}

impl Input for Passed {
    fn limit(limits: &BodyLimits) -> Option<usize> {
        Some(limits.api_call)
    }

    fn read(head: &Head, body: Bytes) -> Result<Self> {
        let method =
            head.method.as_str().parse().map_err(|rule| Error::internal(format!("{}: {rule}", head.method)))?;
        Ok(Self { method, headers: head.headers.clone(), body, protocol: head.version, address: head.address })
    }

    fn request_body(_: &mut Schemas) -> Option<RequestBody> {
        let any = RequestBodyBuilder::new().content("*/*", ContentBuilder::new().build());
        Some(any.description(Some("Anything, at most 6 MB.")).required(Some(Required::False)).build())
    }

    fn errors() -> Vec<ErrorKind> {
        vec![ErrorKind::PayloadTooLarge, ErrorKind::TooManyRequests]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::PathValues;

    #[test]
    fn the_rest_of_the_path_is_passed_on_byte_for_byte() {
        for (target, function, path, query) in [
            ("hello", "hello", "/", None),
            ("hello/", "hello", "/", None),
            ("hello?", "hello", "/", Some("")),
            ("hello/a//b/./../c%2Fd%20e/?x=%20&y=a+b&z", "hello", "/a//b/./../c%2Fd%20e/", Some("x=%20&y=a+b&z")),
            ("hello//", "hello", "//", None),
            ("hel%6Co/%C3%A9%FF", "hello", "/%C3%A9%FF", None),
            ("Hello", "Hello", "/", None),
        ] {
            let request = http::Request::get(format!("/tasks/v1/api/{target}")).body(()).unwrap();
            let first = target.split('?').next().unwrap_or_default().to_owned();
            let values = PathValues { first, ..PathValues::default() };
            let read = Target::read(&Head::new(request.into_parts().0, values)).unwrap();
            assert_eq!((read.function.as_str(), read.raw_path.as_str()), (function, path), "{target}");
            assert_eq!(read.raw_query.as_deref(), query, "{target}");
        }
    }

    #[test]
    fn every_method_of_api_functions_has_an_endpoint() {
        let mut served: Vec<_> = endpoints().iter().map(|endpoint| endpoint.method.to_string()).collect();
        let mut taken = ApiMethod::ALL.map(|method| method.as_str().to_owned()).to_vec();
        served.sort();
        taken.sort();
        assert_eq!(served, taken);
    }
}
