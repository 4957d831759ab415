//! The description of one endpoint in the API document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tasklane_model::{Error, ErrorKind};
use utoipa::openapi::{
    ContentBuilder, Deprecated, Ref, RefOr, ResponseBuilder,
    example::{Example, ExampleBuilder},
    extensions::ExtensionsBuilder,
    path::{Operation, OperationBuilder, Parameter},
    request_body::RequestBody,
    response::Response,
    security::SecurityRequirement,
};

use super::{
    examples,
    parts::{BEARER, OAUTH1, Schemas},
};
use crate::access::AccessRule;

/// The part of the API document about one endpoint.
#[derive(Clone)]
pub struct Description {
    /// The operation id, which names the method in generated clients.
    pub id: String,
    /// Who may call.
    pub access: AccessRule,
    /// The name of the `{…}` in its path, or an empty string.
    pub path_name: &'static str,
    /// Describes the input and the response, given `path_name`. Called only when the document is requested, because it
    /// takes longer than the rest of a handler's start.
    pub types: fn(&str, &mut Schemas) -> Types,
    /// The errors besides those of its access check.
    pub errors: Vec<ErrorKind>,
    /// What it does, in a few words.
    pub summary: String,
    /// Details.
    pub about: Option<String>,
    pub tag: &'static str,
    pub deprecated: bool,
}

/// The input and the response, as OpenAPI types.
pub struct Types {
    /// The parameters in the path, the query and the headers.
    pub parameters: Vec<Parameter>,
    pub request_body: Option<RequestBody>,
    pub response: Response,
}

impl Description {
    /// The description as an OpenAPI type. Adds the schemas that it refers to.
    pub fn operation(&self, schemas: &mut Schemas) -> Operation {
        let mut types = (self.types)(self.path_name, schemas);
        let body = types.request_body.as_mut().and_then(|body| body.content.get_mut("application/json"));
        if let Some(RefOr::T(body)) = body {
            body.example = examples::body(&self.id);
        }
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(self.id.as_str()))
            .summary(Some(self.summary.as_str()))
            .description(Some(self.text()))
            .request_body(types.request_body)
            .response("200", types.response)
            .securities(Some(self.securities()))
            .extensions(Some(ExtensionsBuilder::new().add("x-access", self.access_extension()).build()));
        if !types.parameters.is_empty() {
            operation = operation.parameters(Some(types.parameters));
        }
        if self.deprecated {
            operation = operation.deprecated(Some(Deprecated::True));
        }
        for (status, kinds) in self.errors_by_status() {
            operation = operation.response(status.to_string(), error_response(&kinds));
        }
        operation.build()
    }

    fn text(&self) -> String {
        let access = match self.access {
            AccessRule::Anybody => "Anybody may call it.".to_owned(),
            AccessRule::LoggedIn => "Any logged-in user may call it.".to_owned(),
            AccessRule::Application => {
                "An application calls it: the request is signed with a consumer's key and secret, without a token."
                    .to_owned()
            }
            AccessRule::Permission(permission) => format!("Needs the permission `{permission}`."),
            AccessRule::PermissionMode(permission) => format!(
                "Depends on the Function's permission mode: `permissionRequired` needs `{permission}` or \
                 `{permission}:<name of the Function>`, `allUsers` needs a logged-in user, `public` needs nothing."
            ),
        };
        self.about.as_ref().map_or(access.clone(), |about| format!("{about}\n\n{access}"))
    }

    fn securities(&self) -> Vec<SecurityRequirement> {
        let none: [&str; 0] = [];
        if self.access == AccessRule::Application {
            return vec![SecurityRequirement::new(OAUTH1, none)];
        }
        let mut either = vec![SecurityRequirement::new(OAUTH1, none), SecurityRequirement::new(BEARER, none)];
        match self.access {
            AccessRule::Anybody | AccessRule::PermissionMode(_) => either.insert(0, SecurityRequirement::default()),
            AccessRule::LoggedIn | AccessRule::Application | AccessRule::Permission(_) => {}
        }
        either
    }

    /// For programs, such as generated consoles and the test that calls every endpoint as every kind of caller.
    fn access_extension(&self) -> Value {
        match self.access {
            AccessRule::Anybody => json!({"rule": "anybody"}),
            AccessRule::LoggedIn => json!({"rule": "loggedIn"}),
            AccessRule::Application => json!({"rule": "application"}),
            AccessRule::Permission(permission) => json!({"rule": "permission", "permission": permission.as_str()}),
            AccessRule::PermissionMode(permission) => {
                json!({"rule": "permissionMode", "permission": permission.as_str()})
            }
        }
    }

    fn errors_by_status(&self) -> BTreeMap<u16, Vec<ErrorKind>> {
        use ErrorKind as Kind;
        // Every endpoint refuses a malformed credential (104) and an invalid one.
        let mut kinds = vec![
            Kind::UserNotAuthenticated,
            Kind::OauthKey,
            Kind::OauthToken,
            Kind::OauthSignature,
            Kind::DuplicateRequest,
            Kind::AccessTokenUnknown,
            Kind::AccessTokenExpired,
            Kind::Server,
        ];
        match self.access {
            AccessRule::Anybody | AccessRule::LoggedIn => {}
            AccessRule::Application => kinds.push(Kind::ApplicationNotAuthenticated),
            AccessRule::Permission(_) => kinds.push(Kind::NoPermission),
            AccessRule::PermissionMode(_) => kinds.extend([Kind::NoPermission, Kind::ResourceUnknown]),
        }
        kinds.extend(&self.errors);
        let mut by_status = BTreeMap::<u16, BTreeSet<_>>::new();
        for kind in kinds {
            by_status.entry(kind.status()).or_default().insert((kind.code(), kind.name(), kind as usize));
        }
        by_status
            .into_iter()
            .map(|(status, rows)| (status, rows.into_iter().map(|(.., row)| ErrorKind::ALL[row]).collect()))
            .collect()
    }
}

/// An example of an error of this kind.
pub fn error_example(kind: ErrorKind) -> Example {
    let error = Error::new(kind, kind.meaning());
    ExampleBuilder::new().summary(kind.meaning()).value(Some(json!(error.to_body()))).build()
}

/// One response for all errors of a status, with an example of each.
fn error_response(kinds: &[ErrorKind]) -> Response {
    let examples = kinds
        .iter()
        .map(|kind| (kind.name(), RefOr::<Example>::Ref(Ref::new(format!("#/components/examples/{}", kind.name())))));
    let names = kinds.iter().map(|kind| match kind.code() {
        Some(code) => format!("{code} {}", kind.name()),
        None => kind.name().to_owned(),
    });
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).examples_from_iter(examples).build();
    ResponseBuilder::new()
        .description(names.collect::<Vec<_>>().join(", "))
        .content("application/json", content)
        .build()
}
