//! Mistakes of a client's developer, each with the answer that names what is wrong.

use serde_json::json;

use super::{Target, sign_in, uncached};
use crate::fixtures::PORTAL_SECRET;
use crate::http::{Answer, TestRequest};

fn signin_body(body: &str) -> TestRequest {
    TestRequest::new("POST", "/auth/ticket/signin").header("Content-Type", "application/json").body(body)
}

/// Checks a SimpleResponse: status, code, and the whole message.
#[track_caller]
fn told(answer: &Answer, status: u16, code: u64, message: &str) {
    let (body, text) = (answer.json(), answer.text("message"));
    assert_eq!((answer.status, &body["code"], &*text), (status, &json!(code), message), "{answer:?}");
    uncached(answer);
}

/// Checks an error of OAuth: status, error, and the whole description.
#[track_caller]
fn told_oauth(answer: &Answer, status: u16, error: &str, description: &str) {
    let (told, text) = (answer.text("error"), answer.text("error_description"));
    assert_eq!((answer.status, &*told, &*text), (status, error, description), "{answer:?}");
    uncached(answer);
}

pub(super) fn what_is_wrong_in_a_body(target: Target) {
    const BODY: &str = "the body is not the expected JSON object";
    for (body, detail) in [
        ("", "it ends too soon (line 1, column 1)"),
        ("{\"ticket\":", "it ends too soon (line 1, column 10)"),
        ("{\"ticket\":\"a\",}", "it is not JSON (line 1, column 15)"),
        ("{\n  'ticket': 'a'}", "it is not JSON (line 2, column 3)"),
        ("ticket=a", "it is not JSON (line 1, column 2)"),
        ("[]", "it is no object (line 1, column 1)"),
        ("\u{feff}{}", "it begins with a byte order mark (line 1, column 1)"),
        ("{\"ticket\":\"a\"}{}", "something follows the object (line 1, column 15)"),
        ("{\"ticket\":\"a\",\n\"ticket\":\"b\"}", "the member ticket is repeated (line 2, column 8)"),
        ("{}", "the member ticket is missing"),
        ("{\"ticket\":null}", "the member ticket is missing"),
        ("{\"ticket\":1}", "the member ticket must be a string"),
        ("{\"ticket\":[\"tkt_secret\"]}", "the member ticket must be a string"),
        ("{\"Ticket\":\"a\"}", "the member Ticket is unknown: it should perhaps be ticket"),
        ("{\"tikcet\":\"a\"}", "the member tikcet is unknown: it should perhaps be ticket"),
        (
            "{\"ticket\":\"a\",\"tickets\":\"b\"}",
            "the member tickets is unknown: it should perhaps be ticket",
        ),
    ] {
        told(&target.ask(&signin_body(body)), 400, 40001, &format!("{BODY}: {detail}"));
    }
    let deep = format!("{{\"ticket\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let nested = format!("{BODY}: it is nested deeper than 32 (line 1, column 42)");
    told(&target.ask(&signin_body(&deep)), 400, 40001, &nested);
    let many: Vec<String> = (0..7_000).map(|i| format!("\"{i:x}\":1")).collect();
    let many = target.ask(&signin_body(&format!("{{{}}}", many.join(","))));
    told(&many, 400, 40001, &format!("{BODY}: it has more than 1000 values (line 1, column 7727)"));
    let chinese = signin_body("{\"ticket\":1}").header("Accept-Language", "zh");
    told(&target.ask(&chinese), 400, 40001, "请求体不是预期的 JSON 对象:成员 ticket 必须是字符串");
    // Whatever else a body holds is ignored.
    told(
        &target.ask(&signin_body("{\"ticket\":\"a\",\"client_id\":\"x\",\"ticker\":1,\"device\":null}")),
        400,
        40001,
        &format!("{BODY}: the member ticker is unknown: it should perhaps be ticket"),
    );
    let unknown = signin_body("{\"ticket\":\"a\",\"client_id\":\"x\",\"nonce\":1,\"device\":{\"ticket\":1}}");
    told(&target.ask(&unknown), 400, 40010, "the ticket is invalid, expired or already used");
}

pub(super) fn what_is_wrong_in_a_request_for_a_ticket(target: Target) {
    const BODY: &str = "the body is not the expected JSON object";
    let misspelt = |sent: &str, meant: &str| {
        format!("{BODY}: the member {sent} is unknown: it should perhaps be {meant}")
    };
    let scope = |why: &str| format!("scope is malformed or beyond what may be granted: {why}");
    for (body, code, message) in [
        (json!({"user_id": "alice", "audiance": "portal"}), 40001, misspelt("audiance", "audience")),
        (json!({"user_id": "alice", "clientIp": "127.0.0.1"}), 40001, misspelt("clientIp", "client_ip")),
        (json!({"userId": "alice"}), 40001, misspelt("userId", "user_id")),
        (json!({"user_id": "alice", "scopes": "profile"}), 40001, misspelt("scopes", "scope")),
        (
            json!({"user_id": "alice", "username": "alice"}),
            40001,
            format!("{BODY}: exactly one of the members user_id and username is needed"),
        ),
        (json!({"user_id": 7}), 40001, format!("{BODY}: the member user_id must be a string")),
        (
            json!({"user_id": "alice", "bind": "true"}),
            40001,
            format!("{BODY}: the member bind must be true or false"),
        ),
        (
            json!({"user_id": "alice", "ttl": "60"}),
            40012,
            "ttl must be a whole number of seconds from 1 to 3600".into(),
        ),
        (
            json!({"user_id": "alice", "bind": true}),
            40013,
            "audience must name an enabled client: bind needs one, and audience is missing".into(),
        ),
        (
            json!({"user_id": "alice", "audience": "nobody"}),
            40013,
            "audience must name an enabled client".into(),
        ),
        (
            json!({"user_id": "alice", "scope": "profile payroll"}),
            40014,
            scope("payroll is not in the scope of the client backend"),
        ),
        (
            json!({"user_id": "alice", "scope": "ticket:issue"}),
            40014,
            scope("ticket:issue is reserved for clients: no ticket grants ticket:* or gatepass:*"),
        ),
        (
            json!({"user_id": "alice", "scope": "a  b"}),
            40014,
            scope("a scope is at most 64 names of visible ASCII without \" and \\, one space between"),
        ),
    ] {
        told(&target.generate(&body), 400, code, &message);
    }
    let absent = json!({"user_id": "alice", "audience": null, "bind": null, "ttl": null, "scope": null});
    assert_eq!(target.generate(&absent).status, 200, "null counts as absent");
}

pub(super) fn what_is_wrong_in_a_header(target: Target) {
    const HEADER: &str = "a header is repeated or malformed: the header";
    let plain = || sign_in("tkt_x");
    for (ask, detail) in [
        (plain().header("Content-Type", "application/json"), "content-type is repeated"),
        (plain().basic("portal", "x").basic("portal", "x"), "authorization is repeated"),
        (plain().header("X-Device-Id", "a").header("X-Device-Id", "b"), "x-device-id is repeated"),
        (plain().header("X-Device-Id", &"a".repeat(257)), "x-device-id has more than 256 bytes"),
    ] {
        told(&target.ask(&ask), 400, 40002, &format!("{HEADER} {detail}"));
    }
    const MEDIA: &str = "the body is not of the media type this path takes";
    let form = TestRequest::form("/auth/ticket/signin", "ticket=a");
    let expected = "it must be application/json, and the Content-Type header must say so";
    told(&target.ask(&form), 415, 41500, &format!("{MEDIA}: {expected}"));
    for coding in ["gzip", "identity, br"] {
        let answer = target.ask(&plain().header("Content-Encoding", coding));
        told(&answer, 415, 41501, "the body must come without a content coding");
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
    told(
        &target.ask(&plain().header("Content-Encoding", "Identity")),
        400,
        40010,
        "the ticket is invalid, expired or already used",
    );
}

pub(super) fn what_is_wrong_in_a_form(target: Target) {
    let good = "grant_type=client_credentials&scope=orders:read";
    let basic = |body: &str| TestRequest::form("/oauth2/token", body).basic("portal", PORTAL_SECRET);
    for (more, description) in [
        ("scope=orders:read", "the parameter scope is repeated"),
        ("x=1&x=2", "the parameter x is repeated"),
        ("s%20t=1&s%20t=2", "parameter 4 of the form is repeated"),
        ("x=%zz", "parameter 3 of the form has an invalid percent-escape, or is not UTF-8 text"),
    ] {
        let answer = target.ask(&basic(&format!("{good}&{more}")));
        told_oauth(&answer, 400, "invalid_request", description);
    }
    let many: String = (0..2_000).map(|i| format!("&{i}=")).collect();
    let many = target.ask(&basic(&format!("{good}{many}")));
    told_oauth(&many, 400, "invalid_request", "the form has more than 1000 parameters");
    let resources = "resource=https://orders.example&resource=https://orders.example";
    assert_eq!(target.ask(&basic(&format!("{good}&{resources}"))).status, 200);
    let twice = basic(good).basic("portal", PORTAL_SECRET);
    told_oauth(&target.ask(&twice), 400, "invalid_request", "the header authorization is repeated");
}

pub(super) fn what_is_wrong_at_the_token_endpoint(target: Target) {
    let good = "grant_type=client_credentials&scope=orders:read";
    let post = |body: &str| TestRequest::form("/oauth2/token", body);
    let basic = |body: &str| post(body).basic("portal", PORTAL_SECRET);
    let secret = PORTAL_SECRET.replace('+', "%2B").replace('/', "%2F");
    let posted = format!("{good}&client_id=portal&client_secret={secret}");
    for stray in ["Bearer abc", "Bearer", "Negotiate YII="] {
        let answer = target.ask(&post(&posted).header("Authorization", stray));
        assert_eq!(answer.status, 200, "{stray} beside form credentials: {answer:?}");
    }
    for (ask, status, error, description) in [
        (
            post(good),
            401,
            "invalid_client",
            "client credentials are missing: send them by Basic, as client_id and client_secret, or as a client_assertion",
        ),
        (
            post(good).bearer("abc"),
            401,
            "invalid_client",
            "client credentials are missing: send them by Basic, as client_id and client_secret, or as a client_assertion",
        ),
        (
            post(&format!("{good}&client_secret=x")),
            401,
            "invalid_client",
            "client_id is missing, or is no client's id",
        ),
        (
            post(good).header("Authorization", "Basic portal:secret"),
            401,
            "invalid_client",
            "the Basic credentials cannot be read: they are base64 of a client's id, a colon and its secret",
        ),
        (
            post(&format!("{good}&client_id=portal&client_assertion=x")),
            401,
            "invalid_client",
            "client_assertion_type is not urn:ietf:params:oauth:client-assertion-type:jwt-bearer, the one that is served here",
        ),
        (basic(&posted), 400, "invalid_request", "use one client authentication method"),
        (post(good).basic("portal", "wrong"), 401, "invalid_client", "client authentication failed"),
        (basic("scope=orders:read"), 400, "invalid_request", "grant_type is required"),
        (
            basic("grant_type=authorization_code"),
            400,
            "unsupported_grant_type",
            "the grant types served here are client_credentials and refresh_token",
        ),
        (
            basic("grant_type=client_credentials&scope=orders:read+ticket:issue"),
            400,
            "invalid_scope",
            "ticket:issue is not in the scope of the client portal",
        ),
        (
            basic("grant_type=client_credentials&scope=a++b"),
            400,
            "invalid_scope",
            "scope is malformed: names with one space between, without quotes and backslashes",
        ),
        (basic("grant_type=refresh_token"), 400, "invalid_request", "refresh_token is required"),
        (
            TestRequest::json("/oauth2/token", &json!({"grant_type": "client_credentials"})),
            415,
            "invalid_request",
            "the body must be application/x-www-form-urlencoded, and the Content-Type header must say so",
        ),
        (
            basic(good).header("Content-Encoding", "gzip"),
            415,
            "invalid_request",
            "the body must come without a content coding",
        ),
        (
            TestRequest::new("GET", "/oauth2/token"),
            405,
            "invalid_request",
            "the path does not take this method",
        ),
        (
            TestRequest::form("/oauth2/introspect", "").basic("portal", PORTAL_SECRET),
            400,
            "invalid_request",
            "token is required",
        ),
    ] {
        let answer = target.ask(&ask);
        told_oauth(&answer, status, error, description);
        match status {
            401 => assert!(answer.header("www-authenticate").is_some_and(|c| c.starts_with("Basic realm="))),
            405 => assert_eq!(answer.header("allow"), Some("POST")),
            _ => {}
        }
    }
}

pub(super) fn wrong_paths_and_methods(target: Target) {
    for path in ["/oauth2/nothing", "/auth/nothing", "/nothing", "/mfa/totp/nothing"] {
        for method in ["GET", "HEAD", "POST", "PUT"] {
            let answer = target.ask(&TestRequest::new(method, path));
            assert_eq!(answer.status, 404, "{method} {path}");
            uncached(&answer);
        }
        told(&target.ask(&TestRequest::new("POST", path)), 404, 40400, "no such path");
    }
    for (method, path, allow) in [
        ("HEAD", "/auth/login", "POST"),
        ("GET", "/auth/login", "POST"),
        ("GET", "/auth/me/password", "PUT"),
        ("HEAD", "/oauth2/introspect", "POST"),
        ("DELETE", "/oauth2/revoke", "POST"),
        ("PUT", "/userinfo", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
    ] {
        let answer = target.ask(&TestRequest::new(method, path));
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
        uncached(&answer);
    }
}
