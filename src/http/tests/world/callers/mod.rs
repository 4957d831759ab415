//! Every operation of the API document × every kind of caller (contract §3, §6, §7).
//!
//! The document's `x-access` says who may call. `rows` has a request for each operation, and its result for callers who
//! may.

mod rows;
mod secrets;
mod who;

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use tasklane_http::api_document;

use self::{
    rows::{Asked, Fixture, Target},
    who::{Shown, Who},
};

/// One operation of the document.
struct Operation {
    method: Method,
    id: String,
    document: Value,
}

impl Operation {
    fn all() -> Vec<Self> {
        let document = json!(api_document());
        let mut all = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            for (method, operation) in item.as_object().unwrap() {
                all.push(Self {
                    method: method.to_uppercase().parse().unwrap(),
                    id: operation["operationId"].as_str().unwrap().to_owned(),
                    document: operation.clone(),
                });
            }
        }
        all
    }

    fn rule(&self) -> &str {
        self.document["x-access"]["rule"].as_str().unwrap()
    }

    /// The permission of its rule, or any permission if it has none.
    fn permission(&self) -> &str {
        self.document["x-access"]["permission"].as_str().unwrap_or("VIEW_TASKS")
    }

    /// The Functions that make a difference for its rule.
    fn targets(&self) -> &'static [Target] {
        match self.rule() {
            "permissionMode" => &[Target::Required, Target::AllUsers, Target::Public, Target::Missing],
            _ => &[Target::Required],
        }
    }

    /// The error code for a caller who is refused; `None` for one who is not.
    fn refusal(&self, who: Who, shown: Shown, target: Target) -> Option<u64> {
        let (logged_in, holds_for_this, holds) = match who {
            Who::Expired => return Some(if shown == Shown::Bearer { 118 } else { 108 }),
            Who::Revoked => return Some(if shown == Shown::Bearer { 117 } else { 107 }),
            Who::Nobody | Who::ApplicationAlone => (false, false, false),
            Who::WithoutPermissions | Who::WithEveryOtherPermission | Who::ForAnotherFunction => (true, false, false),
            Who::ForThisFunction => (true, true, false),
            Who::WithThePermission => (true, true, true),
        };
        let refused = match self.rule() {
            "application" => 101,
            _ if logged_in => 10,
            _ => 104,
        };
        let let_in = match (self.rule(), target) {
            ("anybody", _) => true,
            ("loggedIn", _) => logged_in,
            ("application", _) => who == Who::ApplicationAlone,
            ("permission", _) => holds,
            ("permissionMode", Target::Required) => holds_for_this,
            ("permissionMode", Target::AllUsers) => logged_in,
            ("permissionMode", Target::Public) => true,
            // Only callers who could call it if it existed learn that it does not.
            ("permissionMode", Target::Missing) if holds_for_this => return Some(16),
            ("permissionMode", Target::Missing) => false,
            (rule, _) => {
                panic!("x-access.rule is '{rule}', which is unknown to this test: decide here who may call")
            }
        };
        (!let_in).then_some(refused)
    }

    /// Whether the document lists this response.
    fn documents(&self, status: u16, name: &str) -> bool {
        let response = &self.document["responses"][status.to_string()];
        status == 200 || !response["content"]["application/json"]["examples"][name].is_null()
    }
}

#[tokio::test]
async fn every_operation_follows_its_access_rule_for_every_kind_of_caller() {
    let fixture = Fixture::new().await;
    let mut without_row = BTreeSet::new();
    for operation in Operation::all() {
        for target in operation.targets() {
            for (who, shown) in Who::each() {
                let Some(asked) = fixture.ask_for(&operation.id, *target).await else {
                    without_row.insert(operation.id.clone());
                    continue;
                };
                check(&fixture, &operation, *target, who, shown, asked).await;
            }
        }
    }
    assert!(
        without_row.is_empty(),
        "{without_row:?} stand in the API document and have no row here: add to `rows::Fixture::ask_for` what a request \
         to each looks like and how it ends for a caller who is let in."
    );
}

async fn check(fixture: &Fixture, operation: &Operation, target: Target, who: Who, shown: Shown, asked: Asked) {
    let function = fixture.name_of(target);
    let authorization = who.authorization(&fixture.kit, shown, operation, function, &asked.path).await;
    let request = format!("{} {}", operation.method, asked.path);
    let answered = fixture.kit.ask(&request, &authorization, asked.body).await;
    let case =
        format!("{} on {target:?} by {who:?}, {shown:?}: {} {:.300}", operation.id, answered.status, answered.text);

    let refused = operation.refusal(who, shown, target);
    let code = refused.unwrap_or(asked.ends_with);
    if operation.method == Method::HEAD {
        let status = match code {
            0 => 200,
            16 => 404,
            _ => 401,
        };
        assert_eq!(answered.status.as_u16(), status, "{case}");
        return;
    }
    assert_eq!(answered.code(), code, "{case}");
    assert_eq!(answered.status.as_u16() == 200, code == 0, "{case}");
    assert!(operation.documents(answered.status.as_u16(), &answered.name()), "the document does not mention {case}");
}
