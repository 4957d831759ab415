//! Functions, Schedules, API Requests, credentials and nonces.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use tasklane::{
    auth::{CredentialSource as _, OfAccount, PasswordHash, Sealed, StoredCredential},
    model::{
        Account, AccountText, ApiRequest, ApiRequestError, ApiRequestErrorKind, ApplicationId, Architecture,
        AwsOptions, CodeSha256, ConcurrencyLimit, Configuration, Deployment, EmailAddress, EntryPoint, Environment,
        ExecutionOptions, Function, FunctionVersion, History, Identity, ImageReference, Interval, Json, JsonSchema,
        Lane, LogRetentionDays, LoginAttempts, MemoryLimit, Method, ObjectId, Page, Permission, PermissionMode,
        Permissions, Priority, Program, Recurrence, RetryPolicy, Role, RoleName, RolePermissions, Runtime, Schedule,
        SecretReference, Secrets, Task, TaskEvents, TimeLimit, Timeouts, Timestamp, TracingMode, UserId,
    },
    rql::{Query, Schema},
    store::{DueSchedules, Entered, KeptVersion, ScheduleParts, ScheduleRecord, Schedules, Step, StoredAccount},
};

use super::{World, function};

pub fn a_function(world: &World, name: &str) -> Function {
    Function {
        name: function(name),
        configuration: Configuration {
            description: Some("what it is for".into()),
            program: Program::Zip {
                entry_point: EntryPoint::parse("index.handler").unwrap(),
                runtime: Runtime::new("nodejs22.x"),
            },
            time_limit: TimeLimit::new(17).unwrap(),
            memory_limit: MemoryLimit::new(256).unwrap(),
            environment: Environment::parse(BTreeMap::from([("SECRET_KEY".into(), "s3cret".into())])).unwrap(),
            secrets: Secrets::default(),
            aws: None,
        },
        retry_policy: RetryPolicy { enabled: true, errors_to_retry: vec!["Boom".into()], ..RetryPolicy::default() },
        execution_options: ExecutionOptions {
            permission_mode: PermissionMode::AllUsers,
            default_priority: Priority::MAX,
            concurrency_limit: Some(ConcurrencyLimit::new(3).unwrap()),
        },
        timeouts: Timeouts::default(),
        enabled: true,
        update_timestamp: world.now(),
        deployment: Deployment { version: "7".into(), code_sha256: CodeSha256::of(b"abc") },
        lane: Lane::Own,
        store_result: None,
        events: TaskEvents::default(),
        flow: None,
        data_schema: None,
        result_schema: None,
        history: History::new(None, world.now()),
        is_inspected: false,
    }
}

fn schema(json: &str) -> JsonSchema {
    JsonSchema::parse(&Json::parse(json.to_owned()).unwrap()).unwrap()
}

pub fn schedule(world: &World) -> Schedule {
    Schedule {
        id: world.id(),
        name: None,
        recurrence: Recurrence::Every(Interval::from_secs(60).unwrap()),
        function_name: function("f"),
        data: Some(Json::parse(r#"{"a":  1.0}"#.into()).unwrap()),
        priority: None,
        start_timestamp: world.now(),
        end_timestamp: None,
        next_timestamp: Some(world.now()),
        enabled: true,
        overlap: None,
        catch_up: None,
        creation_timestamp: world.now(),
        update_timestamp: world.now(),
        created_by_user_id: Some(UserId::parse("ada").unwrap()),
        created_by_application_id: None,
        on_complete: None,
        managed_by: None,
    }
}

/// A Schedule as it is read after it was added.
pub fn as_read(schedule: &Schedule) -> ScheduleRecord {
    ScheduleRecord::of_new(schedule.clone(), ScheduleParts::ONE)
}

/// On to the next occurrence.
pub fn to(next: Timestamp) -> Step {
    Step::to(Some(next))
}

/// Creates the Task of the occurrence of this Schedule, as it was read, and moves on to the next one. `false` if it has
/// changed since.
pub async fn materialise(world: &World, read: &Schedule, next: Timestamp, task: &Task) -> bool {
    let schedules = &world.store.schedules;
    schedules.materialise(&as_read(read), &to(next), task, Lane::Shared, world.now()).await.unwrap()
}

pub fn api_request(world: &World, name: &str) -> ApiRequest {
    ApiRequest {
        id: world.id(),
        function_name: function(name),
        method: Method::Get,
        path: "a/b?c=d".into(),
        user_id: None,
        application_id: None,
        status_code: 400,
        timestamp: world.now(),
        duration: 0.25,
        error: Some(ApiRequestError { kind: ApiRequestErrorKind::Response, name: "N".into(), message: "m".into() }),
        request_id: Some("request-1".into()),
    }
}

pub fn credential(world: &World, name: &str) -> StoredCredential {
    let mut access_token_hash = [0; 32];
    access_token_hash[..name.len()].copy_from_slice(name.as_bytes());
    StoredCredential {
        id: world.id(),
        identity: Identity {
            user_id: UserId::parse(name).unwrap(),
            application_id: Some(ApplicationId::parse("app").unwrap()),
            permissions: Permissions::parse(["VIEW_TASKS", "EXECUTE_TASK_FUNCTION:f"]).unwrap(),
        },
        consumer_key: format!("consumer-{name}"),
        consumer_secret: Sealed::from_bytes(vec![1, 2, 3]),
        token: format!("token-{name}"),
        token_secret: Sealed::from_bytes(vec![4, 5, 6]),
        access_token_hash: Some(access_token_hash),
        account: None,
        creation_timestamp: world.now(),
        expires: Some(world.now().saturating_add(Duration::from_secs(60))),
        created_by_user_id: None,
        ancestors: Vec::new(),
    }
}

pub fn role(world: &World, name: &str) -> Role {
    Role {
        id: world.id(),
        name: RoleName::parse(name).unwrap(),
        description: AccountText::parse("what it is for").unwrap(),
        permissions: RolePermissions::default(),
        creation_timestamp: world.now(),
        update_timestamp: world.now(),
    }
}

pub fn account(world: &World, email: &str) -> StoredAccount {
    let text = |text: &str| AccountText::parse(text).unwrap();
    StoredAccount {
        account: Account {
            id: world.id(),
            email: EmailAddress::parse(email).unwrap(),
            first_name: text("Ada"),
            last_name: text("Lovelace"),
            phone_number: text("0"),
            language: text("EN"),
            time_zone: text(""),
            roles: vec![],
            creation_timestamp: world.now(),
            update_timestamp: world.now(),
        },
        // What a hash looks like: memory, passes, salt and hash.
        password: PasswordHash::from_bytes(&[&[0, 0, 0x4c, 0, 0, 0, 0, 2][..], &[7; 48]].concat()).unwrap(),
        attempts: LoginAttempts::default(),
    }
}

/// A credential of its own, a token of another consumer, and a credential that grants a part of what the account holds.
pub fn credentials_of(world: &World, account: &Account) -> [StoredCredential; 3] {
    let of = |name: &str, within: Option<&str>| {
        let mut credential = credential(world, name);
        credential.identity.user_id = account.id.into();
        credential.identity.permissions = Permissions::none();
        let within = within.map(|name| Permissions::parse([name]).unwrap());
        credential.account = Some(OfAccount { within, has_role: false });
        credential
    };
    let (own, mut token) = (of("own", None), of("further", None));
    token.access_token_hash = None;
    token.consumer_key = "consumer-of-another".to_owned();
    [own, token, of("limited", Some("CREATE_TASKS"))]
}

#[tokio::test]
async fn a_credential_of_an_account_grants_what_its_roles_do_when_it_is_read() {
    let world = World::new().await;
    let (accounts, credentials) = (&world.store.accounts, &world.store.credentials);
    let stored = account(&world, "a@example.com");
    let [own, token, limited] = credentials_of(&world, &stored.account);
    for credential in [&own, &token, &limited] {
        assert!(credentials.put(credential).await.unwrap());
    }
    let found = async |credential: &StoredCredential| credentials.by_token(&credential.token).await.unwrap();
    // Of an account that does not exist, nothing is found.
    assert!(found(&own).await.is_none() && found(&limited).await.is_none());
    assert!(credentials.by_access_token_hash(&own.access_token_hash.unwrap()).await.unwrap().is_none());

    assert_eq!(accounts.register(&stored, &[], &accounts.registry().await.unwrap()).await.unwrap(), Entered::Done);
    let standing = async |credential: &StoredCredential| {
        let found = found(credential).await.unwrap();
        let names = found.identity.permissions.iter().map(str::to_owned).collect::<Vec<_>>().join(" ");
        (found.account.unwrap().has_role, names)
    };
    for credential in [&own, &token, &limited] {
        assert_eq!(standing(credential).await, (false, String::new()));
    }
    let mut editors = role(&world, "editors");
    editors.permissions.add(&Permissions::parse(["VIEW_TASKS", "CREATE_TASKS", "VIEW_DOCUMENTS"]).unwrap());
    assert_eq!(accounts.create_role(&editors, &accounts.registry().await.unwrap()).await.unwrap(), Entered::Done);
    let mut current = accounts.account(stored.account.id).await.unwrap().unwrap();
    current.value.account.roles.push(editors.id);
    assert!(accounts.update_accounts(std::slice::from_ref(&current), None).await.unwrap());
    assert!(!accounts.update_accounts(&[current], None).await.unwrap(), "it has changed since it was read");
    assert_eq!(standing(&own).await, (true, "CREATE_TASKS VIEW_TASKS".to_owned()));
    assert_eq!(standing(&token).await, (true, "CREATE_TASKS VIEW_TASKS".to_owned()));
    assert_eq!(standing(&limited).await, (true, "CREATE_TASKS".to_owned()));
    let listed = credentials.list().await.unwrap();
    let listed = listed.iter().map(|found| found.identity.permissions.iter().count()).collect::<Vec<_>>();
    assert_eq!(listed, [2, 2, 1]);
    // The token is not a consumer, and an account's own credential has all three forms.
    assert!(credentials.by_consumer_key("consumer-of-another").await.unwrap().is_none());
    assert!(credentials.by_consumer_key(&own.consumer_key).await.unwrap().is_some());
    assert_eq!(credentials.of_account(stored.account.id).await.unwrap().len(), 3);
    assert!(credentials.revoke(token.id).await.unwrap());
    assert!(found(&token).await.is_none() && found(&own).await.is_some());
}

#[tokio::test]
async fn two_roles_never_share_a_name_and_two_accounts_no_address() {
    let world = World::new().await;
    let accounts = &world.store.accounts;
    let [a, b] = [role(&world, "same"), role(&world, "same")];
    let outdated = accounts.registry().await.unwrap();
    assert_eq!(accounts.create_role(&a, &outdated).await.unwrap(), Entered::Done);
    assert_eq!(accounts.create_role(&role(&world, "other"), &outdated).await.unwrap(), Entered::Outdated);
    assert_eq!(accounts.create_role(&b, &accounts.registry().await.unwrap()).await.unwrap(), Entered::Taken);
    assert_eq!(accounts.role_named(&a.name).await.unwrap().unwrap().value, a);
    assert_eq!(accounts.roles().await.unwrap().len(), 1);

    let [first, second] = [account(&world, "a@example.com"), account(&world, "A@Example.com")];
    let registry = async || accounts.registry().await.unwrap();
    assert_eq!(accounts.register(&first, &[], &registry().await).await.unwrap(), Entered::Done);
    assert_eq!(accounts.register(&second, &[], &registry().await).await.unwrap(), Entered::Taken);
    // Unless the one that has it is forgotten with the same write.
    assert_eq!(
        accounts.register(&second, std::slice::from_ref(&first), &registry().await).await.unwrap(),
        Entered::Done
    );
    assert!(accounts.account(first.account.id).await.unwrap().is_none());
    assert_eq!(accounts.account_of(&first.account.email).await.unwrap().unwrap().value, second);
}

/// A response that is lost is not taken for somebody else's write.
#[tokio::test]
async fn roles_and_accounts_are_written_even_if_responses_are_lost() {
    let world = World::new().await;
    let accounts = &world.store.accounts;
    let lose = || world.wire.lose_answers("TransactWriteItems", 1);
    lose();
    let entered = accounts.create_role(&role(&world, "a"), &accounts.registry().await.unwrap()).await.unwrap();
    assert_eq!(entered, Entered::Done);
    let stored = account(&world, "a@example.com");
    lose();
    assert_eq!(accounts.register(&stored, &[], &accounts.registry().await.unwrap()).await.unwrap(), Entered::Done);
    let current = accounts.account(stored.account.id).await.unwrap().unwrap();
    let [_, token, _] = credentials_of(&world, &stored.account);
    lose();
    assert!(world.store.credentials.put_of_account(&token, &current).await.unwrap());
    assert!(!world.store.credentials.put_of_account(&credential(&world, "late"), &current).await.unwrap());
}

#[tokio::test]
async fn a_function_is_read_back_as_it_was_written_and_listed_by_name() {
    let world = World::new().await;
    let functions = &world.store.functions;
    let (b, a) = (a_function(&world, "b"), a_function(&world, "a"));
    assert!(functions.create(&b).await.unwrap());
    assert!(functions.create(&a).await.unwrap());
    assert!(!functions.create(&a).await.unwrap());
    assert_eq!(functions.get(&b.name).await.unwrap().unwrap().value, b);
    assert_eq!(functions.get(&function("c")).await.unwrap(), None);
    assert_eq!(functions.list().await.unwrap(), [a, b.clone()]);
    assert!(functions.delete(&b.name).await.unwrap());
    assert!(!functions.delete(&b.name).await.unwrap());
    assert_eq!(functions.get(&b.name).await.unwrap(), None);
}

#[tokio::test]
async fn a_function_keeps_its_secrets_and_its_options_for_aws() {
    let world = World::new().await;
    let mut f = a_function(&world, "f");
    let reference = SecretReference::parse("secretsmanager:tasklane/prod/db#password").unwrap();
    f.configuration.secrets = Secrets::new(BTreeMap::from([("DB_PASSWORD".into(), reference)])).unwrap();
    f.configuration.aws = Some(AwsOptions {
        architecture: Some(Architecture::Arm),
        tracing: Some(TracingMode::Active),
        log_retention_days: Some(LogRetentionDays::new(7).unwrap()),
        ..AwsOptions::default()
    });
    assert!(world.store.functions.create(&f).await.unwrap());
    assert_eq!(world.store.functions.get(&f.name).await.unwrap().unwrap().value, f);
}

#[tokio::test]
async fn a_function_and_its_versions_keep_their_image() {
    let world = World::new().await;
    let functions = &world.store.functions;
    let named = |tag: &str| Program::Image { image: ImageReference::parse(format!("registry/hello:{tag}")).unwrap() };
    let mut f = a_function(&world, "f");
    f.configuration.program = named("1");
    assert!(functions.create(&f).await.unwrap());
    let read = functions.get(&f.name).await.unwrap().unwrap();
    assert_eq!(read.value, f);
    let mut newer = f.clone();
    newer.configuration.program = named("2");
    let note = f.history.current.clone();
    let kept = KeptVersion { version: FunctionVersion::of(&f, note.clone()), replaced: Some(world.now()) };
    assert!(functions.update_and_keep(&newer, read.revision, &kept).await.unwrap());
    assert_eq!(functions.version(&newer, note.number).await.unwrap().unwrap(), kept);
    assert_eq!(functions.get(&f.name).await.unwrap().unwrap().value, newer);
    // An older process, which knows no images, must leave such rows alone.
    let rows = world.client.scan().table_name(format!("{}-functions", world.prefix)).send().await.unwrap();
    let formats: Vec<_> = rows.items().iter().map(|row| row["v"].as_n().unwrap().as_str()).collect();
    assert_eq!(formats, ["2", "2"], "the Function's and its version's");
}

#[tokio::test]
async fn a_function_and_its_versions_keep_their_schemas_as_they_were_written() {
    let world = World::new().await;
    let functions = &world.store.functions;
    let schema = r#"{"maximum":1.0e2,"b":[],"a":"\u00e9"}"#;
    let with = Function {
        data_schema: Some(self::schema(schema)),
        result_schema: Some(self::schema("true")),
        ..a_function(&world, "f")
    };
    assert!(functions.create(&with).await.unwrap());
    let read = functions.get(&with.name).await.unwrap().unwrap();
    assert_eq!(read.value, with);
    assert_eq!(read.value.data_schema.as_ref().unwrap().as_json().as_str(), schema);

    let without = Function { data_schema: None, ..with.clone() };
    let note = with.history.current.clone();
    let kept = KeptVersion { version: FunctionVersion::of(&with, note.clone()), replaced: Some(world.now()) };
    assert!(functions.update_and_keep(&without, read.revision, &kept).await.unwrap());
    let version = functions.version(&without, note.number).await.unwrap().unwrap();
    assert_eq!(version, kept);
    let mut back = functions.get(&with.name).await.unwrap().unwrap().value;
    assert_eq!(back.data_schema, None);
    version.version.apply_to(&mut back);
    assert_eq!(back.data_schema, with.data_schema);
    // An older process must leave such a row alone, and may go on with others.
    functions.create(&a_function(&world, "plain")).await.unwrap();
    let rows = world.client.scan().table_name(format!("{}-functions", world.prefix)).send().await.unwrap();
    for (name, format) in [("f", "2"), ("plain", "1")] {
        let row = rows
            .items()
            .iter()
            .find(|row| row["pk"].as_s().unwrap() == "function" && row["sk"].as_s().unwrap() == name);
        assert_eq!(row.unwrap()["v"].as_n().unwrap(), format, "{name}");
    }
}

#[tokio::test]
async fn an_update_of_an_outdated_revision_is_refused() {
    let world = World::new().await;
    let functions = &world.store.functions;
    let mut f = a_function(&world, "f");
    functions.create(&f).await.unwrap();
    let read = functions.get(&f.name).await.unwrap().unwrap();
    f.configuration.description = Some("first".into());
    assert!(functions.update(&f, read.revision).await.unwrap());
    f.configuration.description = Some("second".into());
    assert!(!functions.update(&f, read.revision).await.unwrap());
    let read = functions.get(&f.name).await.unwrap().unwrap();
    assert_eq!(read.value.configuration.description.as_deref(), Some("first"));
    assert!(functions.update(&f, read.revision).await.unwrap());
    functions.delete(&f.name).await.unwrap();
    let read = functions.get(&f.name).await.unwrap();
    assert_eq!(read, None);
}

#[tokio::test]
async fn a_function_that_was_deleted_and_created_again_is_another_one() {
    let world = World::new().await;
    let functions = &world.store.functions;
    let f = a_function(&world, "f");
    functions.create(&f).await.unwrap();
    let read = functions.get(&f.name).await.unwrap().unwrap();
    functions.delete(&f.name).await.unwrap();
    assert!(!functions.update(&f, read.revision).await.unwrap());
    functions.create(&f).await.unwrap();
    assert!(!functions.update(&f, read.revision).await.unwrap());
}

#[tokio::test]
async fn schedules_come_due_in_order_and_move_on() {
    let world = World::new().await;
    let schedules = &world.store.schedules;
    let first = schedule(&world);
    let mut second = schedule(&world);
    second.next_timestamp = Some(world.now().saturating_add(Duration::from_secs(30)));
    assert_eq!(schedules.earliest().await.unwrap(), None);
    schedules.create(&second).await.unwrap();
    schedules.create(&first).await.unwrap();
    schedules.create(&first).await.unwrap();
    assert_eq!(schedules.earliest().await.unwrap(), first.next_timestamp);
    let read = schedules.get(first.id).await.unwrap().unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&first).unwrap());

    let ids = |schedules: Vec<ScheduleRecord>| schedules.iter().map(|record| record.schedule.id).collect::<Vec<_>>();
    assert_eq!(ids(schedules.due(world.now(), &schedules.first_due(0), 10).await.unwrap().schedules), [first.id]);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(
        ids(schedules.due(world.now(), &schedules.first_due(0), 10).await.unwrap().schedules),
        [first.id, second.id]
    );
    assert_eq!(ids(schedules.due(world.now(), &schedules.first_due(0), 1).await.unwrap().schedules), [first.id]);

    let (next, task) = (first.occurrence_after(world.now()).unwrap(), world.task());
    assert!(materialise(&world, &first, next, &task).await);
    let moved = schedules.get(first.id).await.unwrap().unwrap();
    assert_eq!((moved.next_timestamp, moved.update_timestamp), (Some(next), world.now()));
    assert_eq!(world.heads().await, [task.id]);
    assert_eq!(ids(schedules.due(world.now(), &schedules.first_due(0), 10).await.unwrap().schedules), [second.id]);
    // Changes based on the old record are refused.
    let other = world.task();
    assert!(!materialise(&world, &first, next, &other).await);
    assert!(!schedules.pass(&as_read(&first), &to(next), world.now()).await.unwrap());
    assert_eq!(world.store.tasks.get(other.id).await.unwrap(), None);

    assert!(schedules.pass(&as_read(&second), &to(next), world.now()).await.unwrap());
    assert_eq!(schedules.due(world.now(), &schedules.first_due(0), 10).await.unwrap().schedules.len(), 0);

    assert!(schedules.delete(first.id).await.unwrap());
    assert!(!schedules.delete(first.id).await.unwrap());
    assert!(!materialise(&world, &moved, next, &other).await);
    assert_eq!(schedules.earliest().await.unwrap(), Some(next));
}

#[tokio::test]
async fn divided_schedules_are_found_together_with_those_from_before() {
    let world = World::new().await;
    let before = &world.store.schedules;
    let divided = &world.another_store(|config| config.schedules = ScheduleParts::ON_AWS).schedules;
    let (mut all, mut old) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let schedule = schedule(&world);
        if number % 4 == 0 {
            before.create(&schedule).await.unwrap();
            old.push(schedule.id);
        } else {
            divided.create(&schedule).await.unwrap();
        }
        all.push(schedule);
    }
    let ids: Vec<_> = all.iter().map(|schedule| schedule.id).collect();

    for first in [0, 3, 8, 255] {
        let (mut found, mut from) = (Vec::new(), Some(divided.first_due(first)));
        while let Some(position) = from {
            let due = divided.due(world.now(), &position, 2).await.unwrap();
            if let Some(last) = due.schedules.last() {
                // Back to one that there was no time for.
                let again = divided.due(world.now(), &position.at(last), 1).await.unwrap();
                assert_eq!(again.schedules.first(), Some(last));
            }
            found.extend(due.schedules.iter().map(|record| record.schedule.id));
            from = due.next;
        }
        found.sort_unstable();
        assert_eq!(found, ids, "each once, from part {first} on");
    }
    let listed = |page: Page<Json>| {
        let schedules = page.data.iter().map(|json| json.to_value()["id"].as_str().unwrap().parse().unwrap());
        schedules.collect::<Vec<ObjectId>>()
    };
    let list = |store: &Schedules, rql: String| {
        let (store, query) = (store.clone(), Query::parse(&rql, &Schema::SCHEDULES).unwrap());
        async move { listed(store.list(&query, Timestamp::from_millis(super::BEGIN).unwrap()).await.unwrap()) }
    };
    assert_eq!(list(divided, String::new()).await, ids);
    assert_eq!(list(divided, format!("in(id,{},{})", ids[0], ids[1])).await, ids[..2]);
    assert_eq!(list(before, String::new()).await, old, "a process from before leaves the others alone");
    assert_eq!(before.get(ids[1]).await.unwrap(), None);

    let next = world.now().saturating_add(Duration::from_secs(60));
    assert_eq!(divided.earliest().await.unwrap(), Some(world.now()));
    for (number, schedule) in all.iter().enumerate() {
        let read = divided.record(schedule.id).await.unwrap().unwrap();
        assert_eq!(read.schedule.id, schedule.id);
        let moved = match number % 2 {
            0 => divided.pass(&read, &to(next), world.now()).await,
            _ => divided.materialise(&read, &to(next), &world.task(), Lane::Shared, world.now()).await,
        };
        assert!(moved.unwrap(), "{number}");
        let read = divided.record(schedule.id).await.unwrap().unwrap();
        let paused = Schedule { enabled: false, ..read.schedule.clone() };
        assert_eq!(read.look, Some(next));
        assert!(divided.replace(&read, &paused, world.now()).await.unwrap(), "{number}");
    }
    assert_eq!(world.heads().await.len(), 10);
    assert_eq!(divided.earliest().await.unwrap(), None);
    assert_eq!(list(divided, String::new()).await, ids, "each is where it was");
    assert_eq!(list(before, String::new()).await, old);
    for id in ids {
        assert!(divided.delete(id).await.unwrap());
        assert!(!divided.delete(id).await.unwrap());
    }
    assert_eq!(list(divided, String::new()).await, []);
}

#[tokio::test]
async fn due_schedules_come_in_batches_and_an_unreadable_one_hides_no_other() {
    let world = World::new().await;
    let schedules = &world.store.schedules;
    let mut ids = Vec::new();
    // Two at one time, so that a batch begins between equal times.
    for number in [0, 1, 1, 2, 2] {
        let mut schedule = schedule(&world);
        schedule.next_timestamp = Some(world.now().saturating_add(Duration::from_secs(number)));
        schedules.create(&schedule).await.unwrap();
        ids.push(schedule.id);
    }
    let later = world
        .client
        .update_item()
        .table_name(format!("{}-schedules", world.prefix))
        .key("pk", AttributeValue::S("schedule".to_owned()))
        .key("sk", AttributeValue::S(ids[1].to_string()))
        .update_expression("SET v = :later")
        .expression_attribute_values(":later", AttributeValue::N("99".to_owned()));
    later.send().await.unwrap();
    let (before, now) = (world.now(), world.now().saturating_add(Duration::from_secs(10)));
    let of = |due: &DueSchedules| due.schedules.iter().map(|record| record.schedule.id).collect::<Vec<_>>();

    let first = schedules.due(now, &schedules.first_due(0), 2).await.unwrap();
    assert_eq!((of(&first), first.unreadable.len()), (vec![ids[0]], 1));
    let why = first.unreadable[0].to_string();
    assert!(why.contains(&ids[1].to_string()) && why.contains("format 99"), "{why}");
    let second = schedules.due(now, first.next.as_ref().unwrap(), 2).await.unwrap();
    assert_eq!((of(&second), second.unreadable.len()), (vec![ids[2], ids[3]], 0));
    let third = schedules.due(now, second.next.as_ref().unwrap(), 2).await.unwrap();
    assert_eq!((of(&third), third.next), (vec![ids[4]], None));
    // The clock was set back between two batches.
    let none = schedules.due(before, second.next.as_ref().unwrap(), 2).await.unwrap();
    assert_eq!((of(&none), none.next), (Vec::new(), None));
}

#[tokio::test]
async fn schedules_are_listed_by_query() {
    let world = World::new().await;
    for interval in [10, 20, 30] {
        let mut schedule = schedule(&world);
        schedule.recurrence = Recurrence::Every(Interval::from_secs(interval).unwrap());
        world.store.schedules.create(&schedule).await.unwrap();
    }
    let query = Query::parse("interval>15&sort(-interval)", &Schema::SCHEDULES).unwrap();
    let page = world.store.schedules.list(&query, world.now()).await.unwrap();
    let intervals: Vec<_> =
        page.data.iter().map(|schedule| schedule.to_value()["interval"].as_i64().unwrap()).collect();
    assert_eq!((intervals, page.page.total), (vec![30, 20], Some(2)));
}

#[tokio::test]
async fn api_requests_are_read_back_and_listed_without_internal_attributes() {
    let world = World::new().await;
    let requests = &world.store.api_requests;
    let (f, g) = (api_request(&world, "f"), api_request(&world, "g"));
    requests.put(&f).await.unwrap();
    requests.put(&f).await.unwrap();
    requests.put(&g).await.unwrap();
    let read = requests.get(f.id).await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&f).unwrap());
    assert_eq!(read.request_id.as_deref(), Some("request-1"));
    assert!(requests.get(world.id()).await.unwrap().is_none());

    let page = requests.list(&Query::everything(), world.now()).await.unwrap();
    let data: Vec<_> = page.data.iter().map(Json::to_value).collect();
    assert_eq!(data, [serde_json::to_value(&f).unwrap(), serde_json::to_value(&g).unwrap()]);
    assert_eq!(data[0].get("requestId"), None);
    let query = Query::parse("functionName=g", &Schema::API_REQUESTS).unwrap();
    let page = requests.list(&query, world.now()).await.unwrap();
    assert_eq!((page.data.len(), page.page.total), (1, Some(1)));
}

#[tokio::test]
async fn a_credential_is_found_by_each_of_its_keys_until_it_is_revoked() {
    let world = World::new().await;
    let credentials = &world.store.credentials;
    let (a, b) = (credential(&world, "a"), credential(&world, "b"));
    credentials.put(&a).await.unwrap();
    credentials.put(&a).await.unwrap();
    credentials.put(&b).await.unwrap();
    let same = |found: Option<StoredCredential>| {
        let found = found.unwrap();
        assert_eq!(format!("{found:?}"), format!("{a:?}"));
        assert_eq!((found.consumer_secret, found.token_secret), (a.consumer_secret.clone(), a.token_secret.clone()));
        assert_eq!((found.access_token_hash, found.expires), (a.access_token_hash, a.expires));
    };
    same(credentials.by_consumer_key("consumer-a").await.unwrap());
    same(credentials.by_access_token_hash(&a.access_token_hash.unwrap()).await.unwrap());
    // A token is not a consumer key.
    assert!(credentials.by_consumer_key("token-a").await.unwrap().is_none());
    assert!(credentials.by_consumer_key(&"x".repeat(5000)).await.unwrap().is_none());
    let ids = async || credentials.list().await.unwrap().iter().map(|c| c.id).collect::<Vec<_>>();
    assert_eq!(ids().await, [a.id, b.id]);
    // An expired credential is still found, because its error differs from that of an unknown one.
    world.clock.advance(Duration::from_secs(120));
    assert!(credentials.by_consumer_key("consumer-a").await.unwrap().is_some());

    assert!(credentials.revoke(a.id).await.unwrap());
    assert!(!credentials.revoke(a.id).await.unwrap());
    assert!(credentials.by_consumer_key("consumer-a").await.unwrap().is_none());
    assert!(credentials.by_access_token_hash(&a.access_token_hash.unwrap()).await.unwrap().is_none());
    assert_eq!(ids().await, [b.id]);
}

#[tokio::test]
async fn two_credentials_never_share_a_key() {
    let world = World::new().await;
    let (a, mut b) = (credential(&world, "a"), credential(&world, "b"));
    world.store.credentials.put(&a).await.unwrap();
    b.consumer_key = a.consumer_key.clone();
    world.store.credentials.put(&b).await.unwrap_err();
    assert!(world.store.credentials.by_access_token_hash(&b.access_token_hash.unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_nonce_is_seen_once_for_each_consumer_and_time_stamp_until_it_is_forgotten() {
    let world = World::new().await;
    let nonces = &world.store.nonces;
    let until = world.now().saturating_add(Duration::from_secs(60));
    assert!(nonces.remember("key", "nonce", 1, until).await.unwrap());
    assert!(!nonces.remember("key", "nonce", 1, until).await.unwrap());
    assert!(nonces.remember("key", "nonce", 2, until).await.unwrap());
    assert!(nonces.remember("other", "nonce", 1, until).await.unwrap());
    assert!(nonces.remember("keyn", "once", 1, until).await.unwrap());
    world.clock.advance(Duration::from_secs(60));
    let until = world.now().saturating_add(Duration::from_secs(60));
    assert!(nonces.remember("key", "nonce", 1, until).await.unwrap());
}

#[tokio::test]
async fn tables_are_created_once_and_kept() {
    let world = World::new().await;
    let id = world.create(&world.task()).await;
    world.store.create_tables().await.unwrap();
    world.another_store(|_| {}).create_tables().await.unwrap();
    assert!(world.store.tasks.get(id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_name_that_a_stored_credential_holds_grants_nothing_when_it_becomes_a_permission() {
    let world = World::new().await;
    let mut stored = credential(&world, "ada");
    stored.identity.permissions = Permissions::parse(["VIEW_TASKS", "A_NAME_OF_TOMORROW"]).unwrap();
    assert!(world.store.credentials.put(&stored).await.unwrap());
    let read = |row: &StoredCredential| row.identity.permissions.iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(read(&world.store.credentials.list().await.unwrap()[0]), ["A_NAME_OF_TOMORROW", "VIEW_TASKS"]);

    // An older version accepted any name. A row of that version does not grant permissions that were added later.
    let mut administrator = credential(&world, "root");
    administrator.identity.permissions = Permissions::all();
    assert!(world.store.credentials.put(&administrator).await.unwrap());
    let key = |pk: &str, sk: String| {
        std::collections::HashMap::from([
            ("pk".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(pk.to_owned())),
            ("sk".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(sk)),
        ])
    };
    let forget = world.client.update_item().table_name(format!("{}-credentials", world.prefix));
    let forget = forget.set_key(Some(key("credential", administrator.id.to_string())));
    forget.update_expression("REMOVE vocabulary").send().await.unwrap();
    let listed = world.store.credentials.list().await.unwrap();
    let found = listed.iter().find(|found| found.id == administrator.id).unwrap();
    assert!(found.identity.permissions.hold(Permission::CreateCredentials));
    assert!(!found.identity.permissions.hold(Permission::CreateCredentialsForOthers));
}

#[tokio::test]
async fn a_credential_is_read_back_with_its_ancestors_and_added_only_while_its_parent_exists() {
    let world = World::new().await;
    let credentials = &world.store.credentials;
    let parent = credential(&world, "parent");
    assert!(credentials.put(&parent).await.unwrap());
    let mut child = credential(&world, "child");
    child.ancestors = vec![world.id(), parent.id];
    child.created_by_user_id = Some(UserId::parse("ada").unwrap());
    assert!(credentials.put(&child).await.unwrap());
    assert!(credentials.put(&child).await.unwrap(), "adding it again changes nothing");
    let listed = credentials.list().await.unwrap();
    let found = listed.iter().find(|found| found.id == child.id).unwrap();
    assert_eq!((&found.ancestors, &found.created_by_user_id), (&child.ancestors, &child.created_by_user_id));
    assert_eq!(credentials.descendants(parent.id).await.unwrap(), [child.id]);
    assert!(credentials.revoke(parent.id).await.unwrap());
    let mut late = credential(&world, "late");
    late.ancestors = vec![parent.id];
    assert!(!credentials.put(&late).await.unwrap());
    assert_eq!(credentials.list().await.unwrap().len(), 1);
}
