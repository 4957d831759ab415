//! The embedded database, in files and in memory.

mod both_engines;

use std::{
    fs::{self, File},
    io::Write as _,
    sync::mpsc,
};

use aws_sdk_dynamodb::{
    operation::{get_item::GetItemInput, put_item::PutItemInput},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, Put, ScalarAttributeType,
        TransactWriteItem,
    },
};
use tokio::sync::oneshot;

use super::{
    calls::{Call, Typed, Work},
    open::LOCK_PAUSE,
    serve::serve,
    *,
};

async fn create_table(client: &Connection) {
    client
        .client()
        .create_table()
        .table_name("things")
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap())
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build().unwrap(),
        )
        .send()
        .await
        .unwrap();
}

async fn put(client: &Connection, pk: &str) {
    client.client().put_item().table_name("things").item("pk", AttributeValue::S(pk.into())).send().await.unwrap();
}

async fn has(client: &Connection, pk: &str) -> bool {
    let answer = client.client().get_item().table_name("things").key("pk", AttributeValue::S(pk.into())).send().await;
    answer.unwrap().item.is_some()
}

/// Creates a database with one record, and closes it.
async fn filled(path: &Path) {
    let client = open(path).unwrap();
    create_table(&client).await;
    for n in 0..50 {
        put(&client, &n.to_string()).await;
    }
}

#[tokio::test]
async fn writes_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    filled(&path).await;
    let client = open(&path).unwrap();
    assert!(has(&client, "49").await);
    assert!(!has(&client, "50").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_all_succeed_and_are_visible_immediately() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    let client = open(&path).unwrap();
    create_table(&client).await;
    let writes: Vec<_> = (0..300)
        .map(|n: u32| {
            let client = client.clone();
            tokio::spawn(async move {
                put(&client, &n.to_string()).await;
                assert!(has(&client, &n.to_string()).await);
            })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    assert!(beside(&path, "-wal").metadata().unwrap().len() > 0, "there is a log to be synced");
}

#[tokio::test]
async fn transaction_tokens_are_kept_in_memory_but_not_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(&folder.path().join("tasklane.db")).unwrap();
    for (client, is_known) in [(file, false), (memory(), true)] {
        create_table(&client).await;
        let put = Put::builder().table_name("things").item("pk", AttributeValue::S("1".into()));
        let put = put.condition_expression("attribute_not_exists(pk)").build().unwrap();
        let transaction = || {
            let item = TransactWriteItem::builder().put(put.clone()).build();
            client.client().transact_write_items().transact_items(item).client_request_token("token").send()
        };
        transaction().await.unwrap();
        assert_eq!(transaction().await.is_ok(), is_known);
    }
}

#[test]
fn nothing_is_acknowledged_once_a_sync_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    let name = path.to_str().unwrap();
    let database = dynoxide::Database::new(name).unwrap();
    let mut log = WriteAheadLog::of(&database, folder.path().join("elsewhere.db-wal")).unwrap();
    assert!(log.broken().is_none());
    assert!(log.sync().unwrap_err().contains("elsewhere.db-wal"));
    assert!(log.broken().is_some());
    let (requests, inbox) = mpsc::channel();
    let (answer, answered) = oneshot::channel();
    let call: Box<dyn Work> = Box::new(Call::new("GetItem".to_owned(), b"{}".to_vec(), answer));
    requests.send(call).unwrap();
    drop(requests);
    serve(Desk::new(Engine::open(name).unwrap(), database, Tokens::Dropped), log, &inbox, None);
    assert_eq!(answered.blocking_recv().unwrap().status, 500);
}

/// Sends requests that share a round: a put has one key, a get another. Says which of them were answered.
fn in_one_round(name: &str, requests: &[(&str, &str)]) -> Vec<bool> {
    let database = dynoxide::Database::new(name).unwrap();
    let log = WriteAheadLog::of(&database, beside(Path::new(name), "-wal")).unwrap();
    let (sender, inbox) = mpsc::channel();
    let answers: Vec<Box<dyn FnOnce() -> bool>> = requests
        .iter()
        .map(|(operation, pk)| {
            let pk = AttributeValue::S((*pk).to_owned());
            match *operation {
                "put" => {
                    let put = PutItemInput::builder().table_name("things").item("pk", pk).build().unwrap();
                    let (caller, answered) = oneshot::channel();
                    sender.send(Box::new(Typed::new(put, caller)) as Box<dyn Work>).unwrap();
                    Box::new(|| answered.blocking_recv().unwrap().is_ok()) as Box<dyn FnOnce() -> bool>
                }
                _ => {
                    let get = GetItemInput::builder().table_name("things").key("pk", pk).build().unwrap();
                    let (caller, answered) = oneshot::channel();
                    sender.send(Box::new(Typed::new(get, caller)) as Box<dyn Work>).unwrap();
                    Box::new(|| answered.blocking_recv().unwrap().is_ok_and(|answer| answer.item.is_some()))
                }
            }
        })
        .collect();
    drop(sender);
    serve(Desk::new(Engine::open(name).unwrap(), database, Tokens::Dropped), log, &inbox, None);
    answers.into_iter().map(|answered| answered()).collect()
}

/// A database with records that this SQL has changed since: its folder and its name.
fn changed(sql: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(filled(&path));
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn a_write_that_fails_does_not_fail_the_reads_beside_it() {
    // Puts that fail as a full disk has them fail: alone, with all before them, and only once they are written to the log.
    let (_folder, name) = changed(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER alone BEFORE INSERT ON things WHEN new.pk = 'S:alone' BEGIN SELECT RAISE(FAIL, 'full'); END;
         CREATE TRIGGER all_of_them BEFORE INSERT ON things WHEN new.pk = 'S:all'
            BEGIN SELECT RAISE(ROLLBACK, 'full'); END;
         CREATE TRIGGER at_last AFTER INSERT ON things WHEN new.pk = 'S:last'
            BEGIN INSERT INTO child VALUES (1); END;",
    );
    let name = name.as_str();
    for bad in ["alone", "all", "last"] {
        let earlier = format!("before {bad}");
        let later = format!("after {bad}");
        let requests =
            [("put", earlier.as_str()), ("get", "7"), ("get", &earlier), ("put", bad), ("get", "8"), ("put", &later)];
        let answered = in_one_round(name, &requests);
        let is_there = |pk: &str| in_one_round(name, &[("get", pk)]) == [true];
        // What was written before is taken back, and nobody is told that it was written.
        assert_eq!(answered[..5], [false, true, false, false, true], "{bad}");
        assert!(!is_there(&earlier) && !is_there(bad), "{bad}");
        assert_eq!(answered[5], is_there(&later), "{bad}");
    }
}

#[test]
fn a_read_that_fails_does_not_fail_the_writes_beside_it() {
    let (_folder, name) = changed("UPDATE things SET item_json = '{\"pk\":' WHERE pk = 'S:7'");
    let name = name.as_str();
    assert_eq!(in_one_round(name, &[("put", "a"), ("get", "7"), ("put", "b")]), [true, false, true]);
    assert_eq!(in_one_round(name, &[("get", "a"), ("get", "b")]), [true, true]);
}

#[tokio::test]
async fn only_one_process_can_open_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    let client = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, DatabaseError::InUse(_)), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
    drop(client);
    open(&path).unwrap();
}

#[tokio::test]
async fn a_lock_that_outlives_its_process_for_a_moment_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    let left_behind = lock(&path).unwrap();
    let opening = thread::spawn(move || open(&path).map(drop));
    // It is held for a moment; a single try would fail.
    thread::sleep(LOCK_PAUSE * 5);
    assert!(!opening.is_finished());
    drop(left_behind);
    opening.join().unwrap().unwrap();
}

#[tokio::test]
async fn memories_share_nothing() {
    let (a, b) = (memory(), memory());
    create_table(&a).await;
    create_table(&b).await;
    put(&a, "x").await;
    assert!(has(&a, "x").await);
    assert!(!has(&b, "x").await);
}

#[tokio::test]
async fn other_files_are_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    for content in [&b""[..], b"SQLite", b"a text that somebody put here, longer than a header"] {
        fs::write(&path, content).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, DatabaseError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains("tasklane.db"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_truncated_database_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    filled(&path).await;
    let whole = fs::read(&path).unwrap();
    for keep in [whole.len() / 2, 4096, 100] {
        let cut = &whole[..keep];
        fs::write(&path, cut).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, DatabaseError::Unusable { .. }), "{keep} bytes: {error}");
        assert_eq!(fs::read(&path).unwrap(), cut, "{keep} bytes");
    }
    // Once restored, it opens again.
    fs::write(&path, &whole).unwrap();
    assert!(has(&open(&path).unwrap(), "49").await);
}

#[tokio::test]
async fn an_overwritten_database_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    filled(&path).await;
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole.len() % 4096, 0);
    // Every page with content; of the first page everything after the magic.
    for page in 0..whole.len() / 4096 {
        let mut damaged = whole.clone();
        let start = page * 4096 + if page == 0 { 100 } else { 0 };
        if damaged[start..start + 100].iter().all(|byte| *byte == 0) {
            continue;
        }
        damaged[start..(page + 1) * 4096].fill(0xa5);
        fs::write(&path, &damaged).unwrap();
        let error = open(&path).err().unwrap_or_else(|| panic!("page {page} was overwritten, but it opens"));
        assert!(matches!(error, DatabaseError::Unusable { .. }), "page {page}: {error}");
        assert!(fs::read(&path).unwrap() == damaged, "page {page} was changed further");
    }
}

#[tokio::test]
async fn a_write_ahead_log_without_its_database_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasklane.db");
    let log = folder.path().join("tasklane.db-wal");
    File::create(&log).unwrap().write_all(b"what was written last").unwrap();
    let error = open(&path).unwrap_err();
    assert!(error.to_string().contains("-wal"), "{error}");
    assert!(log.exists() && !path.exists());
}

#[tokio::test]
async fn a_missing_folder_is_an_error_of_the_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(&folder.path().join("nowhere/tasklane.db")).unwrap_err();
    assert!(matches!(error, DatabaseError::Io { .. }), "{error}");
}
