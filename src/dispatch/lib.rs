//! The engine room: what happens to a Task between its creation and its final state.
//!
//! The table is the queue and a wake-up is only a hint. A dispatcher claims the best due Task by moving its row from
//! `new` to `inProgress` on condition that it is still `new`; a dispatcher that loses that race takes the next. Outcomes
//! are written on condition that the attempt is still the one that was claimed. The ticker does what time does: it makes
//! Tasks due, materialises schedules, ends Tasks whose runner died, and publishes events that were not acknowledged.
//! All of it is safe to do twice, and beside another dispatcher or ticker.
//!
//! # Layout
//!
//! - `dispatcher`: claims Tasks and starts their runs; `look` reads the heads of the queue and chooses among them.
//! - `shift`: a dispatcher with an end, as a Lambda invocation has one; `tenure` keeps shifts from draining all at once.
//! - `slots`: how many Tasks may run at once; `flow`: how many of one key, and whose turn it is.
//! - `release`: lets go on what waited for the end of a Task.
//! - `run`: one run, from its invocation to its recorded outcome; `retry` and `ended` are about what follows, `events`
//!   publishes failures, `results` keeps what runs returned,
//!   `follow` makes the Task that follows.
//! - `ticker`: everything that becomes due, in parts that run at the same time; `occurrences` turns those of Schedules
//!   into Tasks.
//! - `bulk`: operations on many Tasks, slice by slice; `cancel` cancels one.
//! - `functions`: Functions as the hot paths see them, a moment old, and their compiled `schemas`; `canary` ends a canary whose runs fail.

mod bulk;
mod canary;
mod cancel;
mod dispatcher;
mod ended;
mod events;
mod expiry;
mod flow;
mod follow;
mod functions;
mod look;
mod occurrences;
mod release;
mod results;
mod retry;
mod run;
mod schemas;
mod shift;
mod slots;
mod taken;
mod tenure;
mod ticker;

pub use bulk::{BulkWorked, BulkWorker};
pub use canary::{EndOfRun, judge};
pub use cancel::cancel;
pub use dispatcher::{Claimed, Dispatcher};
pub use ended::ENDED_RUNS;
pub use ended::tell_of;
pub use events::publish_end;
use expiry::expire;
pub use flow::look_at_gates;
pub use follow::{following, wake_for_following};
pub use functions::FunctionDirectory;
pub use occurrences::{materialise, task_of_now};
use release::release;
pub use results::{KeptResult, ResultError, kept_result, read_result};
pub use run::{Ended, Runner, end_in_register, new_run};
pub use shift::{LONGEST_DRAIN, Shift, work_shift};
pub use slots::{Acquired, Idle, Slot, SlotLimits, SlotPolicy, Slots};
pub use ticker::{TICK_BUDGET, TickError, Ticked, Ticker, wake_for_occurrences};
