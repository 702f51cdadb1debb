//! The reference model: the answers that the core must give, to any sequence of operations, on any store.
//!
//! [`operation`] lists the operations, [`model`] holds the state, and one file a subject says what must be answered,
//! `sign_in` above all. [`system`] runs the same operations on the core, and [`run`] compares the two.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "each file answers for the operations of one subject, and `Model::answer` names every one"
)]

mod account;
mod administration;
mod administrator;
mod coverage;
mod factors;
mod issuing;
pub mod model;
pub mod operation;
mod places;
mod refreshing;
mod sign_in;
pub mod system;
mod tokens;
mod validity;

use std::cell::RefCell;

use gatepass_core::settings::Unenrolled;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};
use serde_json::Value;

use crate::memory::Memory;

pub use coverage::Coverage;
pub use model::{Answer, Model, Rules};
pub use operation::{Operation, operations, seldom};
pub use system::{RawAnswer, RestartableStore, System};

/// The most operations of a sequence.
pub const LONGEST: usize = 60;

/// Returns a configuration of `cases` fixed cases; with `PROPTEST_CASES`, of so many random ones.
pub fn config(cases: u32) -> ProptestConfig {
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 4_000,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases, rng_seed: RngSeed::Fixed(4), ..config },
    }
}

/// Generates every set of rules.
pub fn rules() -> impl Strategy<Value = Rules> {
    let unenrolled = prop_oneof![4 => Just(Unenrolled::SignIn), 1 => Just(Unenrolled::Refuse), 1 => Just(Unenrolled::Enrol)];
    let (seldom, often) = (prop::bool::weighted(0.3), prop::bool::weighted(0.8));
    (seldom, unenrolled, often).prop_map(|(always, unenrolled, separate)| Rules {
        always,
        unenrolled,
        separate,
    })
}

/// Runs `operations` on the core with `store` and on the model, and returns the core's answers.
///
/// # Errors
/// The first answer on which they disagree.
pub fn run(
    rules: Rules,
    operations: &[Operation],
    store: impl RestartableStore,
    coverage: &mut Coverage,
) -> Result<Vec<RawAnswer>, TestCaseError> {
    let (mut model, mut system) = (Model::new(rules), System::new(rules, store));
    let mut answers = vec![];
    for operation in repeated(operations) {
        let before = matches!(operation, Operation::Administer { .. }).then(|| system.administered());
        let told = system.perform(&operation, &model);
        let answer = model.answer(&operation);
        let said = system.read(&told);
        let agree = told.status == answer.status && says(&said, &answer.says);
        let (status, expected) = (answer.status, &answer.says);
        prop_assert!(
            agree,
            "{operation:?}\nmust be answered {status} {expected}\nand was          {} {said}",
            told.status
        );
        prop_assert_eq!(system.holders(), model.holders(), "the holders of roles after {:?}", operation);
        let same = before.is_none_or(|before| status < 400 || before == system.administered());
        prop_assert!(same, "{operation:?} is refused, and has changed something");
        coverage.count(&operation, &answer);
        answers.push(told);
    }
    Ok(answers)
}

/// Runs `cases` random sequences of operations on stores that `open` makes with [`system::tables`], and in memory. Each must be answered as
/// the model says, and byte by byte alike. Returns what was met.
///
/// # Panics
/// The first sequence that is answered differently fails the test.
pub fn agrees_with_memory<S: RestartableStore>(cases: u32, open: impl Fn() -> S) -> Coverage {
    let coverage = RefCell::new(Coverage::default());
    let agreed =
        TestRunner::new(config(cases)).run(&(rules(), operations(LONGEST)), |(rules, operations)| {
            let by_memory = run(rules, &operations, Memory::new(system::tables()), &mut Coverage::default())?;
            let by_store = run(rules, &operations, open(), &mut coverage.borrow_mut())?;
            prop_assert_eq!(by_memory, by_store);
            Ok(())
        });
    agreed.unwrap_or_else(|failure| panic!("{}", told(failure)));
    coverage.into_inner()
}

/// Returns a failure with one operation a line.
pub fn told(failure: TestError<(Rules, Vec<Operation>)>) -> String {
    match failure {
        TestError::Fail(why, (rules, operations)) => {
            let lines: Vec<String> =
                operations.iter().map(|operation| format!("    {operation:?}")).collect();
            format!("{why}\n{rules:?}, {} operations:\n{}", lines.len(), lines.join("\n"))
        }
        abort @ TestError::Abort(_) => abort.to_string(),
    }
}

/// Returns `operations` with repetitions written out.
fn repeated(operations: &[Operation]) -> Vec<Operation> {
    let mut all: Vec<Operation> = vec![];
    for operation in operations {
        match operation {
            Operation::Again(times) => all.extend(std::iter::repeat_n(all.last().copied(), *times).flatten()),
            other => all.push(*other),
        }
    }
    all
}

/// Returns true if `said` contains everything in `expected`.
fn says(said: &Value, expected: &Value) -> bool {
    match (said, expected) {
        (_, Value::Object(members)) => {
            members.iter().all(|(name, value)| says(said.get(name).unwrap_or(&Value::Null), value))
        }
        (Value::Array(said), Value::Array(expected)) => {
            said.len() == expected.len()
                && said.iter().zip(expected).all(|(said, expected)| says(said, expected))
        }
        _ => said == expected,
    }
}
