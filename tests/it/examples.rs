//! The examples do what their READMEs show.

use crate::support::walk::Reader;

#[test]
fn tenants_take_turns() {
    Reader::new().follow("examples/tenants/README.md");
}

#[test]
fn orders_are_charged_once_and_can_be_replayed() {
    Reader::new().follow("examples/orders/README.md");
}

#[test]
fn a_report_has_a_schedule() {
    Reader::new().follow("examples/report/README.md");
}
