//! Endpoints. One value holds the route, the description for the API document and the handler, so they cannot disagree.

use std::{fmt, sync::Arc};

use axum::{body::Body, response::Response};
use futures::future::BoxFuture;
use http::{Method, Request};
use tasklane_model::{ErrorKind, Permission, Result};
use utoipa::openapi::path::HttpMethod;

use super::{
    access::{Access, AccessRule},
    answer::Answer,
    handler::{self, Handler, Shared},
    input::Input,
    openapi::{Description, Schemas, Types},
    params::Params,
};

/// One method of one path.
#[derive(Clone)]
pub struct Endpoint {
    pub method: Method,
    /// The path as the API document shows it, without a trailing slash: `/tasks/v1/{taskId}/logs`.
    pub path: &'static str,
    /// The part of the API document about it.
    pub(super) description: Description,
    is_catch_all: bool,
    serve: Serve,
}

/// The parts of a path that match the `{…}` of an endpoint's path, percent-encoded as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathValues {
    /// The first one; empty if there is none.
    pub first: String,
    /// The second one; empty if there is none.
    pub second: String,
}

type Serve = Arc<dyn Fn(Arc<Shared>, Request<Body>, PathValues) -> BoxFuture<'static, Result<Response>> + Send + Sync>;

impl Endpoint {
    /// The endpoint that `handler` serves. The handler's signature says who may call and what is read, and the types of
    /// its arguments and its result describe these; see [`Handler`].
    pub fn new<M: 'static, H: Handler<M>>(method: Method, path: &'static str, id: &str, handler: H) -> Self {
        let path_name = path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(name, _)| name);
        let description = Description {
            id: id.to_owned(),
            access: H::Access::RULE,
            path_name,
            types: types::<M, H>,
            errors: [H::Params::errors(), H::Input::errors()].concat(),
            summary: String::new(),
            about: None,
            tag: "",
            deprecated: false,
        };
        let serve: Serve = Arc::new(move |shared, request, path_values| {
            let handler = handler.clone();
            Box::pin(async move { handler::handle(&shared, request, path_values, handler).await })
        });
        Self { method, path, description, is_catch_all: false, serve }
    }

    /// Groups it in the API document.
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.description.tag = tag;
        self
    }

    /// Says in a few words what it does.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.description.summary = summary.into();
        self
    }

    /// Adds details to the summary.
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.description.about = Some(about.into());
        self
    }

    /// The errors of the service. Those of the access check and of reading the request are known from the types.
    pub fn fails(mut self, errors: &[ErrorKind]) -> Self {
        self.description.errors.extend(errors);
        self
    }

    /// Marks it as deprecated.
    pub fn deprecated(mut self) -> Self {
        self.description.deprecated = true;
        self
    }

    /// Makes the first `{…}` of the path match the rest of a path, slashes included.
    pub(super) fn catch_all(mut self) -> Self {
        self.is_catch_all = true;
        self
    }

    /// Who may call.
    pub fn access(&self) -> AccessRule {
        self.description.access
    }

    /// Whether it calls an API Function, which answers its own preflights (CORS).
    pub(super) fn is_api_function(&self) -> bool {
        self.access() == AccessRule::PermissionMode(Permission::ExecuteApiFunction)
    }

    /// The parts of `path` that match the `{…}` of the endpoint's path, of which there are at most two; empty ones where
    /// there are fewer. `None` when the path does not match. A trailing slash makes no difference.
    pub(super) fn match_path<'p>(&self, path: &'p str) -> Option<(&'p str, &'p str)> {
        let Some((before, template)) = self.path.split_once('{') else {
            let rest = path.strip_prefix(self.path)?;
            return ["", "/"].contains(&rest).then_some(("", ""));
        };
        let rest = path.strip_prefix(before)?;
        if self.is_catch_all {
            return (!rest.is_empty()).then_some((rest, ""));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let after = template.split_once('}').map_or("", |(_, after)| after);
        let Some((between, template)) = after.split_once('{') else {
            return one_segment(rest.strip_suffix(after)?).map(|value| (value, ""));
        };
        let after = template.split_once('}').map_or("", |(_, after)| after);
        let (first, second) = rest.split_once(between)?;
        Some((one_segment(first)?, one_segment(second.strip_suffix(after)?)?))
    }

    /// The method as an OpenAPI type. No endpoint uses another method.
    pub(super) fn openapi_method(&self) -> HttpMethod {
        match self.method.as_str() {
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "DELETE" => HttpMethod::Delete,
            "PATCH" => HttpMethod::Patch,
            "OPTIONS" => HttpMethod::Options,
            "HEAD" => HttpMethod::Head,
            _ => HttpMethod::Get,
        }
    }

    /// Answers a request that was routed here. `path_values` are the parts of its path that matched the `{…}`.
    pub(super) fn serve(
        &self,
        shared: Arc<Shared>,
        request: Request<Body>,
        path_values: PathValues,
    ) -> BoxFuture<'static, Result<Response>> {
        (self.serve)(shared, request, path_values)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The value, if it is one segment of a path.
fn one_segment(value: &str) -> Option<&str> {
    (!value.is_empty() && !value.contains('/')).then_some(value)
}

/// The description of a handler's types.
fn types<M, H: Handler<M>>(path_name: &str, schemas: &mut Schemas) -> Types {
    Types {
        parameters: [H::Params::parameters(path_name), H::Input::headers()].concat(),
        request_body: H::Input::request_body(schemas),
        response: H::Answer::response(schemas),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::Anybody, answer::Json};
    use tasklane_service::Service;

    fn at(path: &'static str) -> Endpoint {
        async fn nothing(_: Service, _: Anybody) -> Result<Json<bool>> {
            Ok(Json::of(true))
        }
        Endpoint::new(Method::GET, path, "nothing", nothing)
    }

    #[test]
    fn a_path_matches_with_and_without_a_trailing_slash() {
        for path in ["/tasks/v1", "/tasks/v1/"] {
            assert_eq!(at("/tasks/v1").match_path(path), Some(("", "")), "{path}");
        }
        for path in ["/tasks", "/tasks/v1//", "/tasks/v10", "/Tasks/v1", ""] {
            assert_eq!(at("/tasks/v1").match_path(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_value_is_one_whole_segment_and_not_empty() {
        let logs = at("/f/{name}/logs");
        for (path, value) in [("/f/a/logs", "a"), ("/f/a%2Fb/logs/", "a%2Fb"), ("/f/logs/logs", "logs")] {
            assert_eq!(logs.match_path(path), Some((value, "")), "{path}");
        }
        for path in ["/f//logs", "/f/logs", "/f/a/b/logs", "/f/a/logs//", "/f/a/logsx", "/f/a"] {
            assert_eq!(logs.match_path(path), None, "{path}");
        }
        let one = at("/f/{name}");
        assert_eq!((one.match_path("/f/a/"), one.match_path("/f/a")), (Some(("a", "")), Some(("a", ""))));
        assert_eq!((one.match_path("/f/"), one.match_path("/f//"), one.match_path("/f")), (None, None, None));
    }

    #[test]
    fn a_path_may_have_two_values() {
        let code = at("/f/{name}/versions/{version}/code");
        for path in ["/f/a/versions/7/code", "/f/a/versions/7/code/"] {
            assert_eq!(code.match_path(path), Some(("a", "7")), "{path}");
        }
        assert_eq!(code.match_path("/f/versions/versions/7/code"), Some(("versions", "7")));
        let others = [
            "/f//versions/7/code",
            "/f/a/versions//code",
            "/f/a/versions/7",
            "/f/a/versions/7/8/code",
            "/f/a/b/versions/7/code",
        ];
        for path in others {
            assert_eq!(code.match_path(path), None, "{path}");
        }
    }

    #[test]
    fn a_catch_all_matches_the_rest_unchanged() {
        let api = at("/api/{name}/{path}").catch_all();
        for rest in ["a", "a/", "a//b/", "/"] {
            assert_eq!(api.match_path(&format!("/api/{rest}")), Some((rest, "")));
        }
        assert_eq!((api.match_path("/api/"), api.match_path("/api")), (None, None));
    }
}
