//! The whole stack as users deploy it: template.yaml with CloudFormation, in an emulator of AWS.
//!
//! MiniStack runs the real handlers and real Functions. Assertions allow for its limits, and comments name them: errors that
//! code throws have another name, and processes are not frozen.

mod deployed;
mod emulator;
mod faults;
mod handlers;

mod bus;
mod functions;
mod operator;
mod queue;
mod sdk;
mod slots;
mod zombie;

use deployed::Deployed;
use emulator::Emulator;

#[test]
fn a_deployed_stack_behaves_like_one_machine() {
    let emulator = Emulator::start();
    let zips = handlers::zips();
    let stack = Deployed::deploy(&emulator, zips.path());

    operator::makes_the_first_administrator(&stack);
    let failures = bus::Listener::on(&stack);
    functions::are_synced(&stack);
    queue::runs_a_task_and_keeps_a_poisoned_message(&stack);
    slots::hold_back_what_is_too_many(&stack);
    // Checks that take until the next minute start here and are completed last.
    let schedule = queue::Scheduled::begin(&stack);
    let zombie = zombie::Zombie::make(&stack);

    functions::are_executed(&stack);
    functions::have_options_of_aws(&stack);
    functions::are_of_any_size(&stack);
    functions::answer_http(&stack);
    functions::change_at_once(&stack);
    functions::go_back_and_try_a_version(&stack);
    queue::starts_a_task_not_before_its_time(&stack);
    queue::starts_delayed_tasks_to_the_second(&stack);
    queue::retries(&stack);
    let failed = queue::fails_for_good(&stack);
    sdk::works_through_the_gateway(&stack);

    schedule.has_created_one_task(&stack);
    let zombie = zombie.map(|zombie| zombie.once_cleaned(&stack));
    let failed: Vec<_> = [failed].into_iter().chain(zombie).collect();
    for task in &failed {
        failures.hear_of(task);
    }
    operator::finds_nothing_wrong(&stack);
    operator::mends_what_the_doctor_finds(&stack);
    failures.stop_having_heard_only_of(&failed);
    operator::reads_of_no_error(&stack);
    // Only now, because a bad day is in the logs and among the events.
    queue::goes_on_through_faults(&stack);
    operator::takes_all_away(&stack);
}
