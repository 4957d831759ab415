//! Lets go on what waited for the end of a Task.

use tasklane_model::{FlowKey, Task};
use tasklane_ports::Ports;
use tasklane_store::Store;

use super::{FunctionDirectory, flow::Gatekeeper, occurrences::release_next};

/// Creates the Task that its Schedule queued behind this one, and admits the next Task of its flow key, which is read from the
/// row if the caller does not know it. Whatever fails is done later. `true` if a Task was admitted.
pub(crate) async fn release(
    store: &Store,
    ports: &Ports,
    functions: &FunctionDirectory,
    ended: &Task,
    key: Option<FlowKey>,
) -> bool {
    // Boxed, because it is large, and part of many other futures.
    let admitted = Box::pin(Gatekeeper { store, ports }.leave(functions, ended, key)).await;
    release_next(store, ports, functions, ended).await;
    admitted
}
