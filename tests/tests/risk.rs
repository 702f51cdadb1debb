//! Risk of sign-ins, from the request to the audit table: known devices, requested factors, and restricted sessions.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::api::step::{drive, finish};
use gatepass_core::base::secret::SecretBytes;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::factor::{AskFactor, OtpParameters, TotpDevice};
use gatepass_core::records::id::{ClientId, DeviceId, UserId, UserRef};
use gatepass_core::records::sign_in_history::{DeviceOnNetwork, KnownPlace, SignInHistory};
use gatepass_core::settings::{AddressMismatch, Issuer, Settings, Unenrolled};
use gatepass_core::store::audit::Kind;
use gatepass_tests::fixtures::{self, NOON, inputs, presents, request};
use gatepass_tests::memory::{Memory, Tables};
use proptest::prelude::*;
use serde_json::{Value, json};

fn user(name: &str) -> UserId {
    UserId::parse(&format!("usr_{name}")).expect("an id")
}

fn settings() -> Settings {
    Settings::new(Issuer::parse("http://gate.example").expect("an issuer"))
}

/// The test data, in which `names` have a verified device and are known on their laptop.
fn enrolled(names: &[&str]) -> Tables {
    let mut tables = fixtures::tables();
    tables.devices.extend(names.iter().map(|name| TotpDevice {
        id: DeviceId::parse(&format!("dev_{name}")).expect("an id"),
        user_id: user(name),
        name: None,
        parameters: OtpParameters::DEFAULT,
        secret: SecretBytes::new(b"12345678901234567890".to_vec()),
        created_at: NOON,
        verified_at: Some(NOON),
        verified_by: None,
        vouched_for: false,
        last_step: 0,
    }));
    for name in names {
        let place = DeviceOnNetwork::of("laptop", b"", [192, 0, 2, 1].into()).expect("a place");
        let known = KnownPlace { place, last_at: NOON };
        tables.habits.insert(user(name), SignInHistory { places: vec![known], ..SignInHistory::default() });
    }
    tables
}

/// Returns the code of such a device at noon, by an independent implementation.
fn code() -> String {
    let secret = b"12345678901234567890".to_vec();
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, secret).expect("a secret");
    totp.generate(NOON.unix())
}

fn on(device: &str, mut request: Request) -> Request {
    request.headers.push(("x-device-id".into(), device.into()));
    request
}

/// A server with its store, and fresh randomness for each request.
struct InMemoryServer {
    engine: Engine,
    store: Memory,
    asked: u64,
}

impl InMemoryServer {
    fn new(settings: Settings, tables: Tables) -> Self {
        Self { engine: fixtures::gatepass_with(settings), store: Memory::new(tables), asked: 0 }
    }

    fn ask(&mut self, request: Request) -> Response {
        self.asked += 1;
        drive(&self.engine, &self.store, request, inputs(NOON, self.asked))
    }

    /// Issues a ticket as `asked`.
    fn ticket(&mut self, asked: TicketRequest) -> String {
        self.asked += 1;
        let step = self.engine.issue_by_command(asked, inputs(NOON, self.asked));
        let issued = finish(&self.engine, &self.store, step);
        body(&issued)["ticket"].as_str().expect("a ticket").to_owned()
    }

    /// Signs `name` in by a ticket on `device`, and returns the answer.
    fn signs_in(&mut self, name: &str, device: &str) -> Value {
        let ticket = self.ticket(TicketRequest::new(UserRef::Username(name.into())));
        body(&self.ask(on(device, presents(&ticket))))
    }

    fn acts(&mut self, actor: &str, name: &str, device: &str) -> Value {
        let asked = TicketRequest::new(UserRef::Username(name.into()));
        let asked = asked.impersonated(Some(UserRef::Username(actor.into())), Some("a call"));
        let ticket = self.ticket(asked.expect("an actor and a reason"));
        body(&self.ask(on(device, presents(&ticket))))
    }

    fn answers(&mut self, challenge: &Value, code: &str) -> Value {
        let asked = json!({"challenge_token": challenge["challenge_token"], "code": code});
        body(&self.ask(request("/auth/mfa/verify-challenge", "", &asked)))
    }

    fn places(&self, name: &str) -> usize {
        self.store.with(|tables| tables.habits.get(&user(name)).map_or(0, |history| history.places.len()))
    }

    fn failures(&self, name: &str) -> usize {
        self.store.with(|tables| tables.habits.get(&user(name)).map_or(0, |history| history.failures.len()))
    }
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(response.body()).expect("JSON")
}

fn is_challenged(told: &Value) -> bool {
    assert_eq!(told["challenge_token"].is_string(), told["requires_mfa"] == json!(true), "{told}");
    assert!(told["requires_mfa"] == json!(false) || told["access_token"].is_null(), "{told}");
    told["requires_mfa"] == json!(true)
}

#[test]
fn a_first_device_is_learnt_and_a_new_one_asked_once() {
    let mut server = InMemoryServer::new(settings(), fixtures::tables());
    assert!(!is_challenged(&server.signs_in("fay", "laptop")));
    assert_eq!(server.places("fay"), 1);
    // The first device of a user with a factor has not shown it.
    let mut unknown = enrolled(&["fay"]);
    unknown.habits.clear();
    let mut server = InMemoryServer::new(settings(), unknown);
    let asked = server.signs_in("fay", "laptop");
    assert_eq!((is_challenged(&asked), &asked["mfa_check_reason"]), (true, &json!("new_device")));
    let mut server = InMemoryServer::new(settings(), enrolled(&["fay"]));
    assert!(!is_challenged(&server.signs_in("fay", "laptop")));
    let asked = server.signs_in("fay", "phone");
    assert!(is_challenged(&asked));
    assert_eq!((&asked["mfa_check_reason"], &asked["user"]), (&json!("new_device"), &Value::Null));
    // Asking does not make a device known; the right answer does.
    assert!(is_challenged(&server.signs_in("fay", "phone")));
    assert_eq!(server.places("fay"), 1);
    assert!(!is_challenged(&server.answers(&asked, &code())));
    assert_eq!(server.places("fay"), 2);
    assert!(!is_challenged(&server.signs_in("fay", "phone")));
    // On another network, the same device is a new one.
    let ticket = server.ticket(TicketRequest::new(UserRef::Username("fay".into())));
    let mut elsewhere = on("phone", presents(&ticket));
    elsewhere.peer = [203, 0, 113, 1].into();
    assert_eq!(body(&server.ask(elsewhere))["risk_assessment"]["score"], json!(55));
}

#[test]
fn without_a_device_id_the_user_agent_is_the_device() {
    let mut tables = enrolled(&["fay"]);
    let browser = DeviceOnNetwork::of("", b"Mozilla/5.0 \xff", [192, 0, 2, 1].into()).expect("a place");
    tables.habits.get_mut(&user("fay")).expect("a habit").places[0].place = browser;
    let mut server = InMemoryServer::new(settings(), tables);
    let mut by = |agent: &[u8]| {
        let ticket = server.ticket(TicketRequest::new(UserRef::Username("fay".into())));
        let mut request = presents(&ticket);
        request.headers.push(("user-agent".into(), agent.to_vec()));
        is_challenged(&body(&server.ask(request)))
    };
    assert!(!by(b"Mozilla/5.0 \xff"));
    assert!(!by(b"Mozilla/5.0 \xff"));
    assert!(by(b"curl/8.5"));
}

#[test]
fn an_actor_is_judged_by_their_own_habits_and_learns_nothing_for_the_user() {
    let mut server = InMemoryServer::new(settings(), enrolled(&["boss"]));
    let asked = server.acts("boss", "alice", "laptop");
    assert_eq!((is_challenged(&asked), &asked["mfa_check_reason"]), (true, &json!("impersonation")));
    let told = server.answers(&asked, &code());
    assert!(!is_challenged(&told));
    assert_eq!((server.places("boss"), server.places("alice")), (1, 0));
    let asked = server.acts("boss", "alice", "kiosk");
    assert_eq!(asked["mfa_check_reason"], json!("new_device"));
    assert_eq!(asked["risk_level"], json!("high"));
}

#[test]
fn what_counts_as_a_failure_of_a_person() {
    let mut server = InMemoryServer::new(settings(), enrolled(&["fay"]));
    let asked = || TicketRequest::new(UserRef::Username("fay".into()));
    // A spent, an unknown and a malformed ticket are not her failures.
    let ticket = server.ticket(asked());
    for _ in 0..5 {
        server.ask(on("laptop", presents(&ticket)));
    }
    server.ask(presents("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(server.failures("fay"), 0);
    // A live ticket tried from elsewhere may be stolen.
    for wrong in 1..=3 {
        let mut here_only = asked();
        here_only.client_ip = "198.51.100.1".parse().ok();
        let ticket = server.ticket(here_only);
        assert_eq!(body(&server.ask(presents(&ticket)))["code"], json!(40010));
        assert_eq!(server.failures("fay"), wrong);
    }
    let judged = server.signs_in("fay", "laptop");
    assert_eq!((&judged["risk_assessment"]["score"], &judged["risk_level"]), (&json!(25), &json!("low")));
    let asked = server.signs_in("fay", "phone");
    for wrong in 4..=6 {
        server.answers(&asked, "wrong");
        assert_eq!(server.failures("fay"), wrong);
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
        let mut server = InMemoryServer::new(settings, fixtures::tables());
        let mut asked = TicketRequest::new(UserRef::Username("fay".into()));
        asked.client_ip = "198.51.100.1".parse().ok();
        let ticket = server.ticket(asked);
        let told = body(&server.ask(presents(&ticket)));
        assert_eq!((&told["code"], &told["risk_assessment"]["score"]), (&code, &score));
        assert_eq!(body(&server.ask(presents(&ticket)))["code"], json!(40010));
    }
}

#[test]
fn users_and_clients_have_their_own_rules() {
    let ask = |of_user, of_client, general| {
        let mut rules = settings();
        rules.second_factor.ask = general;
        let mut server = InMemoryServer::new(rules, enrolled(&["fay"]));
        server.store.with(|tables| {
            tables.users.get_mut(&user("fay")).expect("fay").second_factor = of_user;
            let portal = ClientId::parse("portal").expect("an id");
            tables.clients.get_mut(&portal).expect("the portal").second_factor = of_client;
        });
        let mut asked = TicketRequest::new(UserRef::Username("fay".into()));
        asked.audience = ClientId::parse("portal").ok();
        let ticket = server.ticket(asked);
        is_challenged(&body(&server.ask(on("laptop", presents(&ticket)))))
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
    let mut server = InMemoryServer::new(rules, fixtures::tables());
    let ticket = server.ticket(TicketRequest::new(UserRef::Username("fay".into())));
    let refused = server.ask(presents(&ticket));
    assert_eq!((refused.status(), &body(&refused)["code"]), (400, &json!(40045)));
    assert_eq!(body(&server.ask(presents(&ticket)))["code"], json!(40010));
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
    let mut server = InMemoryServer::new(rules, fixtures::tables());
    let told = server.signs_in("fay", "laptop");
    assert_eq!(
        (&told["mfa_check_reason"], &told["required_mfa_methods"]),
        (&json!("policy"), &json!(["totp"]))
    );
    assert_eq!((is_challenged(&told), &told["refresh_token"]), (false, &Value::Null));
    assert_eq!((&told["must_enrol"], &told["user"]), (&json!(true), &Value::Null));
    assert_eq!(server.places("fay"), 0);
    let bearer = format!("Bearer {}", told["access_token"].as_str().expect("a token"));
    let mut ask = |method: &str, path: &str, asked: &Value| {
        let asked = Request { method: method.into(), ..request(path, &bearer, asked) };
        let response = server.ask(asked);
        (response.status(), body(&response))
    };
    for (method, path) in
        [("GET", "/auth/me/sessions"), ("PUT", "/auth/me/password"), ("POST", "/auth/generate-ticket")]
    {
        let (status, told) = ask(method, path, &json!({"old_password": "", "new_password": ""}));
        assert_eq!((status, &told["code"]), (403, &json!(40303)), "{path}");
    }
    assert_eq!(ask("GET", "/userinfo", &json!({})).0, 401);
    let (_, set_up) = ask("POST", "/mfa/totp/setup", &json!({}));
    let secret = set_up["data"]["secret"].as_str().expect("a secret");
    let secret = totp_rs::Secret::Encoded(secret.into()).to_bytes().expect("base32");
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, secret).expect("a secret");
    let code = totp.generate(NOON.unix());
    assert_eq!(ask("POST", "/mfa/totp/verify", &json!({ "code": code })).0, 200);
    assert_eq!(ask("GET", "/mfa/totp/devices", &json!({})).0, 200);
    // From now on she is asked.
    let asked = server.signs_in("fay", "laptop");
    assert!(is_challenged(&asked));
    let next = totp.generate(NOON.unix() + 30);
    assert!(server.answers(&asked, &next)["refresh_token"].is_string());
}

#[test]
fn an_enrolled_person_who_was_not_asked_adds_a_device_by_a_code() {
    let mut server = InMemoryServer::new(settings(), enrolled(&["fay"]));
    let told = server.signs_in("fay", "laptop");
    let bearer = format!("Bearer {}", told["access_token"].as_str().expect("a token"));
    let mut set_up = |asked: Value| body(&server.ask(request("/mfa/totp/setup", &bearer, &asked)));
    assert_eq!(set_up(json!({}))["code"], json!(40302));
    assert_eq!(set_up(json!({"code": "wrong"}))["code"], json!(40031));
    let done = set_up(json!({ "code": code() }));
    assert_eq!((&done["code"], &done["data"]["backup_codes"]), (&json!(0), &Value::Null));
    assert_eq!(set_up(json!({ "code": code() }))["code"], json!(40031), "the code is used");
    let secret = done["data"]["secret"].as_str().expect("a secret");
    let secret = totp_rs::Secret::Encoded(secret.into()).to_bytes().expect("base32");
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, secret).expect("a secret");
    let first = json!({ "code": totp.generate(NOON.unix()) });
    assert_eq!(body(&server.ask(request("/mfa/totp/verify", &bearer, &first)))["code"], json!(0));
}

#[test]
fn every_signal_and_its_weight_is_in_the_audit_table() {
    let mut server = InMemoryServer::new(settings(), enrolled(&["fay"]));
    server.signs_in("fay", "laptop");
    server.signs_in("fay", "phone");
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
        let mut server = InMemoryServer::new(rules, enrolled(if fay_is_enrolled { &["fay"] } else { &["boss"] }));
        server.store.with(|t| t.users.get_mut(&user("fay")).expect("fay").must_change_password = must_change);
        for device in devices {
            let device = device.to_string();
            let told = if boss_acts { server.acts("boss", "fay", &device) } else { server.signs_in("fay", &device) };
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
