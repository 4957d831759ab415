//! Lists: pages, totals, budgets, and the part of the table that they read.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use tasklane::{
    model::{Json, Lane, ObjectId, Page, Priority, Tags, TaskStatus},
    rql::{Query, Schema},
    store::{CancelOutcome, StoreError},
};

use super::{World, boom, run_of};

async fn list(world: &World, query: &str) -> Page<Value> {
    let query = Query::parse(query, &Schema::TASKS).unwrap();
    let page = world.store.tasks.list(&query, world.now()).await.unwrap();
    Page { query: page.query, page: page.page, data: page.data.iter().map(Json::to_value).collect() }
}

fn ids(page: &Page<Value>) -> Vec<ObjectId> {
    page.data.iter().map(|task| task["id"].as_str().unwrap().parse().unwrap()).collect()
}

/// Tasks on three days, the priorities 0 to 29, of the Functions `even` and `odd`.
async fn thirty(world: &World) -> Vec<ObjectId> {
    let mut created = Vec::new();
    for n in 0..30_i64 {
        let mut task = world.task_of(if n % 2 == 0 { "even" } else { "odd" });
        task.priority = Priority::new(n).unwrap();
        task.tags = Tags::try_from(vec![format!("n{n}")]).unwrap();
        created.push(world.create(&task).await);
        world.clock.advance(Duration::from_secs(2 * 3600));
    }
    created
}

#[tokio::test]
async fn an_unfiltered_list_is_paged_in_the_order_of_creation_with_an_exact_total() {
    let world = World::new().await;
    let page = list(&world, "").await;
    assert_eq!((page.data.len(), page.page.total, page.page.total_is_exact), (0, Some(0), None));
    let created = thirty(&world).await;
    let page = list(&world, "").await;
    assert_eq!(ids(&page), created[..20]);
    assert_eq!((page.page.total, page.page.offset, page.page.limit), (Some(30), 0, 20));
    let page = list(&world, "limit(7,20)").await;
    assert_eq!(ids(&page), created[20..27]);
    assert_eq!((page.page.total, page.page.offset, page.page.limit), (Some(30), 20, 7));
    let page = list(&world, "limit(20,25)").await;
    assert_eq!((ids(&page), page.page.total), (created[25..].to_vec(), Some(30)));
    let page = list(&world, "limit(20,100)").await;
    assert_eq!((page.data.len(), page.page.total), (0, Some(30)));
    let page = list(&world, "limit(0)").await;
    assert_eq!((page.data.len(), page.page.total), (0, Some(30)));
    let page = list(&world, "limit(3)&skipCount()").await;
    assert_eq!((ids(&page), page.page.total, page.page.total_is_exact), (created[..3].to_vec(), None, None));
    assert_eq!(page.query, "limit(3)&skipCount()");
}

#[tokio::test]
async fn a_list_shows_the_public_record() {
    let world = World::new().await;
    let id = world.create(&world.task()).await;
    let page = list(&world, "").await;
    assert_eq!(page.data[0], serde_json::to_value(world.get(id).await.task).unwrap());
    let page = list(&world, "select(status)").await;
    assert_eq!(page.data[0], serde_json::json!({"id": id.to_string(), "status": "new"}));
}

#[tokio::test]
async fn data_that_no_parser_accepts_does_not_break_the_list() {
    let world = World::new().await;
    let mut task = world.task();
    task.data = Some(tasklane::model::Json::parse("{\"a\": 1e999}".into()).unwrap());
    world.create(&task).await;
    assert_eq!(ids(&list(&world, "").await), [task.id]);
}

#[tokio::test]
async fn filters_see_every_record_and_totals_include_only_matches() {
    let world = World::new().await;
    let created = thirty(&world).await;
    let page = list(&world, "priority>=10&limit(5)").await;
    assert_eq!((ids(&page), page.page.total), (created[10..15].to_vec(), Some(20)));
    let page = list(&world, "priority>=10&limit(5,18)").await;
    assert_eq!((ids(&page), page.page.total), (created[28..].to_vec(), Some(20)));
    let page = list(&world, "tags=n7").await;
    assert_eq!((ids(&page), page.page.total), (vec![created[7]], Some(1)));
    let page = list(&world, "data.n=1&limit(1)").await;
    assert_eq!(page.page.total, Some(30));
}

#[tokio::test]
async fn lists_are_sorted_as_requested() {
    let world = World::new().await;
    let created = thirty(&world).await;
    let reversed: Vec<_> = created.iter().rev().copied().collect();
    for query in ["sort(-id)", "sort(-creationTimestamp)", "sort(-priority)", "sort(-startTimestamp)", "sort(-tags,id)"]
    {
        let page = list(&world, &format!("{query}&limit(4,1)")).await;
        if query != "sort(-tags,id)" {
            assert_eq!((ids(&page), page.page.total), (reversed[1..5].to_vec(), Some(30)), "{query}");
        }
        assert_eq!(page.page.total, Some(30), "{query}");
    }
    let page = list(&world, "sort(functionName,-priority)&limit(3)").await;
    assert_eq!(ids(&page), [created[28], created[26], created[24]]);
    // Equal keys are in the order of creation.
    let page = list(&world, "sort(status)&limit(3)").await;
    assert_eq!(ids(&page), created[..3]);
}

#[tokio::test]
async fn a_query_by_id_reads_only_those_records() {
    let world = World::new().await;
    let created = thirty(&world).await;
    world.wire.forget();
    let page = list(&world, &format!("in(id,{},{},{})", created[9], created[3], world.id())).await;
    assert_eq!((ids(&page), page.page.total), (vec![created[3], created[9]], Some(2)));
    assert_eq!(world.wire.calls("Query"), 0);
    let page = list(&world, &format!("id={}&priority=4", created[3])).await;
    assert_eq!((page.data.len(), page.page.total), (0, Some(0)));
    let page = list(&world, &format!("in(id,{},{})&sort(-id)", created[9], created[3])).await;
    assert_eq!(ids(&page), [created[9], created[3]]);
}

#[tokio::test]
async fn the_tasks_of_a_function_are_found_by_an_index() {
    let world = World::new().await;
    let created = thirty(&world).await;
    let odd: Vec<_> = created.iter().skip(1).step_by(2).copied().collect();
    world.wire.forget();
    let page = list(&world, "functionName=odd&limit(4,2)").await;
    assert_eq!((ids(&page), page.page.total), (odd[2..6].to_vec(), Some(15)));
    assert!(world.wire.calls("Query") <= 2, "{} queries", world.wire.calls("Query"));
    let page = list(&world, "functionName=odd&sort(-id)&limit(2)").await;
    assert_eq!((ids(&page), page.page.total), (vec![odd[14], odd[13]], Some(15)));
    let page = list(&world, "in(functionName,odd,even)&limit(50)").await;
    assert_eq!((ids(&page), page.page.total), (created, Some(30)));
    let page = list(&world, "functionName=nobody").await;
    assert_eq!((page.data.len(), page.page.total), (0, Some(0)));
    let page = list(&world, "functionName=not%20a%20name").await;
    assert_eq!((page.data.len(), page.page.total), (0, Some(0)));
}

#[tokio::test]
async fn with_bounds_on_the_creation_time_other_days_are_not_read() {
    let world = World::new().await;
    let created = thirty(&world).await;
    let (from, to) = (created[13].time(), created[15].time());
    world.wire.forget();
    let page = list(&world, &format!("ge(creationTimestamp,{from})&le(creationTimestamp,{to})")).await;
    assert_eq!((ids(&page), page.page.total), (created[13..=15].to_vec(), Some(3)));
    // One query lists the days; the three Tasks are on one or two of them.
    assert!(world.wire.calls("Query") <= 5, "{} queries", world.wire.calls("Query"));
    let page = list(&world, &format!("gt(id,{})&sort(-id)", created[26])).await;
    assert_eq!(ids(&page), [created[29], created[28], created[27]]);
}

#[tokio::test]
async fn unfinished_tasks_are_found_among_any_number_of_finished_ones_by_their_lanes() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    for _ in 0..10 {
        let (id, run) = world.running().await;
        tasks.complete(id, &run.attempt, None, world.now()).await.unwrap();
        world.clock.advance(Duration::from_secs(86_400));
    }
    let (running, _) = world.running().await;
    let ready = world.create(&world.task()).await;
    let mut waiting = world.task();
    waiting.start_timestamp = world.now().saturating_add(Duration::from_secs(60));
    world.create(&waiting).await;
    let held = world.task_of("held");
    tasks.create(&held, Lane::Own, world.now()).await.unwrap();
    let failed = {
        let task = world.task_of("failing");
        world.create(&task).await;
        let candidate = world.candidates().await.into_iter().find(|c| c.id == task.id).unwrap();
        let run = run_of(world.now(), "r");
        tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
        tasks.fail(task.id, &run.attempt, &boom(), None, world.now()).await.unwrap();
        task.id
    };

    world.wire.forget();
    let page = list(&world, "status=inProgress").await;
    assert_eq!((ids(&page), page.page.total), (vec![running], Some(1)));
    let page = list(&world, "status=new").await;
    assert_eq!((ids(&page), page.page.total), (vec![ready, waiting.id, held.id], Some(3)));
    let page = list(&world, "in(status,new,inProgress)&limit(2,1)").await;
    assert_eq!((ids(&page), page.page.total), (vec![ready, waiting.id], Some(4)));
    // Fewer than the days.
    assert!(world.wire.calls("Query") < 20, "{} queries", world.wire.calls("Query"));
    let page = list(&world, "status=failed").await;
    assert_eq!(ids(&page), [failed]);
    assert_eq!(page.data[0]["error"]["name"], "Boom");
    assert_eq!(list(&world, "status=complete").await.page.total, Some(10));
    assert_eq!(list(&world, "in(status,complete,new)").await.page.total, Some(13));
    let page = list(&world, "status=nonsense").await;
    assert_eq!((page.data.len(), page.page.total), (0, Some(0)));
    assert_eq!(world.status(running).await, TaskStatus::InProgress);
}

/// A hundred Tasks in ten days, of which two failed, two were canceled, and each tenth has the tag `vip`.
async fn hundred(world: &World) -> Vec<ObjectId> {
    let (tasks, mut created) = (&world.store.tasks, Vec::new());
    for n in 0..100 {
        let mut task = world.task_of(if n % 3 == 0 { "third" } else { "f" });
        let tags = if n % 10 == 5 { vec!["vip".to_owned(), format!("n{n}")] } else { vec![format!("n{n}")] };
        task.tags = Tags::try_from(tags).unwrap();
        created.push(world.create(&task).await);
        match n {
            10 | 70 => assert!(matches!(tasks.cancel(task.id, world.now()).await.unwrap(), CancelOutcome::Canceled(_))),
            _ => {
                let candidate = world.candidates().await.into_iter().find(|c| c.id == task.id).unwrap();
                let run = run_of(world.now(), "r");
                tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
                let ended = match n {
                    25 | 66 => tasks.fail(task.id, &run.attempt, &boom(), None, world.now()).await,
                    _ => tasks.complete(task.id, &run.attempt, None, world.now()).await,
                };
                assert!(ended.unwrap());
            }
        }
        world.clock.advance(Duration::from_secs(8640));
    }
    created
}

/// Queries that marks answer, and the Tasks of `hundred` that they find.
const BY_MARKS: [(&str, &[usize]); 12] = [
    ("status=failed", &[25, 66]),
    ("status=canceled&sort(-id)", &[70, 10]),
    ("in(status,failed,canceled)", &[10, 25, 66, 70]),
    ("tags=vip&limit(3)", &[5, 15, 25]),
    ("tags=vip&sort(-id)&limit(2,1)", &[85, 75]),
    ("contains(tags,n42)", &[42]),
    ("in(tags,vip,n5,n6)&limit(2)", &[5, 6]),
    ("tags=vip&functionName=third", &[15, 45, 75]),
    ("tags=vip&functionName=third&sort(-creationTimestamp)&limit(2)", &[75, 45]),
    ("tags=vip&status=failed", &[25]),
    ("status=failed&functionName=third", &[66]),
    ("tags=vip&sort(functionName,-priority,id)&limit(2)", &[5, 25]),
];

#[tokio::test]
async fn tags_and_failures_are_found_by_marks_among_any_number_of_other_tasks() {
    for shards in [1, 3] {
        let world = World::with(|config| config.shards = shards).await;
        let created = hundred(&world).await;
        for (query, wanted) in BY_MARKS {
            world.wire.forget();
            let page = list(&world, query).await;
            assert_eq!(ids(&page), wanted.iter().map(|n| created[*n]).collect::<Vec<_>>(), "{query}");
            // Fewer than the days.
            let (queries, read) = (world.wire.calls("Query"), world.wire.calls("BatchGetItem"));
            assert!(queries <= 1 + 6 * usize::from(shards) && read <= 4, "{query}: {queries} queries, {read} reads");
        }
        assert_eq!(list(&world, "tags=vip&limit(1)").await.page.total, Some(10));
    }
}

#[tokio::test]
async fn days_without_marks_are_read_whole_beside_those_with_them() {
    let world = World::new().await;
    let created = hundred(&world).await;
    // As if an older version had been deployed on the fifth day, and had recorded it.
    let table = format!("{}-control", world.prefix);
    let day = created[50].time().day();
    let days = world.client.query().table_name(&table).key_condition_expression("pk = :pk");
    let days = days.expression_attribute_values(":pk", AttributeValue::S("days:tasks".into())).send().await.unwrap();
    let mut row = days.items().iter().find(|row| row["sk"] == AttributeValue::S(day.clone())).unwrap().clone();
    assert!(row.remove("marked").is_some());
    world.client.put_item().table_name(&table).set_item(Some(row)).send().await.unwrap();
    // Its Tasks have no marks.
    let tasks = format!("{}-tasks", world.prefix);
    for n in (0..100).filter(|n| created[*n].time().day() == day) {
        for mark in ["mark:tag:vip#0".to_owned(), format!("mark:tag:n{n}#0"), "mark:failed#0".to_owned()] {
            let key = [("pk", mark), ("sk", created[n].to_string())];
            let key = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into();
            world.client.delete_item().table_name(&tasks).set_key(Some(key)).send().await.unwrap();
        }
    }
    let world_then = world.another_store(|_| {});
    for (query, wanted) in BY_MARKS.into_iter().chain([("contains(tags,n50)", &[50][..])]) {
        let query = Query::parse(query, &Schema::TASKS).unwrap();
        let page = world_then.tasks.list(&query, world.now()).await.unwrap();
        let found: Vec<ObjectId> =
            page.data.iter().map(|task| task.to_value()["id"].as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(found, wanted.iter().map(|n| created[*n]).collect::<Vec<_>>(), "{}", query.text);
    }
}

#[tokio::test]
async fn canceling_a_task_that_does_not_exist_leaves_nothing_behind() {
    let world = World::new().await;
    world.create(&world.task()).await;
    assert_eq!(world.store.tasks.cancel(world.id(), world.now()).await.unwrap(), CancelOutcome::Unknown);
    let (running, _) = world.running().await;
    let canceled = world.store.tasks.cancel(running, world.now()).await.unwrap();
    assert_eq!(canceled, CancelOutcome::NotNew(TaskStatus::InProgress));
    let rows = world.client.scan().table_name(format!("{}-tasks", world.prefix)).send().await.unwrap();
    assert_eq!(rows.items().len(), 2, "{rows:?}");
}

#[tokio::test]
async fn records_that_are_only_counted_are_not_read() {
    let world = World::new().await;
    thirty(&world).await;
    for (query, shown, total) in [
        ("functionName=even&limit(4)", 4, 15),
        ("functionName=odd&sort(-creationTimestamp)&limit(4,10)", 4, 15),
        ("in(functionName,even,odd)&limit(4)", 4, 30),
        ("in(functionName,even,none,not%20a%20name)&limit(4)", 4, 15),
        ("functionName=none", 0, 0),
    ] {
        world.wire.forget();
        let page = list(&world, query).await;
        assert_eq!((page.data.len(), page.page.total, page.page.total_is_exact), (shown, Some(total), None), "{query}");
        let read = world.wire.calls("BatchGetItem");
        assert!(read <= 4, "{query}: {read} batches of records were read");
    }
    // With another condition, each record has to be checked.
    assert_eq!(list(&world, "functionName=even&priority<10&limit(2)").await.page.total, Some(5));
    assert_eq!(list(&world, "ne(functionName,even)&limit(2)").await.page.total, Some(15));
    assert_eq!(list(&world, "(functionName=even|priority<10)&limit(2)").await.page.total, Some(20));
}

#[tokio::test]
async fn counting_stops_at_its_budget_and_says_so() {
    let world = World::with(|config| config.count_budget = Duration::ZERO).await;
    let created = thirty(&world).await;
    for query in ["limit(5)", "priority>=0&limit(5)", "functionName=even&limit(5)"] {
        let page = list(&world, query).await;
        assert_eq!(page.data.len(), 5, "{query}");
        assert_eq!(page.page.total_is_exact, Some(false), "{query}");
        // More than the page holds, so that clients continue; but not more than exist.
        assert!((6..=30).contains(&page.page.total.unwrap()), "{query}: {:?}", page.page.total);
    }
    // Paging to the end returns everything.
    let (mut seen, mut offset) = (Vec::new(), 0);
    loop {
        let page = list(&world, &format!("priority>=0&limit(7,{offset})")).await;
        seen.extend(ids(&page));
        offset += 7;
        if page.page.total.unwrap() <= offset {
            break;
        }
    }
    assert_eq!(seen, created);
}

#[tokio::test]
async fn a_page_that_is_not_found_in_time_is_an_error() {
    let world = World::with(|config| config.query_budget = Duration::from_secs(5)).await;
    thirty(&world).await;
    // A second passes with every query.
    let clock = world.clock.clone();
    world.wire.on_call(move |_| clock.advance(Duration::from_secs(2)));
    for query in ["priority<0&limit(5,1)", "sort(priority)", "limit(5,29)"] {
        let query = Query::parse(query, &Schema::TASKS).unwrap();
        let error = world.store.tasks.list(&query, world.now()).await;
        match error {
            Err(error @ StoreError::QueryBudget { .. }) => {
                assert_eq!(tasklane::model::Error::from(error).kind().code(), Some(21));
            }
            other => panic!("{}: {other:?}", query.text),
        }
    }
    // Records at the beginning are found in time.
    assert_eq!(list(&world, "priority=0&limit(1)&skipCount()").await.data.len(), 1);
}

#[tokio::test]
async fn a_partial_page_says_where_to_continue() {
    let world = World::with(|config| config.query_budget = Duration::from_secs(5)).await;
    let created = thirty(&world).await;
    let clock = world.clock.clone();
    world.wire.on_call(move |_| clock.advance(Duration::from_secs(2)));
    let wanted: Vec<_> = [created[1], created[14], created[27]].to_vec();
    let backwards: Vec<_> = wanted.iter().rev().copied().collect();
    for (order, operator, wanted) in [("", "gt", &wanted), ("&sort(-creationTimestamp)", "lt", &backwards)] {
        let (mut found, mut next, mut pages) = (Vec::new(), None, 0);
        loop {
            let after = next.map_or(String::new(), |next: ObjectId| format!("&{operator}(id,{next})"));
            let page = list(&world, &format!("in(priority,1,14,27){order}{after}")).await;
            found.extend(ids(&page));
            pages += 1;
            assert!(pages <= 30, "it never ends");
            next = page.page.next;
            assert_eq!(page.page.is_partial, next.map(|_| true));
            if next.is_none() {
                break;
            }
            // Clients that do not know partial pages see that there is more.
            assert!(page.page.total.unwrap() > 20 && page.page.total_is_exact == Some(false), "{:?}", page.page);
        }
        assert_eq!(found, **wanted);
        assert!(pages > 1, "everything was found in one page");
    }
}

#[tokio::test]
async fn the_error_for_a_slow_query_suggests_only_new_conditions() {
    let world = World::with(|config| config.query_budget = Duration::from_secs(1)).await;
    let created = thirty(&world).await;
    let clock = world.clock.clone();
    world.wire.on_call(move |_| clock.advance(Duration::from_secs(2)));
    let (from, to) = (created[0].time(), created[29].time());
    let span = format!("ge(creationTimestamp,{from})&le(creationTimestamp,{to})");
    for (query, says, says_not) in [
        ("sort(priority)".to_owned(), &["functionName", "creationTimestamp", "sort"][..], &["status"][..]),
        ("status=complete&sort(priority)".to_owned(), &["functionName", "sort"], &["status"]),
        ("functionName=odd&sort(priority)".to_owned(), &["creationTimestamp", "sort"], &["functionName"]),
        (format!("{span}&sort(priority)"), &["functionName", "sort"], &["creationTimestamp"]),
        ("priority<0&limit(5,5)".to_owned(), &["functionName", "offset"], &["sort"]),
        (format!("functionName=odd&{span}&sort(priority)"), &["sort"], &["functionName", "creationTimestamp"]),
    ] {
        let query = Query::parse(&query, &Schema::TASKS).unwrap();
        let error = world.store.tasks.list(&query, world.now()).await.unwrap_err();
        let message = tasklane::model::Error::from(error).message().to_owned();
        assert!(says.iter().all(|word| message.contains(word)), "{}: {message}", query.text);
        assert!(!says_not.iter().any(|word| message.contains(word)), "{}: {message}", query.text);
    }
}

#[tokio::test]
async fn numbers_are_found_and_sorted_by_value_in_any_notation() {
    let world = World::new().await;
    let ascending = [
        "-9007199254740993",
        "-1e21",
        "0",
        "1e-7",
        "0.42451918914251396",
        "5.0",
        "9007199254740993",
        "123456789012345680001",
        "1e21",
    ];
    let ascending = [&ascending[1..2], &ascending[..1], &ascending[2..]].concat();
    let mut created = Vec::new();
    for number in &ascending {
        let mut task = world.task();
        task.data = Some(Json::parse(format!("{{\"v\":{number}}}")).unwrap());
        created.push(world.create(&task).await);
    }
    for (number, id) in ascending.iter().zip(&created) {
        for query in [format!("eq(data.v,{number})"), format!("ge(data.v,{number})&le(data.v,{number})")] {
            assert_eq!(ids(&list(&world, &query).await), [*id], "{query}");
        }
    }
    let reversed: Vec<_> = created.iter().rev().copied().collect();
    assert_eq!(ids(&list(&world, "sort(-data.v)").await), reversed);
    assert_eq!(ids(&list(&world, "gt(data.v,9007199254740992)&sort(data.v)").await), created[6..]);
}

#[tokio::test]
async fn data_that_is_null_is_not_absent() {
    let world = World::new().await;
    let mut task = world.task();
    task.data = Some(Json::null());
    let null = world.create(&task).await;
    task = world.task();
    task.data = None;
    let absent = world.create(&task).await;
    let page = list(&world, "").await;
    assert_eq!(page.data[0].get("data"), Some(&Value::Null));
    assert_eq!(page.data[1].get("data"), None);
    assert_eq!(ids(&list(&world, "contains(data)").await), [null]);
    assert_eq!(ids(&list(&world, "excludes(data)").await), [absent]);
}

#[tokio::test]
async fn a_list_shows_the_users_own_json_as_it_was_written() {
    let world = World::new().await;
    let written = r#"{"z":1.50,"id":123456789012345678901234567890,"huge":1e999,"a":[]}"#;
    let mut task = world.task_of("f");
    task.data = Some(Json::parse(written.to_owned()).unwrap());
    let id = world.create(&task).await;
    let of = async |query: &str| {
        let query = Query::parse(query, &Schema::TASKS).unwrap();
        let page = world.store.tasks.list(&query, world.now()).await.unwrap();
        page.data.iter().map(|task| task.as_str().to_owned()).collect::<Vec<_>>()
    };
    for query in ["", &format!("eq(id,{id})"), "eq(data.z,1.5)", "sort(priority)"] {
        let listed = of(query).await;
        assert!(listed.len() == 1 && listed[0].contains(&format!(r#""data":{written}"#)), "{query}: {listed:?}");
    }
    assert_eq!(of("select(data.z)").await, [format!(r#"{{"id":"{id}","data":{{"z":1.50}}}}"#)]);
}
