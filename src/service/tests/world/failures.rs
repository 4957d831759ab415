//! Failures by Function and error (contract §17).

use std::time::Duration;

use tasklane_model::{Caller, ErrorKind, Failure, FunctionOptions, Page, Task, TaskStatus};
use tasklane_rql::{Query, Schema};
use tasklane_testing::World;

async fn failures(world: &World, rql: &str) -> Page<Failure> {
    let query = Query::parse(rql, &Schema::TASKS).unwrap();
    world.service.failures(&Caller::Nobody, &query).await.unwrap()
}

async fn failed(world: &World, function: &str, error: &'static str) -> Task {
    world.lambda.throw(function, error);
    let task = world.task(function).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.finished(task.id).await
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_by_function_and_error_and_the_last_one_is_the_example() {
    let world = World::running(5).await;
    for name in ["a", "b"] {
        world.function(name, FunctionOptions::default()).await;
    }
    let fine = world.task("a").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.finished(fine.id).await.status, TaskStatus::Complete);
    assert!(failures(&world, "").await.data.is_empty());
    let first = failed(&world, "a", "Often").await;
    let rare = failed(&world, "a", "Rare").await;
    let other = failed(&world, "b", "Often").await;
    let mut last = failed(&world, "a", "Often").await;
    for _ in 0..60 {
        last = failed(&world, "a", "Often").await;
    }
    let page = failures(&world, "").await;
    let shown: Vec<_> =
        page.data.iter().map(|it| (it.function_name.as_str(), it.error_name.as_str(), it.count)).collect();
    assert_eq!(shown, [("a", "Often", 62), ("b", "Often", 1), ("a", "Rare", 1)]);
    assert_eq!((page.page.total, page.page.total_is_exact, page.page.is_partial), (Some(3), None, None));
    let often = &page.data[0];
    assert_eq!(often.first_timestamp, first.status_changed_timestamp);
    assert_eq!((often.last_timestamp, often.example_task_id), (last.status_changed_timestamp, last.id));
    assert!(!often.message.is_empty() && !often.message.contains('\n'));

    let since = failures(&world, &format!("ge(statusChangedTimestamp,{})", last.status_changed_timestamp)).await;
    assert_eq!((since.data.len(), since.data[0].count), (1, 1));
    let of_b = failures(&world, "functionName=b").await;
    assert_eq!(of_b.data[0].example_task_id, other.id);
    let named = failures(&world, "error.name=Rare").await;
    assert_eq!(named.data[0].example_task_id, rare.id);
    let second = failures(&world, "limit(1,1)&skipCount()").await;
    assert_eq!((second.data.len(), second.data[0].function_name.as_str(), second.page.total), (1, "b", None));
}

#[tokio::test(start_paused = true)]
async fn an_order_or_a_selection_of_tasks_is_19() {
    let world = World::at_rest(1).await;
    for rql in ["sort(-priority)", "select(id)"] {
        let query = Query::parse(rql, &Schema::TASKS).unwrap();
        let error = world.service.failures(&Caller::Nobody, &query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRql, "{rql}");
    }
}
