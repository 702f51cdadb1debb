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
mod refusals;

use gatepass_tests::api_document::ApiDocument;
use gatepass_tests::http::TestRequest;
use gatepass_tests::server::TestInstallation;
use gatepass_tests::suite::SUITE;
use serde_json::Value;

/// The described answers that take several steps, full queues or a race. Other tests see them.
const ELSEWHERE: &[&str] = &[
    "post_admin_v1_audit_archive 409 40901",
    "post_admin_v1_users_import 409 40900",
    "post_admin_v1_users_import 409 40901",
    "post_auth_login 400 40014",
    "post_auth_login 400 40045",
    "get_auth_me_sessions 403 40301",
    "post_auth_mfa_verify_challenge 429 42900",
    "post_auth_mfa_verify_challenge 500 50000",
    "post_auth_mfa_verify_challenge 503 50300",
    "post_auth_refresh 401 40101",
    "post_auth_refresh 429 42900",
    "post_auth_ticket_signin 400 40045",
    "post_auth_ticket_signin 429 42900",
    "post_auth_ticket_signin 500 50000",
    "post_auth_ticket_signin 503 50300",
    "delete_mfa_totp_devices_id 429 42900",
    "post_mfa_totp_setup 400 40031",
    "post_mfa_totp_setup 403 40302",
    "post_mfa_totp_setup 429 42900",
    "post_mfa_totp_verify 403 40302",
    "post_mfa_totp_verify 429 42900",
    "post_oauth2_token 429 temporarily_unavailable",
    "post_oauth2_token 500 server_error",
    "post_oauth2_token 503 temporarily_unavailable",
];

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
    refusals::of_one_operation_each();
    let unseen = ApiDocument::get().unseen();
    let unseen: Vec<_> = unseen.iter().map(|(id, status, code)| format!("{id} {status} {code}")).collect();
    assert_eq!(unseen, ELSEWHERE, "what is described, and nothing here answers so");
}

#[test]
fn every_example_of_a_value_fits_its_schema() {
    assert_eq!(ApiDocument::get().unfit_examples(), Vec::<String>::new());
}
