//! Bugs that a programmer might write, planted where the product cannot notice: in its requests to the database and the
//! responses, and in a few ports. The product's code is the one that ships; the world sees what buggy code would do.
//!
//! Each bug has its own file. To add one, write its file and add it to [`Bug::ALL`]; a bug in a new place also needs a
//! method of [`Seams`].

mod all_drain_at_once;
mod block_outlives_its_lease;
mod blocks_forgotten;
mod bulk_slice_forgotten;
mod bulk_written_without_condition;
mod canary_gets_other_runs;
mod canary_never_ends;
mod cancel_without_condition;
mod catch_up_ignored;
mod claim_given_up;
mod claim_not_recognized;
mod claim_of_a_moved_task;
mod claim_without_condition;
mod deaf_while_running;
mod debounce_without_condition;
mod debounced_element_lost;
mod disabled_function_runs;
mod drains_only_at_its_end;
mod end_event_forgotten;
mod event_marked_before_it_is_sent;
mod excluded_error_retried;
mod expired_task_claimed;
mod expiry_without_companion;
mod failure_marked_as_canceled;
mod failure_not_marked_for_publishing;
mod flow_limit_ignored;
mod flow_rate_ignored;
mod following_task_forgotten;
mod free_parts_overlooked;
mod gates_never_looked_at;
mod generation_forgotten;
mod goes_away_from_a_lagging_index;
mod intent_not_taken_over;
mod invocation_sent_again;
mod key_forgotten;
mod lane_forgotten_with_tasks;
mod lease_too_short;
mod loops_detected;
mod lowered_limit_unknown_to_parts;
mod never_promoted;
mod occurrence_lost;
mod occurrence_twice;
mod outcome_without_condition;
mod overlap_ignored;
mod own_limit_ignored;
mod priority_inverted;
mod promoted_before_its_time;
mod promoted_by_an_old_start;
mod register_written_without_condition;
mod result_mislaid;
mod retry_one_too_many;
mod retry_outside_its_transaction;
mod retry_strategy_ignored;
mod retry_with_data_of_its_own;
mod run_not_registered;
mod schedule_drifts;
mod schedule_left_behind;
mod seams;
mod shifts;
mod slot_lease_too_short;
mod slots_shared;
mod slots_taken_without_condition;
mod start_event_forgotten;
mod turns_ignored;
mod version_forgotten;
mod version_misnamed;
mod wrong_delay;
mod zombie_requeued;

use std::str::FromStr;

pub use seams::{Bug, NoBug, Seams};

impl Bug {
    pub const ALL: &[Self] = &[
        claim_without_condition::BUG,
        outcome_without_condition::BUG,
        retry_outside_its_transaction::BUG,
        occurrence_twice::BUG,
        lease_too_short::BUG,
        event_marked_before_it_is_sent::BUG,
        failure_not_marked_for_publishing::BUG,
        priority_inverted::BUG,
        slots_taken_without_condition::BUG,
        slot_lease_too_short::BUG,
        cancel_without_condition::BUG,
        retry_one_too_many::BUG,
        wrong_delay::BUG,
        promoted_before_its_time::BUG,
        never_promoted::BUG,
        own_limit_ignored::BUG,
        disabled_function_runs::BUG,
        zombie_requeued::BUG,
        schedule_drifts::BUG,
        invocation_sent_again::BUG,
        deaf_while_running::BUG,
        goes_away_from_a_lagging_index::BUG,
        loops_detected::BUG,
        slots_shared::BUG,
        drains_only_at_its_end::BUG,
        all_drain_at_once::BUG,
        retry_with_data_of_its_own::BUG,
        run_not_registered::BUG,
        register_written_without_condition::BUG,
        blocks_forgotten::BUG,
        block_outlives_its_lease::BUG,
        lowered_limit_unknown_to_parts::BUG,
        free_parts_overlooked::BUG,
        schedule_left_behind::BUG,
        occurrence_lost::BUG,
        overlap_ignored::BUG,
        catch_up_ignored::BUG,
        key_forgotten::BUG,
        intent_not_taken_over::BUG,
        result_mislaid::BUG,
        following_task_forgotten::BUG,
        retry_strategy_ignored::BUG,
        excluded_error_retried::BUG,
        failure_marked_as_canceled::BUG,
        expired_task_claimed::BUG,
        expiry_without_companion::BUG,
        lane_forgotten_with_tasks::BUG,
        promoted_by_an_old_start::BUG,
        claim_of_a_moved_task::BUG,
        start_event_forgotten::BUG,
        debounce_without_condition::BUG,
        debounced_element_lost::BUG,
        end_event_forgotten::BUG,
        bulk_slice_forgotten::BUG,
        flow_limit_ignored::BUG,
        flow_rate_ignored::BUG,
        turns_ignored::BUG,
        gates_never_looked_at::BUG,
        generation_forgotten::BUG,
        bulk_written_without_condition::BUG,
        version_forgotten::BUG,
        canary_gets_other_runs::BUG,
        canary_never_ends::BUG,
        version_misnamed::BUG,
        claim_not_recognized::BUG,
        claim_given_up::BUG,
    ];
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|bug| bug.name()).collect();
            format!("there is no bug '{name}'; the bugs are: {}", names.join(", "))
        })
    }
}
