//! The ids of requests.

use gatepass_core::records::request_id::RequestId;
use serde_json::json;

use super::{Target, sign_in};
use crate::http::TestRequest;

const HEADER: &str = "X-Request-Id";

pub(super) fn request_ids(target: Target) {
    let asks = [
        TestRequest::new("GET", "/healthz"),
        TestRequest::new("HEAD", "/healthz"),
        TestRequest::new("GET", "/nowhere"),
        TestRequest::new("BREW", "/userinfo"),
        TestRequest::new("GET", "/userinfo"),
        TestRequest::form("/oauth2/token", "grant_type=x"),
        TestRequest::json("/auth/ticket/signin", &json!([])),
        sign_in("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        sign_in(&target.ticket(&json!({"user_id": "alice"}))),
    ];
    for ask in &asks {
        let id = |ask: &TestRequest| target.ask(ask).header(HEADER).map(String::from).expect("an id");
        let [one, other] = [id(ask), id(ask)];
        assert_ne!(one, other, "{ask:?}");
        let longest = "x".repeat(64);
        for sent in ["a", "4bf92f3577b34da6a3ce929d0e0e4736", "A.b_c-9", &longest] {
            assert_eq!(id(&ask.clone().header(HEADER, sent)), sent, "{ask:?}");
        }
        let too_long = "x".repeat(65);
        for sent in ["", "a b", "a~b", "a,b", "<a>", &too_long] {
            let id = id(&ask.clone().header(HEADER, sent));
            assert!(id != sent && RequestId::parse(&id).is_ok(), "{sent:?} came back as {id:?}");
        }
        let twice = id(&ask.clone().header(HEADER, "a").header(HEADER, "a"));
        assert_ne!(twice, "a", "{ask:?}");
    }
}
