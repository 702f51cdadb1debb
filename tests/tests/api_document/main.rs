//! The document of the API is held to the server from both sides. Every answer of any test is one that it has
//! ([`gatepass_tests::api_document`]); here every operation is asked for, with its example and with mistakes of every kind.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod examples;
mod mistakes;

use gatepass_tests::api_document::ApiDocument;
use gatepass_tests::http::TestRequest;
use gatepass_tests::server::TestInstallation;
use gatepass_tests::suite::SUITE;
use serde_json::Value;

#[test]
fn every_operation_answers_its_example_with_success_and_mistakes_as_described() {
    let installation = TestInstallation::new();
    let server = installation.serve(&[]);
    installation.populate();
    for (_, test) in SUITE {
        test(server.target());
    }
    let served = TestRequest::new("GET", "/openapi.json").to(server.address).json();
    drop(server);
    let without_url = |document: &Value| {
        let mut document = document.clone();
        document["servers"] = Value::Null;
        document
    };
    assert_eq!(without_url(&served), without_url(ApiDocument::get().value()));

    examples::are_answered_with_success();
    mistakes::of_every_kind_at_every_operation();
}

#[test]
fn every_example_of_a_value_fits_its_schema() {
    assert_eq!(ApiDocument::get().unfit_examples(), Vec::<String>::new());
}
