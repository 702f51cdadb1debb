//! What each fuzz target does with its bytes: one function a parser. None may panic, and each checks what its parser
//! promises of what it accepts. They run under cargo-fuzz, and over the committed corpora as an ordinary test.
#![allow(dead_code, reason = "each target uses one of them")]

use gatepass_core::wire::credentials::Authorization;
use gatepass_core::wire::form::Form;
use gatepass_core::wire::language::Language;
use gatepass_core::wire::request::Request;

/// What a target does with its bytes.
pub(crate) type Body = fn(&[u8]);

/// Every body by the name of its target.
pub(crate) const ALL: &[(&str, Body)] = &[
    ("form", form),
    ("credentials", credentials),
    ("json", json),
    ("scope", scope),
    ("language", language),
    ("media", media),
    ("jws", jws),
    ("jwk", jwk),
    ("handle", handle),
    ("connection", connection),
];

fn request(target: &str, headers: Vec<(String, Vec<u8>)>, body: &[u8]) -> Request {
    Request {
        method: "POST".into(),
        target: target.into(),
        headers,
        body: body.to_vec(),
        peer: [127, 0, 0, 1].into(),
    }
}

pub(crate) fn form(data: &[u8]) {
    if let Ok(form) = Form::parse(data) {
        assert!(form.get("grant_type").is_none_or(|value| !value.is_empty() && !value.contains('\0')));
    }
}

pub(crate) fn credentials(data: &[u8]) {
    let request = request("/", vec![("authorization".into(), data.to_vec())], b"");
    if let Ok(Authorization::Basic(basic)) = Authorization::of(&request) {
        assert!((1..=2).contains(&basic.readings.len()));
    }
}

pub(crate) fn json(data: &[u8]) {
    use gatepass_core::wire::json::parse_object;
    if let Ok(object) = parse_object(data) {
        let text = serde_json::to_vec(&object).expect("a value has a text");
        assert_eq!(parse_object(&text).expect("what was read is read again"), object);
    }
}

pub(crate) fn scope(data: &[u8]) {
    use gatepass_core::model::scope::Scope;
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(scope) = Scope::parse(text) {
        assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
    }
}

pub(crate) fn language(data: &[u8]) {
    let _ = Language::of(core::str::from_utf8(data).ok());
}

pub(crate) fn media(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data) {
        gatepass_core::wire::media::is_media_type(text, "application/json");
    }
}

pub(crate) fn jws(data: &[u8]) {
    use gatepass_core::jose::claims::UnverifiedClaims;
    use gatepass_core::jose::jws::Compact;
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(jws) = Compact::parse(text) {
        let _ = UnverifiedClaims::parse(&jws);
    }
}

pub(crate) fn jwk(data: &[u8]) {
    use gatepass_core::jose::import::import;
    use gatepass_core::jose::jwk::Jwk;
    use gatepass_core::jose::key::{SigningKey, VerifyingKey};
    let _ = import(data, None);
    let _ = Jwk::parse_set(data);
    let _ = VerifyingKey::from_jwk(data, None);
    if let Ok(key) = SigningKey::from_jwk(data, None) {
        let again = SigningKey::from_jwk(&key.to_private_jwk(), None).expect("what was written is read");
        assert_eq!(again.key_id(), key.key_id());
    }
}

/// A session for the client `svc`, whose secret is `s`, with an unused refresh token of 43 `A`.
fn token_records() -> gatepass_core::model::query::TokenRecords {
    use gatepass_core::model::client::{Client, ClientSecret, SecretDigest};
    use gatepass_core::model::id::{ClientId, SessionId, UserId};
    use gatepass_core::model::query::{BearerRecords, Family, TokenRecords};
    use gatepass_core::model::scope::Scope;
    use gatepass_core::model::session::{Purpose, RefreshDigest, RefreshToken, Session};
    use gatepass_core::model::user::{Status, User, Username};
    use gatepass_core::time::Time;

    let (before, after) = (Time::from_unix(1_700_000_000), Time::from_unix(1_800_000_000));
    let id = SessionId::parse("ses_1").expect("an id");
    let client = Client {
        id: ClientId::parse("svc").expect("an id"),
        name: None,
        scope: Scope::default(),
        default_scope: Scope::default(),
        audiences: vec![],
        enabled: true,
        token_lifetime: None,
        user_token_lifetime: None,
        second_factor: None,
        created_at: before,
        secrets: vec![ClientSecret { digest: SecretDigest::of("s"), created_at: before, expires_at: None }],
        revision: 0,
    };
    let user = User {
        id: UserId::parse("usr_a").expect("an id"),
        username: Username::parse("a").expect("a name"),
        email: None,
        phone: None,
        name: None,
        gender: None,
        address: None,
        status: Status::Active,
        must_change_password: false,
        password_changed_at: Some(before),
        second_factor: None,
        created_at: before,
        updated_at: before,
        epoch: 0,
        revision: 0,
    };
    let family = Family {
        refresh: RefreshToken {
            digest: RefreshDigest::read(&format!("rft_{}", "A".repeat(43))).expect("a token"),
            session_id: id.clone(),
            issued_at: before,
            expires_at: after,
            rotation: None,
        },
        successor: None,
        session: Session {
            id,
            user_id: user.id.clone(),
            user_epoch: 0,
            actor: None,
            client_id: client.id.clone(),
            bind: false,
            for_audience: false,
            purpose: Purpose::Anything,
            scope: Scope::parse("profile email").expect("a scope"),
            auth_time: before,
            methods: vec![],
            expires_at: after,
            ended_at: None,
        },
        user: Some(user),
        actor: None,
        client: Some(client.clone()),
    };
    TokenRecords { caller: Some(client), bearer: BearerRecords::default(), family: Some(family) }
}

/// A challenge of 43 `A` for the user of [`token_records`], who has a device and the backup code `AAAA-BBBB-CCCC-DDDD`.
fn challenge_records() -> gatepass_core::model::query::ChallengeRecords {
    use gatepass_core::model::challenge::{Challenge, ChallengeDigest, SignIn};
    use gatepass_core::model::factor::{BackupDigest, Factors, Guesses, OtpParameters, TotpDevice};
    use gatepass_core::model::habit::{DeviceMark, Network, Place};
    use gatepass_core::model::id::{DeviceId, TicketId};
    use gatepass_core::model::query::{ChallengeRecords, Family};
    use gatepass_core::secret::SecretBytes;

    let Family { session, user, client, .. } = token_records().family.expect("a session");
    let device = TotpDevice {
        id: DeviceId::parse("dev_1").expect("an id"),
        user_id: session.user_id.clone(),
        name: None,
        parameters: OtpParameters::DEFAULT,
        secret: SecretBytes::new(b"12345678901234567890".to_vec()),
        created_at: session.auth_time,
        verified_at: Some(session.auth_time),
        verified_by: None,
        vouched_for: false,
        last_step: 0,
    };
    ChallengeRecords {
        factors: Factors {
            devices: vec![device],
            backup_codes: vec![BackupDigest::of(&session.user_id, "AAAA-BBBB-CCCC-DDDD")],
            guesses: Guesses::default(),
        },
        challenge: Challenge {
            digest: ChallengeDigest::read(&format!("chg_{}", "A".repeat(43))).expect("a challenge"),
            sign_in: SignIn {
                user_id: session.user_id,
                impersonation: None,
                client_id: session.client_id,
                for_audience: false,
                bind: false,
                scope: session.scope,
                methods: vec!["ticket".into()],
                ticket: TicketId::parse("tid_1").ok(),
                place: Place {
                    device: DeviceMark::of_user_agent(b""),
                    network: Network::of([192, 0, 2, 1].into()),
                },
            },
            user_epoch: 0,
            actor_epoch: None,
            expires_at: session.expires_at,
            wrong: 0,
            answered: false,
        },
        user,
        actor: None,
        client,
    }
}

/// The user of [`token_records`], whose password is `password`, hashed as cheaply as can be.
fn login_records() -> gatepass_core::model::query::LoginRecords {
    use gatepass_core::model::factor::{Factors, Guesses};
    use gatepass_core::model::habit::Habit;
    use gatepass_core::model::password::{Password, PasswordHash};
    use gatepass_core::model::query::LoginRecords;

    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let hash = PasswordHash::parse(hash).expect("a hash");
    LoginRecords {
        user: token_records().family.and_then(|family| family.user).expect("a user"),
        password: Some(Password { hash, guesses: Guesses::default() }),
        factors: Factors::default(),
        habit: Habit::default(),
    }
}

/// A whole request against a store that lies: the first byte says how, the second where to.
pub(crate) fn handle(data: &[u8]) {
    use gatepass_core::gatepass::{Gatepass, Keys};
    use gatepass_core::jose::key::SigningKey;
    use gatepass_core::model::change::Outcome;
    use gatepass_core::model::query::{Found, Records};
    use gatepass_core::moment::{Moment, Seed};
    use gatepass_core::settings::{Issuer, Settings};
    use gatepass_core::step::Step;
    use gatepass_core::time::Time;

    let [lie, place, body @ ..] = data else { return };
    let paths = [
        "/auth/ticket/signin",
        "/auth/generate-ticket",
        "/oauth2/token",
        "/userinfo",
        "/.well-known/jwks.json",
        "/readyz",
        "/auth/refresh",
        "/auth/me/sessions",
        "/auth/me/sessions/ses_1",
        "/oauth2/introspect",
        "/oauth2/revoke",
        "/auth/mfa/verify-challenge",
        "/mfa/totp/setup",
        "/mfa/totp/verify",
        "/mfa/totp/devices",
        "/mfa/totp/devices/dev_1",
        "/auth/login",
        "/auth/me/password",
    ];
    let place = usize::from(*place);
    let path = paths[place % paths.len()];
    let content_type: &[u8] =
        if path.starts_with("/oauth2") { b"application/x-www-form-urlencoded" } else { b"application/json" };
    let (authorization, body) = match body.iter().position(|&b| b == b'\n') {
        Some(at) => (&body[..at], &body[at + 1..]),
        None => (&[][..], body),
    };
    let mut headers = vec![("content-type".into(), content_type.to_vec())];
    if !authorization.is_empty() {
        headers.push(("authorization".into(), authorization.to_vec()));
    }
    let mut request = request(path, headers, body);
    if path.starts_with("/.well") || path == "/readyz" {
        request.method = "GET".into();
    } else if path == "/auth/me/password" {
        request.method = "PUT".into();
    } else if path.starts_with("/auth/me") {
        request.method = ["GET", "DELETE"][place / paths.len() % 2].into();
    } else if path.starts_with("/mfa/totp/devices") {
        request.method = if path.ends_with("dev_1") { "DELETE" } else { "GET" }.into();
    }
    let settings = Settings::new(Issuer::parse("https://gate.example").expect("an issuer"));
    let jwk = br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = SigningKey::from_jwk(jwk, None).expect("the key of RFC 8037");
    let gatepass = Gatepass::new(settings, Keys::new(1, Some(key), vec![]));
    let outcomes = [Outcome::Applied, Outcome::Conflict, Outcome::NotApplied, Outcome::Unknown];
    let outcome = outcomes[usize::from(lie / 42) % 4];
    let moment = Moment { now: Time::from_unix(1_750_000_000), seed: Seed::new([7; 32]) };
    let mut step = gatepass.handle(request, moment);
    for steps in 1.. {
        assert!(steps <= Step::MAX, "a flow does not end");
        step = match step {
            Step::Read(read) => {
                let records = match lie % 14 {
                    0 => Records::Unreadable,
                    1 => Records::Generation,
                    2 => Records::Client(None),
                    3 => Records::Ticket(None),
                    4 => Records::Bearer(Box::default()),
                    5 => Records::Issue(Box::default()),
                    6 => Records::Token(Box::new(token_records())),
                    7 => Records::Token(Box::default()),
                    8 => Records::Sessions(Box::default()),
                    9 => Records::Challenge(Some(Box::new(challenge_records()))),
                    10 => Records::Challenge(None),
                    11 => Records::Factors(Box::default()),
                    12 => Records::Login(Some(Box::new(login_records()))),
                    _ => Records::Login(None),
                };
                read.resume(&gatepass, Found { generation: u64::from(lie / 14 % 3), records })
            }
            Step::Commit(commit) => commit.settle(&gatepass, outcome),
            // Only the cheap hash is worth the time.
            Step::Stretch(stretch) if lie % 14 == 12 => stretch.run(&gatepass),
            Step::Stretch(stretch) => stretch.refuse(),
            Step::Reply(response) => {
                let open = path.starts_with("/.well") || path == "/readyz";
                assert!(
                    response.status() != 200 || open || matches!(lie % 14, 6 | 9 | 12),
                    "{path} was answered 200"
                );
                let told = String::from_utf8_lossy(response.body());
                assert!(outcome == Outcome::Applied || !told.contains("rft_"), "a token leaves too early");
                assert!(!told.contains("chg_") && !told.contains("otpauth:"), "a secret leaves");
                return;
            }
        };
    }
}

/// A connection that is sent the bytes in pieces (the first byte says how long) and answers every request.
pub(crate) fn connection(data: &[u8]) {
    use std::time::Duration;

    use gatepass::front::Bounds;
    use gatepass::front::connection::{Connection, Turn};
    use gatepass_core::wire::response::Response;

    let Some((piece, mut bytes)) = data.split_first() else { return };
    let bounds = std::sync::Arc::new(Bounds::default());
    let most = bounds.head + bounds.body + 64 * 1024;
    let now = Duration::from_secs(1);
    let local = ([127, 0, 0, 1], 8080).into();
    let mut connection = Connection::new(bounds, [127, 0, 0, 1].into(), local, now);
    let response = Response::new(200, "application/json", b"{}".to_vec());
    for _ in 0..data.len() * 4 + 64 {
        match connection.turn(now) {
            Turn::Wait => {}
            Turn::Request(request) => {
                assert!(request.body.len() <= 64 * 1024 && request.headers.len() <= 64);
                assert!(request.target.starts_with('/') || request.target == "*");
                connection.answer(&response, "Thu, 01 Jan 1970 00:00:00 GMT", now);
            }
            Turn::Refuse(problem, language) => {
                let refusal = problem.response(language, gatepass_core::time::Time::from_unix(0));
                connection.answer(&refusal, "Thu, 01 Jan 1970 00:00:00 GMT", now);
            }
        }
        assert!(connection.held() <= most, "{} bytes are held", connection.held());
        let output = connection.output().len();
        if output > 0 {
            connection.sent(output, now);
            continue;
        }
        if connection.is_closed() {
            return;
        }
        let length = connection.appetite().min(usize::from(*piece) + 1).min(bytes.len());
        if length == 0 {
            connection.end();
            bytes = &[];
            continue;
        }
        let taken = connection.receive(&bytes[..length]);
        bytes = &bytes[taken.min(bytes.len())..];
    }
}
