//! The black-box suite: the answers of any embedding of the core over HTTP, the real binary first. One file a subject;
//! shared parts are here.

mod client_credentials;
mod factors;
mod issuing;
mod mistakes;
mod passwords;
mod portals;
mod published;
mod refreshing;
mod request_ids;
mod sessions;
mod sign_in;
mod tokens;
mod userinfo;

use std::net::SocketAddr;

use gatepass_core::records::request_id::RequestId;
use serde_json::{Value, json};

pub use crate::fixtures::claims;
use crate::fixtures::{BACKEND_SECRET, PORTAL_SECRET};
use crate::http::{Answer, TestRequest};

/// A server that holds the records of [`crate::fixtures`].
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The address it listens on.
    pub address: SocketAddr,
}

/// A test of any embedding.
pub type Test = fn(Target);

/// Every test of the suite by its name.
pub const SUITE: &[(&str, Test)] = &[
    ("a ticket signs in once", sign_in::a_ticket_signs_in_once),
    ("64 redeem one ticket", sign_in::sixty_four_redeem_one_ticket),
    ("the login response is the origin document's", sign_in::the_login_response_is_the_origin_documents),
    ("client credentials, both ways of authenticating", client_credentials::client_credentials),
    ("resources choose among audiences", client_credentials::resources),
    ("token endpoint errors", client_credentials::token_endpoint_errors),
    ("userinfo of a person and of a service", userinfo::userinfo),
    ("userinfo errors", userinfo::userinfo_errors),
    ("an audience joins the token", sign_in::an_audience_joins_the_token),
    ("a bound ticket wants its client", sign_in::a_bound_ticket_wants_its_client),
    ("a ticket for another address is spent in vain", sign_in::another_address),
    ("impersonation", sign_in::impersonation),
    ("what cannot be issued", issuing::what_cannot_be_issued),
    ("who may not issue", issuing::who_may_not_issue),
    ("malformed sign-ins", sign_in::malformed_sign_ins),
    ("paths and methods", published::paths_and_methods),
    ("what is published", published::what_is_published),
    ("copies of what is published", published::copies_of_what_is_published),
    ("messages in Chinese", published::messages_in_chinese),
    ("a session refreshes", refreshing::a_session_refreshes),
    ("a used refresh token ends its family", refreshing::a_used_refresh_token_ends_its_family),
    ("a lost answer comes again", refreshing::a_lost_answer_comes_again),
    ("what a refresh is refused for", refreshing::what_a_refresh_is_refused_for),
    ("a bound session wants its client", refreshing::a_bound_session_wants_its_client),
    ("an impersonation keeps its actor and its cap", refreshing::an_impersonation_keeps_its_actor),
    ("introspection", tokens::introspection),
    ("revocation", tokens::revocation),
    ("a person's own sessions", sessions::own_sessions),
    ("a password signs in", passwords::a_password_signs_in),
    ("what a login is refused for", passwords::what_a_login_is_refused_for),
    ("a password that has to be changed", passwords::a_password_that_has_to_be_changed),
    ("who may not change a password", passwords::who_may_not_change_a_password),
    ("enrolling, and being challenged", factors::enrolling_and_being_challenged),
    ("backup codes", factors::backup_codes),
    ("an impersonation challenges the actor", factors::an_impersonation_challenges_the_actor),
    ("removing a device", factors::removing_a_device),
    ("wrong codes end a challenge, and lock", factors::wrong_codes),
    ("what factors are refused for", factors::what_factors_are_refused_for),
    ("what is wrong in a body", mistakes::what_is_wrong_in_a_body),
    ("what is wrong in a request for a ticket", mistakes::what_is_wrong_in_a_request_for_a_ticket),
    ("what is wrong in a header", mistakes::what_is_wrong_in_a_header),
    ("what is wrong in a form", mistakes::what_is_wrong_in_a_form),
    ("what is wrong at the token endpoint", mistakes::what_is_wrong_at_the_token_endpoint),
    ("wrong paths and methods", mistakes::wrong_paths_and_methods),
    ("a keyed redemption comes again", sign_in::a_keyed_redemption_comes_again),
    ("every answer has the id of its request", request_ids::request_ids),
    ("a password in each normal form", passwords::a_password_in_each_normal_form),
    ("a login for a client", portals::a_login_for_a_client),
    ("who is no client at a login", portals::who_is_no_client_at_a_login),
    ("whose word is taken about a person", portals::whose_word_is_taken),
    ("a ticket for the address of a person at a portal", portals::a_ticket_for_the_address_of_a_person),
    ("a bound challenge wants its client", factors::a_bound_challenge_wants_its_client),
];

impl Target {
    /// Sends `ask`.
    pub fn ask(self, ask: &TestRequest) -> Answer {
        let answer = ask.to(self.address);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{ask:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{ask:?}");
        let id = answer.header("x-request-id").map(RequestId::parse);
        assert!(matches!(id, Some(Ok(_))), "{ask:?} was answered without an id: {answer:?}");
        assert!(answer.status < 500, "{ask:?} was answered {answer:?}");
        answer
    }

    /// Returns a service token with `scope`.
    pub fn service_token(self, scope: &str) -> String {
        let form = format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"));
        let answer = self.ask(&TestRequest::form("/oauth2/token", &form).basic("backend", BACKEND_SECRET));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("access_token")
    }

    /// Requests a ticket with the backend's whole scope.
    pub fn generate(self, body: &Value) -> Answer {
        let token = self.service_token("ticket:issue ticket:impersonate");
        self.ask(&TestRequest::json("/auth/generate-ticket", body).bearer(&token))
    }

    /// Issues a ticket.
    pub fn ticket(self, body: &Value) -> String {
        let answer = self.generate(body);
        assert_eq!(answer.status, 200, "{body} was answered {answer:?}");
        answer.text("ticket")
    }

    /// Presents a ticket.
    pub fn sign_in(self, ticket: &str) -> Answer {
        self.ask(&sign_in(ticket))
    }

    /// Signs alice in by a ticket of `body`, and returns the answer.
    fn signed_in(self, body: &Value) -> Answer {
        let answer = self.sign_in(&self.ticket(body));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// Returns true if the portal's introspection says that `token` is active.
    pub fn is_active(self, token: &str) -> bool {
        let answer = self.ask(&introspect(token));
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        if body["active"] == json!(false) {
            assert_eq!(body, json!({"active": false}));
        }
        body["active"] == json!(true)
    }

    fn userinfo_status(self, token: &str) -> u16 {
        self.ask(&TestRequest::new("GET", "/userinfo").bearer(token)).status
    }
}

/// The request that presents `ticket`.
pub fn sign_in(ticket: &str) -> TestRequest {
    TestRequest::json("/auth/ticket/signin", &json!({ "ticket": ticket }))
}

/// The request for fresh tokens.
pub fn refresh(token: &str) -> TestRequest {
    TestRequest::json("/auth/refresh", &json!({ "refresh_token": token }))
}

/// The portal's introspection of `token`.
pub fn introspect(token: &str) -> TestRequest {
    TestRequest::form("/oauth2/introspect", &format!("token={token}")).basic("portal", PORTAL_SECRET)
}

fn revoke(token: &str, id: &str, secret: &str) -> TestRequest {
    TestRequest::form("/oauth2/revoke", &format!("token={token}&token_type_hint=access_token"))
        .basic(id, secret)
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[track_caller]
fn simple(answer: &Answer, status: u16, code: u64) {
    assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{answer:?}");
    assert_eq!(keys(&answer.json()), ["code", "message", "timestamp"]);
    let timestamp = answer.text("timestamp");
    assert!(timestamp.len() == 20 && timestamp.ends_with('Z'), "{timestamp}");
}

#[track_caller]
fn uncached(answer: &Answer) {
    assert_eq!(
        (answer.header("cache-control"), answer.header("pragma")),
        (Some("no-store"), Some("no-cache"))
    );
}
