//! Credentials: who may call the service. Their secrets are shown once, when they are made.

use maud::{Markup, html};
use tasklane_client::{CreatedCredential, CredentialSummary};
use tasklane_model::{FunctionName, Permission};

use crate::{
    door::ROOT,
    parts::{brief, count, field, link_button, moment, name},
    problem::Problem,
    view::View,
};

use super::Cx;

/// How many are listed.
const MOST_ROWS: usize = 500;

pub(super) async fn list(cx: &Cx<'_>) -> Result<View, Problem> {
    if !cx.access.may(Permission::ViewCredentials) {
        return Err(Problem::NotAllowed(Permission::ViewCredentials.as_str()));
    }
    let all = cx.app.client.credentials().await?;
    let all: Vec<CredentialSummary> = all.into_iter().map(|credential| credential.value).collect();
    Ok(View::new("Credentials").live("list", table(cx, &all)).still(form(cx)))
}

fn table(cx: &Cx<'_>, all: &[CredentialSummary]) -> Markup {
    let may_revoke = cx.access.may(Permission::DeleteCredentials);
    html! {
        p.total {
            strong { (count(all.len() as u64, true)) } @if all.len() == 1 { " credential" } @else { " credentials" }
        }
        table {
            thead {
                tr {
                    th { "User" } th { "Id" } th { "Permissions" } th { "Created" } th { "Expires" }
                    th { span.sr { "Acts" } }
                }
            }
            tbody {
                @for credential in all.iter().take(MOST_ROWS) {
                    @let permissions: Vec<&str> = credential.identity.permissions.iter().collect();
                    tr {
                        td data-l="User" {
                            (name(&credential.identity.user_id.to_string()))
                            @if let Some(application) = &credential.identity.application_id {
                                " through " (name(&application.to_string()))
                            }
                        }
                        td data-l="Id" { span.id { (credential.id) } }
                        td data-l="Permissions" {
                            details.plain {
                                summary { (permissions.len()) }
                                ul.names { @for permission in permissions { li { (name(permission)) } } }
                            }
                        }
                        td data-l="Created" {
                            (brief(credential.creation_timestamp))
                            @if let Some(user) = &credential.created_by_user_id { " by " (name(&user.to_string())) }
                        }
                        td data-l="Expires" {
                            @match credential.expires_timestamp { Some(at) => { (brief(at)) @if at < cx.now { " " strong.bad { "expired" } } } None => "never" }
                        }
                        td.do {
                            @if may_revoke {
                                (link_button(&format!("credentials/{}/revoke", credential.id), "Revoke…"))
                            }
                        }
                    }
                }
            }
        }
        @if all.len() > MOST_ROWS {
            p.note { "The first " (MOST_ROWS) " are shown; " code { "tasklane credentials list" } " has all." }
        }
    }
}

fn form(cx: &Cx<'_>) -> Markup {
    if !cx.access.may(Permission::CreateCredentials) && !cx.access.may(Permission::CreateCredentialsForOthers) {
        return html! {};
    }
    let grantable = Permission::ALL.into_iter().filter(|permission| cx.access.may(*permission));
    html! {
        details.card {
            summary { "Create a credential" }
            form method="post" action={ (ROOT) "credentials/new" } {
                (field("User", "user", None, "ada"))
                (moment("Expires, or never if empty", "expires", None, "2026-12-31 00:00"))
                fieldset { legend { "Permissions" }
                    div.checks {
                        @for permission in grantable {
                            label { input type="checkbox" name="permission" value=(permission); " " (permission) }
                        }
                    }
                }
                (field("Execute one Function only", "only", None, "a Function's name"))
                p.note { "Its secrets are shown once, on the next page." }
                p.buttons { button.go type="submit" { "Create it" } }
            }
        }
    }
}

/// A credential that was made just now. It is not kept anywhere in the console.
pub(crate) fn created(made: &CreatedCredential) -> View {
    let secret = |label: &str, value: &str| {
        html! {
            div.copy {
                p { strong { (label) } " " button type="button" data-copy hidden { "Copy" } }
                pre tabindex="0" aria-label=(label) { (value) }
            }
        }
    };
    View::new("The credential is made").still(html! {
        section.card {
            p.sentence { "Keep these now: they are not shown again." }
            p {
                "For " (name(&made.summary.identity.user_id.to_string())) ", with "
                (made.summary.identity.permissions.iter().count()) " permissions."
            }
            (secret("Access token, for Authorization: Bearer", made.access_token.expose()))
            (secret("OAuth 1.0a consumer key", &made.consumer_key))
            (secret("OAuth 1.0a consumer secret", made.consumer_secret.expose()))
            (secret("OAuth 1.0a token", &made.token))
            (secret("OAuth 1.0a token secret", made.token_secret.expose()))
            p.buttons { a.button href={ (ROOT) "credentials" } { "I have kept them" } }
        }
    })
}

/// A name that a permission can be limited to.
pub(crate) fn only(text: Option<&str>) -> Result<Option<FunctionName>, Problem> {
    text.map(FunctionName::parse)
        .transpose()
        .map_err(|_| Problem::Invalid("That is not the name of a Function.".to_owned()))
}
