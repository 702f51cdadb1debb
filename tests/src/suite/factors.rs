//! Second factors: enrolling, being challenged, codes that are used up, and locks.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{Target, claims as claims_of, keys, refresh, sign_in, simple, uncached};
use crate::fixtures::{BACKEND_SECRET, PORTAL_SECRET};
use crate::http::{Answer, TestRequest};
use crate::totp::code_ahead;

fn mfa(path: &str, token: &str, body: &Value) -> TestRequest {
    TestRequest::json(&format!("/mfa/totp/{path}"), body).bearer(token)
}

fn answer(challenge: &str, code: &str, method: Option<&str>) -> TestRequest {
    let mut body = json!({"challenge_token": challenge, "code": code});
    if let Some(method) = method {
        body["mfa_method"] = json!(method);
    }
    TestRequest::json("/auth/mfa/verify-challenge", &body)
}

/// A device that was set up, and everything in the answers.
struct Enrolled {
    id: String,
    secret: String,
    backup_codes: Vec<String>,
}

impl Target {
    /// Sets up a device for the bearer of `token`, and verifies its first code.
    fn enrol(self, token: &str) -> Enrolled {
        let set_up = self.ask(&mfa("setup", token, &json!({"device_name": "telephone"})));
        assert_eq!(set_up.status, 200, "{set_up:?}");
        let data = &set_up.json()["data"];
        let text = |name: &str| data[name].as_str().expect("text").to_owned();
        let codes = data["backup_codes"].as_array().cloned().unwrap_or_default();
        let enrolled = Enrolled {
            id: text("device_id"),
            secret: text("secret"),
            backup_codes: codes.iter().map(|code| code.as_str().expect("a code").to_owned()).collect(),
        };
        simple(&self.ask(&mfa("verify", token, &json!({"code": code_ahead(&enrolled.secret, 0)}))), 200, 0);
        enrolled
    }

    /// Redeems a ticket on an unknown device.
    fn on_a_new_device(self, body: &Value) -> Answer {
        static DEVICES: AtomicU32 = AtomicU32::new(0);
        let device = DEVICES.fetch_add(1, Ordering::Relaxed).to_string();
        self.ask(&sign_in(&self.ticket(body)).header("X-Device-Id", &device))
    }

    /// Returns the challenge for a user with a second factor there.
    fn challenged(self, body: &Value) -> String {
        let answer = self.on_a_new_device(body);
        assert_eq!((answer.status, &answer.json()["requires_mfa"]), (200, &json!(true)), "{answer:?}");
        answer.text("challenge_token")
    }

    /// Removes every device of the bearer of `token`.
    fn unenrol(self, token: &str, device: &Enrolled) {
        let path = format!("/mfa/totp/devices/{}", device.id);
        let body = json!({"code": code_ahead(&device.secret, 1)}).to_string();
        let remove = TestRequest::new("DELETE", &path)
            .header("Content-Type", "application/json")
            .body(body)
            .bearer(token);
        simple(&self.ask(&remove), 200, 0);
    }
}

pub(super) fn enrolling_and_being_challenged(target: Target) {
    let fay = json!({"user_id": "fay"});
    let token = target.signed_in(&fay).text("access_token");
    let set_up = target.ask(&mfa("setup", &token, &json!({"account": "fay@example.com"})));
    uncached(&set_up);
    assert_eq!(keys(&set_up.json()), ["code", "data", "message", "timestamp"]);
    let data = set_up.json()["data"].clone();
    assert_eq!(keys(&data), ["backup_codes", "device_id", "qr_code", "qr_code_url", "secret"]);
    assert_eq!(data["backup_codes"].as_array().map(Vec::len), Some(10));
    let secret = data["secret"].as_str().expect("a secret");
    let url = data["qr_code_url"].as_str().expect("a URL");
    assert!(
        url.starts_with("otpauth://totp/") && url.contains(secret) && url.contains("fay%40example.com"),
        "{url}"
    );
    assert!(data["qr_code"].as_str().expect("a picture").starts_with("data:image/"));
    target.signed_in(&fay);

    for wrong in ["000000x", "", "12345", &code_ahead(secret, 9)] {
        simple(&target.ask(&mfa("verify", &token, &json!({"code": wrong}))), 400, 40031);
    }
    simple(
        &target.ask(&mfa("verify", &token, &json!({"code": code_ahead(secret, 0), "device_id": "dev_x"}))),
        400,
        40031,
    );
    target.signed_in(&fay);
    let verified = code_ahead(secret, 0);
    simple(&target.ask(&mfa("verify", &token, &json!({"code": verified}))), 200, 0);
    simple(&target.ask(&mfa("verify", &token, &json!({"code": code_ahead(secret, 1)}))), 400, 40031);
    let listed =
        target.ask(&TestRequest::new("GET", "/mfa/totp/devices").bearer(&token)).json()["data"].clone();
    assert_eq!(keys(&listed[0]), ["algorithm", "created_at", "device_id", "digits", "period", "verified"]);
    assert_eq!((&listed[0]["device_id"], &listed[0]["verified"]), (&data["device_id"], &json!(true)));

    // On a known device she is not asked.
    target.signed_in(&fay);
    let asked = target.on_a_new_device(&fay);
    uncached(&asked);
    let body = asked.json();
    assert_eq!(
        keys(&body),
        [
            "challenge_token",
            "mfa_check_reason",
            "required_mfa_methods",
            "requires_mfa",
            "risk_assessment",
            "risk_level"
        ]
    );
    assert_eq!((&body["mfa_check_reason"], &body["risk_level"]), (&json!("new_device"), &json!("medium")));
    let methods = json!(["totp", "backup_code"]);
    assert_eq!(body["required_mfa_methods"], methods);
    assert_eq!(
        body["risk_assessment"],
        json!({"level": "medium", "score": 40, "require_mfa": true, "recommended_mfa_methods": methods})
    );
    let challenge = asked.text("challenge_token");
    simple(&target.ask(&refresh(&challenge)), 400, 40020);
    assert_eq!(target.userinfo_status(&challenge), 401);
    assert!(!target.is_active(&challenge));
    for (method, path) in [
        ("POST", "/auth/generate-ticket"),
        ("PUT", "/auth/me/password"),
        ("GET", "/auth/me/sessions"),
        ("DELETE", "/auth/me/sessions"),
        ("DELETE", "/auth/me/sessions/ses_1"),
        ("POST", "/mfa/totp/setup"),
        ("POST", "/mfa/totp/verify"),
        ("GET", "/mfa/totp/devices"),
        ("DELETE", "/mfa/totp/devices/dev_1"),
    ] {
        let ask = TestRequest::new(method, path).header("Content-Type", "application/json").body("{}");
        simple(&target.ask(&ask.bearer(&challenge)), 401, 40100);
    }

    // The code that verified the device is not accepted again.
    wrong(&target.ask(&answer(&challenge, &verified, None)), 4);
    wrong(&target.ask(&answer(&challenge, &code_ahead(secret, 1), Some("backup_code"))), 3);
    let code = code_ahead(secret, 1);
    let signed_in = target.ask(&answer(&challenge, &code, Some("totp")));
    assert_eq!((signed_in.status, &signed_in.json()["requires_mfa"]), (200, &json!(false)), "{signed_in:?}");
    let claims = claims_of(&signed_in.text("access_token"));
    assert_eq!(claims["amr"], json!(["ticket", "otp", "mfa"]));
    assert_eq!(target.userinfo_status(&signed_in.text("access_token")), 200);
    let (first, access) = (signed_in.text("refresh_token"), signed_in.text("access_token"));
    let second = target.ask(&refresh(&first));
    let third = target.ask(&refresh(&second.text("refresh_token")));
    assert_eq!((second.status, third.status), (200, 200));
    // The first token again: it was copied, and the family ends.
    simple(&target.ask(&refresh(&first)), 400, 40020);
    simple(&target.ask(&refresh(&third.text("refresh_token"))), 400, 40020);
    assert_eq!((target.userinfo_status(&access), target.is_active(&access)), (401, false));
    simple(&target.ask(&answer(&challenge, &code, None)), 400, 40030);
    wrong(&target.ask(&answer(&target.challenged(&fay), &code, None)), 4);
    // A verified device is removed by a backup code, the new one by its own first code.
    let code = data["backup_codes"][0].as_str().expect("a code");
    let last = target.ask(&answer(&target.challenged(&fay), code, Some("backup_code")));
    assert_eq!(last.status, 200, "{last:?}");
    let second = target.enrol(&last.text("access_token"));
    assert!(second.backup_codes.is_empty(), "they come with the first device only");
    let path = format!("/mfa/totp/devices/{}", data["device_id"].as_str().expect("an id"));
    let body = json!({"code": code_ahead(&second.secret, 1)}).to_string();
    let remove = TestRequest::new("DELETE", &path).header("Content-Type", "application/json").body(body);
    simple(&target.ask(&remove.bearer(&last.text("access_token"))), 200, 0);
    target.challenged(&fay);
}

/// A sign-in that is bound to a client goes on only by that client.
pub(super) fn a_bound_challenge_wants_its_client(target: Target) {
    let pam = json!({"user_id": "pam"});
    let token = target.signed_in(&pam).text("access_token");
    let device = target.enrol(&token);
    let bound = json!({"user_id": "pam", "audience": "portal", "bind": true});
    let redeem = sign_in(&target.ticket(&bound)).header("X-Device-Id", "bound");
    let challenge = target.ask(&redeem.basic("portal", PORTAL_SECRET)).text("challenge_token");
    let code = &device.backup_codes[0];
    let verify = || answer(&challenge, code, Some("backup_code"));
    simple(&target.ask(&verify()), 401, 40101);
    simple(&target.ask(&verify().basic("portal", "wrong")), 401, 40101);
    simple(&target.ask(&verify().header("Authorization", "Basic !!!")), 401, 40101);
    simple(&target.ask(&verify().basic("backend", BACKEND_SECRET)), 400, 40030);
    // None of them counts against the challenge, or uses the code up.
    for _ in 0..5 {
        simple(&target.ask(&verify()), 401, 40101);
    }
    let whole = target.ask(&verify().basic("portal", PORTAL_SECRET));
    assert_eq!((whole.status, &whole.json()["requires_mfa"]), (200, &json!(false)), "{whole:?}");
    target.unenrol(&token, &device);
}

pub(super) fn backup_codes(target: Target) {
    let lou = json!({"user_id": "lou"});
    let token = target.signed_in(&lou).text("access_token");
    let device = target.enrol(&token);
    let [first, second, ..] = device.backup_codes.as_slice() else { panic!("ten codes") };
    let by_code = |code: &str| target.ask(&answer(&target.challenged(&lou), code, Some("backup_code")));
    assert_eq!(by_code(first).status, 200);
    wrong(&by_code(first), 4);
    let typed = second.to_lowercase().replace('-', " ");
    let signed_in = by_code(&typed);
    assert_eq!(claims_of(&signed_in.text("access_token"))["amr"], json!(["ticket", "mfa"]));
    wrong(&by_code("AAAA-AAAA-AAAA-AAAA"), 4);
    target.unenrol(&token, &device);
    target.signed_in(&lou);
}

pub(super) fn an_impersonation_challenges_the_actor(target: Target) {
    let token = target.signed_in(&json!({"user_id": "lou"})).text("access_token");
    let device = target.enrol(&token);
    let asked = json!({"user_id": "alice", "actor": "lou", "reason": "a call"});
    let challenge = target.challenged(&asked);
    let signed_in = target.ask(&answer(&challenge, &device.backup_codes[3], Some("backup_code")));
    let claims = claims_of(&signed_in.text("access_token"));
    assert_eq!(
        (&claims["act"]["sub"], claims["sub"] == claims["act"]["sub"]),
        (&claims_of(&token)["sub"], false)
    );
    let set_up = mfa("setup", &signed_in.text("access_token"), &json!({}));
    simple(&target.ask(&set_up), 403, 40301);
    // The reverse needs no factor, since boss has none.
    target.signed_in(&json!({"user_id": "lou", "actor": "boss", "reason": "a call"}));
    target.unenrol(&token, &device);
}

pub(super) fn removing_a_device(target: Target) {
    let token = target.signed_in(&json!({"user_id": "lou"})).text("access_token");
    let device = target.enrol(&token);
    let remove = |id: &str, body: &str| {
        let ask = TestRequest::new("DELETE", &format!("/mfa/totp/devices/{id}"));
        target.ask(&ask.header("Content-Type", "application/json").body(body.to_owned()).bearer(&token))
    };
    simple(&remove("dev_nothing", r#"{"code":"123456"}"#), 404, 40402);
    simple(&remove(&device.id, "{}"), 400, 40001);
    simple(&remove(&device.id, r#"{"code":"000000x"}"#), 400, 40031);
    target.challenged(&json!({"user_id": "lou"}));
    target.unenrol(&token, &device);
    target.signed_in(&json!({"user_id": "lou"}));
    let listed = target.ask(&TestRequest::new("GET", "/mfa/totp/devices").bearer(&token));
    assert_eq!(listed.json()["data"], json!([]));
}

/// Checks that a code was refused, and that `left` more may be tried.
#[track_caller]
fn wrong(answer: &Answer, left: u32) {
    let (body, tries) = (answer.json(), if left == 1 { "try is" } else { "tries are" });
    assert_eq!((answer.status, &body["code"]), (400, &json!(40031)), "{answer:?}");
    assert_eq!(keys(&body), ["code", "data", "message", "timestamp"]);
    assert_eq!(body["data"], json!({"tries_left": left}));
    let message =
        format!("the code is wrong or already used: {left} {tries} left before you have to sign in again");
    assert_eq!(answer.text("message"), message);
}

pub(super) fn wrong_codes(target: Target) {
    let lou = json!({"user_id": "lou"});
    let token = target.signed_in(&lou).text("access_token");
    let device = target.enrol(&token);
    let challenge = target.challenged(&lou);
    for left in (1..5).rev() {
        wrong(&target.ask(&answer(&challenge, "000000x", None)), left);
    }
    simple(&target.ask(&answer(&challenge, "000000x", None)), 400, 40030);
    // Five wrong codes end the challenge, also for a right one.
    simple(&target.ask(&answer(&challenge, &device.backup_codes[0], Some("backup_code"))), 400, 40030);
    let other = target.challenged(&lou);
    for left in (1..5).rev() {
        wrong(&target.ask(&answer(&other, "000000x", None)), left);
    }
    let third = target.challenged(&lou);
    wrong(&target.ask(&answer(&third, "000000x", None)), 4);
    // Ten in a row lock every factor, on every challenge. That is answered like a wrong code.
    wrong(&target.ask(&answer(&third, &device.backup_codes[0], Some("backup_code"))), 3);
    wrong(&target.ask(&answer(&target.challenged(&lou), &code_ahead(&device.secret, 1), None)), 4);
}

pub(super) fn what_factors_are_refused_for(target: Target) {
    let service = target.service_token("profile");
    for path in ["setup", "verify"] {
        simple(&target.ask(&TestRequest::json(&format!("/mfa/totp/{path}"), &json!({}))), 401, 40100);
        simple(&target.ask(&mfa(path, "x.y.z", &json!([]))), 401, 40100);
        simple(&target.ask(&mfa(path, &service, &json!({"code": "123456"}))), 403, 40300);
    }
    simple(&target.ask(&TestRequest::new("GET", "/mfa/totp/devices")), 401, 40100);
    let token = target.signed_in(&json!({"user_id": "alice"})).text("access_token");
    simple(&target.ask(&mfa("verify", &token, &json!({}))), 400, 40001);
    simple(&target.ask(&mfa("verify", &token, &json!({"code": 123456}))), 400, 40001);
    simple(&target.ask(&mfa("setup", &token, &json!({"account": ""}))), 400, 40001);
    simple(&target.ask(&mfa("setup", &token, &json!({"device_name": "a\nb"}))), 400, 40001);
    simple(&target.ask(&mfa("verify", &token, &json!({"code": "123456"}))), 400, 40031);
    let unknown = "chg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (ask, code) in [
        (answer(unknown, "123456", None), 40030),
        (answer("", "123456", None), 40030),
        (answer(&token, "123456", None), 40030),
        (answer(unknown, "123456", Some("sms")), 40001),
        (TestRequest::json("/auth/mfa/verify-challenge", &json!({"code": "123456"})), 40001),
    ] {
        simple(&target.ask(&ask), 400, code);
    }
    for _ in 0..8 {
        let no_body = TestRequest::new("POST", "/mfa/totp/setup").bearer(&token);
        assert_eq!(target.ask(&no_body).status, 200);
    }
    simple(&target.ask(&mfa("setup", &token, &json!({}))), 400, 40032);
    target.signed_in(&json!({"user_id": "alice"}));
}
