//! `tasklane credentials`: create, list, revoke.

use std::time::Duration;

use clap::Subcommand;
use tasklane_client::{CreatedCredential, CredentialSummary, NewCredential, Record, StoredCredentials};
use tasklane_model::{ApplicationId, ObjectId, Permission, Permissions, UserId};
use tasklane_ports::{Clock, SystemClock};

use super::{
    Outcome, Verdict, input, output,
    session::{Remote, Session},
    table::{Layout, cell, optional},
};

/// Create, list and revoke credentials.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Create(Remote<CreateArgs>),
    List(Remote<ListArgs>),
    Revoke(Remote<RevokeArgs>),
}

/// Create a credential for a user.
///
/// Prints the lines of a credentials file for this tool, the exh CLI and the official SDK. Its secrets are shown only
/// once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane credentials create --user ada --permission VIEW_TASKS \\
    --permission EXECUTE_TASK_FUNCTION:hello-js --expires 30d > ada.credentials

Permissions:
  VIEW_TASKS, CREATE_TASKS, CANCEL_TASKS, VIEW_TASK_LOGS, VIEW_TASK_FUNCTIONS, CREATE_TASK_FUNCTION,
  VIEW_TASK_FUNCTION_DETAILS, UPDATE_TASK_FUNCTION, DELETE_TASK_FUNCTION, EXECUTE_TASK_FUNCTION[:FUNCTION],
  VIEW_TASK_FUNCTION_LOGS, EXECUTE_API_FUNCTION[:FUNCTION], VIEW_API_FUNCTION_REQUESTS,
  VIEW_API_FUNCTION_REQUEST_LOGS, VIEW_TASK_SCHEDULES, CREATE_TASK_SCHEDULE, DELETE_TASK_SCHEDULE,
  VIEW_CREDENTIALS, CREATE_CREDENTIALS, DELETE_CREDENTIALS, CREATE_CREDENTIALS_FOR_OTHERS, VIEW_ROLE, CREATE_ROLE,
  ADD_ROLE_PERMISSION, REMOVE_ROLE_PERMISSION, VIEW_USER, ADD_ROLE_TO_USER, REMOVE_ROLE_FROM_USER")]
pub(super) struct CreateArgs {
    /// The user that it identifies
    #[arg(long, value_name = "ID", value_parser = user)]
    user: UserId,

    /// The application that the user works with
    #[arg(long, value_name = "ID", value_parser = application)]
    application: Option<ApplicationId>,

    /// A permission, e.g. CREATE_TASKS, or EXECUTE_TASK_FUNCTION:hello-js for one Function; may be given more than once
    #[arg(long = "permission", value_name = "PERMISSION", value_parser = permission)]
    permissions: Vec<String>,

    /// How long it is valid: 12h, 30d, 4w [default: as long as the credential that creates it]
    #[arg(long, value_name = "TIME", value_parser = input::duration)]
    expires: Option<Duration>,
}

/// List active credentials, without their secrets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane credentials list")]
pub(super) struct ListArgs {}

/// Revoke a credential. It stops working immediately.
///
/// Lists its descendants: the credentials that were created with it, or with one of its descendants.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tasklane credentials revoke 0123456789abcdef01234567
  tasklane credentials revoke 0123456789abcdef01234567 --descendants")]
pub(super) struct RevokeArgs {
    /// The credential's id
    id: ObjectId,

    /// Also revoke its descendants
    #[arg(long)]
    descendants: bool,
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

fn permission(text: &str) -> Result<String, String> {
    let one = Permissions::parse([text]).map_err(|e| e.to_string())?;
    one.check_known().map_err(|unknown| unknown.to_string())?;
    Ok(text.to_owned())
}

async fn create(session: Session, args: CreateArgs) -> Outcome {
    if args.permissions.is_empty() {
        output::note("note: the credential has no permissions; add some with --permission");
    }
    let new = NewCredential {
        user_id: args.user,
        application_id: args.application,
        permissions: Permissions::parse(args.permissions).map_err(|e| anyhow::anyhow!("a permission {e}"))?,
        expires_timestamp: args.expires.map(|time| SystemClock.now().saturating_add(time)),
    };
    let created = session.client.create_credential(&new).await?;
    if session.json {
        session.show_json(&created.json)?;
    } else {
        output::data(lines(&session.client.base().to_string(), &created.value).trim_end())?;
        output::note(&format!("credential {}: keep these lines; they are not shown again", created.value.summary.id));
    }
    Ok(Verdict::Yes)
}

async fn list(session: Session, _: ListArgs) -> Outcome {
    let records = session.client.credentials().await?;
    session.show_records(&records, "credentials", |credentials| table(session.layout, credentials))?;
    Ok(Verdict::Yes)
}

async fn revoke(session: Session, args: RevokeArgs) -> Outcome {
    let answer = session.client.revoke_credential(args.id, args.descendants).await?;
    session.done(&answer, &revoked(args.id, args.descendants, &answer.value.descendants))?;
    Ok(Verdict::Yes)
}

fn revoked(id: ObjectId, with_descendants: bool, descendants: &[ObjectId]) -> String {
    let names = descendants.iter().map(|id| format!("\n  {id}")).collect::<String>();
    match (descendants.is_empty(), with_descendants) {
        (true, _) => format!("{id}: revoked"),
        (false, true) => format!("{id}: revoked, with its descendants:{names}"),
        (false, false) => {
            format!("{id}: revoked; its descendants still work, --descendants revokes them, too:{names}")
        }
    }
}

fn lines(host: &str, created: &CreatedCredential) -> String {
    StoredCredentials {
        // The official SDK uses `localhost` unchanged, but puts `api.` before an address.
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
    fn a_new_credential_is_printed_as_a_valid_file() {
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
    fn a_list_shows_permissions() {
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
    fn a_mistyped_permission_is_refused() {
        assert_eq!(permission("EXECUTE_TASK_FUNCTION:x").as_deref(), Ok("EXECUTE_TASK_FUNCTION:x"));
        insta::assert_snapshot!(permission("VIEW_TASK").unwrap_err(), @"'VIEW_TASK' is not a permission; did you mean VIEW_TASKS?");
    }

    #[test]
    fn help_lists_every_permission() {
        let help =
            <CreateArgs as clap::Args>::augment_args(clap::Command::new("create")).render_long_help().to_string();
        for permission in Permission::ALL {
            assert!(help.contains(permission.as_str()), "{permission}");
        }
    }

    #[test]
    fn a_revocation_lists_descendants() {
        let id = |number: &str| format!("{number:0>24}").parse::<ObjectId>().unwrap();
        insta::assert_snapshot!(revoked(id("1"), false, &[]), @"000000000000000000000001: revoked");
        insta::assert_snapshot!(revoked(id("1"), false, &[id("2")]), @"
        000000000000000000000001: revoked; its descendants still work, --descendants revokes them, too:
          000000000000000000000002
        ");
        insta::assert_snapshot!(revoked(id("1"), true, &[id("2"), id("3")]), @"
        000000000000000000000001: revoked, with its descendants:
          000000000000000000000002
          000000000000000000000003
        ");
    }
}
