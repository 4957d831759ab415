//! `tasklane credentials`: create, list, revoke.

use clap::Subcommand;

use super::{
    Outcome, Verdict,
    input::Length,
    output,
    session::{Remote, Session},
    table::{Layout, cell, optional},
};
use crate::{
    client::{CreatedCredential, CredentialSummary, NewCredential, Record, StoredCredentials},
    model::{ApplicationId, ObjectId, Permission, Permissions, UserId},
    ports::{Clock, SystemClock},
};

/// Hand out credentials, and take them back.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Create(Remote<CreateArgs>),
    List(Remote<ListArgs>),
    Revoke(Remote<RevokeArgs>),
}

/// Create a credential for a user.
///
/// Prints the lines of a credentials file, for this tool, the exh CLI and the official SDK. Its secrets are shown now and
/// never again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane credentials create --user ada --permission VIEW_TASKS \\
    --permission EXECUTE_TASK_FUNCTION:hello-js --expires 30d > ada.credentials")]
pub(super) struct CreateArgs {
    /// The user that it stands for
    #[arg(long, value_name = "ID", value_parser = user)]
    user: UserId,

    /// The application that the user comes through
    #[arg(long, value_name = "ID", value_parser = application)]
    application: Option<ApplicationId>,

    /// A permission that it holds, e.g. CREATE_TASKS, or EXECUTE_TASK_FUNCTION:hello-js for one Function; may be given more than once
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,

    /// How long it counts: 12h, 30d, 4w [default: until it is revoked]
    #[arg(long, value_name = "TIME")]
    expires: Option<Length>,
}

/// List the credentials that count, without their secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane credentials list")]
pub(super) struct ListArgs {}

/// Revoke a credential: from then on it opens nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane credentials revoke 0123456789abcdef01234567")]
pub(super) struct RevokeArgs {
    /// The credential's id
    id: ObjectId,
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Create(remote) => remote.run(create).await,
            Self::List(remote) => remote.run(list).await,
            Self::Revoke(remote) => remote.run(revoke).await,
        }
    }
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::parse(text).map_err(|e| e.to_string())
}

fn application(text: &str) -> Result<ApplicationId, String> {
    ApplicationId::parse(text).map_err(|e| e.to_string())
}

async fn create(session: Session, args: CreateArgs) -> Outcome {
    for name in args.permissions.iter().filter(|name| !is_asked_for(name)) {
        output::note(&format!("note: no endpoint of this service asks for the permission '{name}'"));
    }
    let new = NewCredential {
        user_id: args.user,
        application_id: args.application,
        permissions: Permissions::parse(args.permissions).map_err(|e| anyhow::anyhow!("a permission {e}"))?,
        expires_timestamp: args.expires.map(|length| SystemClock.now().saturating_add(length.0)),
    };
    let created = session.client.create_credential(&new).await?;
    if session.json {
        session.show_json(&created.json)?;
    } else {
        output::data(lines(&session.client.base().to_string(), &created.value).trim_end())?;
        output::note(&format!("credential {}: keep these lines, they are not shown again", created.value.summary.id));
    }
    Ok(Verdict::Yes)
}

async fn list(session: Session, _: ListArgs) -> Outcome {
    let records = session.client.credentials().await?;
    session.show_records(&records, "credentials", |credentials| table(session.layout, credentials))?;
    Ok(Verdict::Yes)
}

async fn revoke(session: Session, args: RevokeArgs) -> Outcome {
    let answer = session.client.revoke_credential(args.id).await?;
    session.done(&answer, &format!("{}: revoked", args.id))?;
    Ok(Verdict::Yes)
}

/// Whether the name, or what stands before its `:`, is one that endpoints ask for.
fn is_asked_for(name: &str) -> bool {
    let global = name.split_once(':').map_or(name, |(global, _)| global);
    Permission::ALL.iter().any(|permission| permission.as_str() == global)
}

fn lines(host: &str, created: &CreatedCredential) -> String {
    StoredCredentials {
        // The official SDK takes `localhost` as it is, and would put `api.` before a number.
        host: Some(host.replacen("//127.0.0.1", "//localhost", 1)),
        consumer_key: Some(created.consumer_key.clone()),
        consumer_secret: Some(created.consumer_secret.clone()),
        token: Some(created.token.clone()),
        token_secret: Some(created.token_secret.clone()),
        access_token: Some(created.access_token.clone()),
    }
    .to_lines()
}

fn table(layout: Layout, credentials: &[Record<CredentialSummary>]) -> String {
    layout.list(
        &["ID", "USER", "APPLICATION", "CREATED", "EXPIRES", "PERMISSIONS"],
        credentials.iter().map(|Record { value: credential, .. }| {
            let identity = &credential.identity;
            vec![
                cell(credential.id),
                cell(&identity.user_id),
                optional(identity.application_id.as_ref()),
                cell(credential.creation_timestamp),
                credential.expires_timestamp.map_or_else(|| cell("never"), cell),
                cell(permissions(&identity.permissions)),
            ]
        }),
    )
}

fn permissions(permissions: &Permissions) -> String {
    if Permission::ALL.into_iter().all(|permission| permissions.hold(permission)) {
        return "all".to_owned();
    }
    permissions.iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn created() -> serde_json::Value {
        json!({
            "id": "0123456789abcdef01234567", "userId": "ada", "permissions": ["VIEW_TASKS", "CREATE_TASKS"],
            "creationTimestamp": "2026-01-31T08:15:30.123Z", "consumerKey": "ck", "consumerSecret": "cs", "token": "t",
            "tokenSecret": "ts", "accessToken": "at",
        })
    }

    #[test]
    fn a_new_credential_prints_as_a_file_that_can_be_used() {
        let created: CreatedCredential = serde_json::from_value(created()).unwrap();
        insta::assert_snapshot!(lines("http://127.0.0.1:4000", &created), @"
        API_HOST=http://localhost:4000
        API_OAUTH_CONSUMER_KEY=ck
        API_OAUTH_CONSUMER_SECRET=cs
        API_OAUTH_TOKEN=t
        API_OAUTH_TOKEN_SECRET=ts
        API_ACCESS_TOKEN=at
        ");
    }

    #[test]
    fn a_list_shows_what_each_may_do() {
        let mut all = created();
        all["permissions"] = json!(Permission::ALL.map(Permission::as_str));
        all["expiresTimestamp"] = json!("2027-01-31T08:15:30.123Z");
        let records: Vec<Record<CredentialSummary>> =
            [created(), all].iter().map(|json| serde_json::from_str(&json.to_string()).unwrap()).collect();
        insta::assert_snapshot!(table(Layout::PLAIN, &records), @"
        ID                        USER  APPLICATION  CREATED                   EXPIRES                   PERMISSIONS
        0123456789abcdef01234567  ada   -            2026-01-31T08:15:30.123Z  never                     CREATE_TASKS, VIEW_TASKS
        0123456789abcdef01234567  ada   -            2026-01-31T08:15:30.123Z  2027-01-31T08:15:30.123Z  all
        ");
    }

    #[test]
    fn a_mistyped_permission_is_noticed() {
        assert!(is_asked_for("VIEW_TASKS") && is_asked_for("EXECUTE_TASK_FUNCTION:x"));
        assert!(!is_asked_for("VIEW_TASK") && !is_asked_for("view_tasks"));
    }
}
