//! Risk of sign-ins, from the request to the audit table: known devices, requested factors, and restricted sessions.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::http::request::Request;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::{ClientId, UserRef};
use gatepass_core::records::sign_in_history::{DeviceOnNetwork, KnownPlace, SignInHistory};
use gatepass_core::settings::{AddressMismatch, Issuer, Settings, Unenrolled};
use gatepass_core::store::audit::Kind;
use gatepass_tests::fixtures::{self, NOON, presents, request, text, user_id};
use gatepass_tests::in_memory_server::InMemoryServer;
use gatepass_tests::memory::Tables;
use gatepass_tests::totp::{self, SECRET};
use proptest::prelude::*;
use serde_json::{Value, json};

fn settings() -> Settings {
    Settings::new(Issuer::parse("http://gate.example").expect("an issuer"))
}

/// The test data, in which `names` have a verified device and are known on their laptop.
fn enrolled(names: &[&str]) -> Tables {
    let mut tables = fixtures::tables();
    let device = |name: &&str| totp::device(&format!("dev_{name}"), &user_id(name), SECRET);
    tables.devices.extend(names.iter().map(device));
    for name in names {
        let place = DeviceOnNetwork::of("laptop", b"", [192, 0, 2, 1].into()).expect("a place");
        let known = KnownPlace::new(place, NOON);
        tables
            .histories
            .insert(user_id(name), SignInHistory { places: vec![known], ..SignInHistory::default() });
    }
    tables
}

/// Returns the code of such a device at noon, by an independent implementation.
fn code() -> String {
    totp::code(SECRET, NOON.unix())
}

fn on(device: &str, mut request: Request) -> Request {
    request.headers.push(("x-device-id".into(), device.into()));
    request
}

fn server_with(settings: Settings, tables: Tables) -> InMemoryServer {
    InMemoryServer::new(fixtures::gatepass_with(settings), tables)
}

/// Issues a ticket as `asked`.
fn issue(server: &InMemoryServer, asked: TicketRequest) -> String {
    server.issue(asked).expect("a ticket")
}

/// Signs `name` in by a ticket on `device`, and returns the answer.
fn signs_in(server: &InMemoryServer, name: &str, device: &str) -> Value {
    let ticket = issue(server, TicketRequest::new(UserRef::Username(name.into())));
    server.ask(on(device, presents(&ticket))).body
}

fn acts(server: &InMemoryServer, actor: &str, name: &str, device: &str) -> Value {
    let asked = TicketRequest::new(UserRef::Username(name.into()));
    let asked = asked.impersonated(Some(UserRef::Username(actor.into())), Some("a call"));
    let ticket = issue(server, asked.expect("an actor and a reason"));
    server.ask(on(device, presents(&ticket))).body
}

fn answers(server: &InMemoryServer, challenge: &Value, code: &str) -> Value {
    let asked = json!({"challenge_token": challenge["challenge_token"], "code": code});
    server.ask(request("/auth/mfa/verify-challenge", "", &asked)).body
}

fn history(server: &InMemoryServer, name: &str) -> SignInHistory {
    server.store.with(|tables| tables.histories.get(&user_id(name)).cloned().unwrap_or_default())
}

fn places(server: &InMemoryServer, name: &str) -> usize {
    history(server, name).places.len()
}

fn failures(server: &InMemoryServer, name: &str) -> usize {
    history(server, name).failures.len()
}

fn is_challenged(told: &Value) -> bool {
    assert_eq!(told["challenge_token"].is_string(), told["requires_mfa"] == json!(true), "{told}");
    assert!(told["requires_mfa"] == json!(false) || told["access_token"].is_null(), "{told}");
    told["requires_mfa"] == json!(true)
}

#[test]
fn a_first_device_is_learnt_and_a_new_one_asked_once() {
    let server = server_with(settings(), fixtures::tables());
    assert!(!is_challenged(&signs_in(&server, "fay", "laptop")));
    assert_eq!(places(&server, "fay"), 1);
    // The first device of a user with a factor has not shown it.
    let mut unknown = enrolled(&["fay"]);
    unknown.histories.clear();
    let server = server_with(settings(), unknown);
    let asked = signs_in(&server, "fay", "laptop");
    assert_eq!((is_challenged(&asked), &asked["mfa_check_reason"]), (true, &json!("new_device")));
    let server = server_with(settings(), enrolled(&["fay"]));
    assert!(!is_challenged(&signs_in(&server, "fay", "laptop")));
    let asked = signs_in(&server, "fay", "phone");
    assert!(is_challenged(&asked));
    assert_eq!((&asked["mfa_check_reason"], &asked["user"]), (&json!("new_device"), &Value::Null));
    // Asking does not make a device known; the right answer does.
    assert!(is_challenged(&signs_in(&server, "fay", "phone")));
    assert_eq!(places(&server, "fay"), 1);
    assert!(!is_challenged(&answers(&server, &asked, &code())));
    assert_eq!(places(&server, "fay"), 2);
    assert!(!is_challenged(&signs_in(&server, "fay", "phone")));
    // On another network, the same device is a new one.
    let ticket = issue(&server, TicketRequest::new(UserRef::Username("fay".into())));
    let mut elsewhere = on("phone", presents(&ticket));
    elsewhere.peer = [203, 0, 113, 1].into();
    assert_eq!(server.ask(elsewhere).body["risk_assessment"]["score"], json!(55));
}

#[test]
fn without_a_device_id_the_user_agent_is_the_device() {
    let mut tables = enrolled(&["fay"]);
    let browser = DeviceOnNetwork::of("", b"Mozilla/5.0 \xff", [192, 0, 2, 1].into()).expect("a place");
    tables.histories.get_mut(&user_id("fay")).expect("a habit").places[0].place = browser;
    let server = server_with(settings(), tables);
    let by = |agent: &[u8]| {
        let ticket = issue(&server, TicketRequest::new(UserRef::Username("fay".into())));
        let mut request = presents(&ticket);
        request.headers.push(("user-agent".into(), agent.to_vec()));
        is_challenged(&server.ask(request).body)
    };
    assert!(!by(b"Mozilla/5.0 \xff"));
    assert!(!by(b"Mozilla/5.0 \xff"));
    assert!(by(b"curl/8.5"));
}

#[test]
fn an_actor_is_judged_by_their_own_habits_and_learns_nothing_for_the_user() {
    let server = server_with(settings(), enrolled(&["boss"]));
    let asked = acts(&server, "boss", "alice", "laptop");
    assert_eq!((is_challenged(&asked), &asked["mfa_check_reason"]), (true, &json!("impersonation")));
    let told = answers(&server, &asked, &code());
    assert!(!is_challenged(&told));
    assert_eq!((places(&server, "boss"), places(&server, "alice")), (1, 0));
    let asked = acts(&server, "boss", "alice", "kiosk");
    assert_eq!(asked["mfa_check_reason"], json!("new_device"));
    assert_eq!(asked["risk_level"], json!("high"));
}

#[test]
fn what_counts_as_a_failure_of_a_person() {
    let server = server_with(settings(), enrolled(&["fay"]));
    let asked = || TicketRequest::new(UserRef::Username("fay".into()));
    // A spent, an unknown and a malformed ticket are not her failures.
    let ticket = issue(&server, asked());
    for _ in 0..5 {
        server.ask(on("laptop", presents(&ticket)));
    }
    server.ask(presents("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(failures(&server, "fay"), 0);
    // A live ticket tried from elsewhere may be stolen.
    for wrong in 1..=3 {
        let mut here_only = asked();
        here_only.client_ip = "198.51.100.1".parse().ok();
        let ticket = issue(&server, here_only);
        assert_eq!(server.ask(presents(&ticket)).body["code"], json!(40010));
        assert_eq!(failures(&server, "fay"), wrong);
    }
    let judged = signs_in(&server, "fay", "laptop");
    assert_eq!((&judged["risk_assessment"]["score"], &judged["risk_level"]), (&json!(25), &json!("low")));
    let asked = signs_in(&server, "fay", "phone");
    for wrong in 4..=6 {
        answers(&server, &asked, "wrong");
        assert_eq!(failures(&server, "fay"), wrong);
    }
}

#[test]
fn an_address_that_was_not_named_is_refused_or_suspected() {
    for (rule, code, score) in [
        (AddressMismatch::Refuse, json!(40010), Value::Null),
        (AddressMismatch::Risk, Value::Null, json!(30)),
    ] {
        let mut settings = settings();
        settings.address_mismatch = rule;
        let server = server_with(settings, fixtures::tables());
        let mut asked = TicketRequest::new(UserRef::Username("fay".into()));
        asked.client_ip = "198.51.100.1".parse().ok();
        let ticket = issue(&server, asked);
        let told = server.ask(presents(&ticket)).body;
        assert_eq!((&told["code"], &told["risk_assessment"]["score"]), (&code, &score));
        assert_eq!(server.ask(presents(&ticket)).body["code"], json!(40010));
    }
}

#[test]
fn users_and_clients_have_their_own_rules() {
    let ask = |of_user, of_client, general| {
        let mut rules = settings();
        rules.second_factor.ask = general;
        let server = server_with(rules, enrolled(&["fay"]));
        server.store.with(|tables| {
            tables.users.get_mut(&user_id("fay")).expect("fay").second_factor = of_user;
            let portal = ClientId::parse("portal").expect("an id");
            tables.clients.get_mut(&portal).expect("the portal").second_factor = of_client;
        });
        let mut asked = TicketRequest::new(UserRef::Username("fay".into()));
        asked.audience = ClientId::parse("portal").ok();
        let ticket = issue(&server, asked);
        is_challenged(&server.ask(on("laptop", presents(&ticket))).body)
    };
    use AskFactor::{Always, Never, Risk};
    for (of_user, of_client, general, challenged) in [
        (None, None, Risk, false),
        (None, None, Always, true),
        (None, Some(Always), Never, true),
        (None, Some(Never), Always, false),
        (Some(Always), Some(Never), Never, true),
        (Some(Never), Some(Always), Always, false),
    ] {
        assert_eq!(ask(of_user, of_client, general), challenged, "{of_user:?} {of_client:?} {general:?}");
    }
}

#[test]
fn a_user_without_a_required_factor_is_refused_and_the_ticket_spent() {
    let mut rules = settings();
    (rules.second_factor.ask, rules.second_factor.unenrolled) = (AskFactor::Always, Unenrolled::Refuse);
    let server = server_with(rules, fixtures::tables());
    let ticket = issue(&server, TicketRequest::new(UserRef::Username("fay".into())));
    let refused = server.ask(presents(&ticket));
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!(40045)));
    assert_eq!(server.ask(presents(&ticket)).body["code"], json!(40010));
    assert!(server.store.with(|tables| tables.sessions.is_empty() && tables.challenges.is_empty()));
    let told = server.store.with(|tables| tables.audit[1].clone());
    assert_eq!(
        (told.kind, told.refusal.map(|r| r.as_str())),
        (Kind::TicketRefused, Some("factor-not-enrolled"))
    );
    assert!(told.risk.is_some());
}

#[test]
fn a_user_without_a_required_factor_is_sent_to_enrol() {
    let mut rules = settings();
    (rules.second_factor.ask, rules.second_factor.unenrolled) = (AskFactor::Always, Unenrolled::Enrol);
    let server = server_with(rules, fixtures::tables());
    let told = signs_in(&server, "fay", "laptop");
    assert_eq!(
        (&told["mfa_check_reason"], &told["required_mfa_methods"]),
        (&json!("policy"), &json!(["totp"]))
    );
    assert_eq!((is_challenged(&told), &told["refresh_token"]), (false, &Value::Null));
    assert_eq!((&told["must_enrol"], &told["user"]), (&json!(true), &Value::Null));
    assert_eq!(places(&server, "fay"), 0);
    let bearer = format!("Bearer {}", text(&told, "access_token"));
    let ask = |method: &str, path: &str, asked: &Value| {
        let asked = Request { method: method.into(), ..request(path, &bearer, asked) };
        let answer = server.ask(asked);
        (answer.status, answer.body)
    };
    for (method, path) in
        [("GET", "/auth/me/sessions"), ("PUT", "/auth/me/password"), ("POST", "/auth/generate-ticket")]
    {
        let (status, told) = ask(method, path, &json!({"old_password": "", "new_password": ""}));
        assert_eq!((status, &told["code"]), (403, &json!(40303)), "{path}");
    }
    assert_eq!(ask("GET", "/userinfo", &json!({})).0, 401);
    let (_, set_up) = ask("POST", "/mfa/totp/setup", &json!({}));
    let secret = text(&set_up["data"], "secret");
    let code = totp::code_of(&secret, NOON.unix());
    assert_eq!(ask("POST", "/mfa/totp/verify", &json!({ "code": code })).0, 200);
    assert_eq!(ask("GET", "/mfa/totp/devices", &json!({})).0, 200);
    // From now on she is asked.
    let asked = signs_in(&server, "fay", "laptop");
    assert!(is_challenged(&asked));
    let next = totp::code_of(&secret, NOON.unix() + 30);
    assert!(answers(&server, &asked, &next)["refresh_token"].is_string());
}

#[test]
fn an_enrolled_person_who_was_not_asked_adds_a_device_by_a_code() {
    let server = server_with(settings(), enrolled(&["fay"]));
    let told = signs_in(&server, "fay", "laptop");
    let bearer = format!("Bearer {}", text(&told, "access_token"));
    let set_up = |asked: Value| server.ask(request("/mfa/totp/setup", &bearer, &asked)).body;
    assert_eq!(set_up(json!({}))["code"], json!(40302));
    assert_eq!(set_up(json!({"code": "wrong"}))["code"], json!(40031));
    let done = set_up(json!({ "code": code() }));
    assert_eq!((&done["code"], &done["data"]["backup_codes"]), (&json!(0), &Value::Null));
    assert_eq!(set_up(json!({ "code": code() }))["code"], json!(40031), "the code is used");
    let first = json!({ "code": totp::code_of(&text(&done["data"], "secret"), NOON.unix()) });
    assert_eq!(server.ask(request("/mfa/totp/verify", &bearer, &first)).body["code"], json!(0));
}

#[test]
fn every_signal_and_its_weight_is_in_the_audit_table() {
    let server = server_with(settings(), enrolled(&["fay"]));
    signs_in(&server, "fay", "laptop");
    signs_in(&server, "fay", "phone");
    let risks: Vec<_> = server.store.with(|tables| {
        tables.audit.iter().filter_map(|e| Some((e.kind, e.risk.as_ref()?.to_string()))).collect()
    });
    let expected = [(Kind::TicketRedeemed, "0 low"), (Kind::ChallengeIssued, "40 medium new_device=40")];
    assert!(risks.iter().map(|(kind, risk)| (*kind, risk.as_str())).eq(expected), "{risks:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Under all rules, an answer holds a challenge or tokens and never both, and describes them rightly.
    #[test]
    fn no_answer_holds_both_a_challenge_and_a_token(
        (ask, actor) in (proptest::sample::select(AskFactor::ALL), proptest::sample::select(AskFactor::ALL)),
        unenrolled in 0..3usize,
        (fay_is_enrolled, boss_acts, must_change) in any::<(bool, bool, bool)>(),
        devices in proptest::collection::vec(0..3u8, 1..4),
    ) {
        let mut rules = settings();
        (rules.second_factor.ask, rules.second_factor.ask_actor) = (ask, actor);
        rules.second_factor.unenrolled = [Unenrolled::SignIn, Unenrolled::Refuse, Unenrolled::Enrol][unenrolled];
        let server = server_with(rules, enrolled(if fay_is_enrolled { &["fay"] } else { &["boss"] }));
        server.store.with(|t| t.users.get_mut(&user_id("fay")).expect("fay").must_change_password = must_change);
        for device in devices {
            let device = device.to_string();
            let told = if boss_acts { acts(&server, "boss", "fay", &device) } else { signs_in(&server, "fay", &device) };
            let refused = told["code"] == json!(40045);
            let challenged = !refused && is_challenged(&told);
            let tokens = ["access_token", "refresh_token", "expires_in", "user", "user_id"];
            prop_assert!(!(challenged || refused) || tokens.iter().all(|key| told[key].is_null()), "{told}");
            prop_assert!(challenged || refused || told["access_token"].is_string(), "{told}");
            let has_one = fay_is_enrolled != boss_acts;
            prop_assert!(if has_one { !refused } else { !challenged }, "{told}");
            prop_assert_eq!(&told["risk_level"], &told["risk_assessment"]["level"]);
        }
    }
}
