//! The core over the database against the reference model, and against the core over memory.

use gatepass_tests::reference::{agrees_with_memory, system::tables};

use crate::scale;
use crate::tested_store::TestedStore;

#[test]
fn the_database_answers_as_memory_does() {
    let cases = u32::try_from(scale(8, 400)).unwrap();
    println!("{} operations", agrees_with_memory(cases, || TestedStore::new(tables())).operations());
}
