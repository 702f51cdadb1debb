//! The fuzz targets: one function a parser. None may panic, and each checks what its parser promises of accepted input.
//! They run under cargo-fuzz, and over the committed corpora as an ordinary test.
#![allow(dead_code, reason = "each target uses one of them")]

use gatepass::store::prelude::*;
use gatepass_core::base::form::Form;
use gatepass_core::base::idempotency_key::IdempotencyKey;
use gatepass_core::http::authorization::Authorization;
use gatepass_core::http::language::Language;
use gatepass_core::http::request::Request;

/// A fuzz target: handles any bytes.
pub(crate) type Target = fn(&[u8]);

/// Every target by its name.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("form", form),
    ("credentials", credentials),
    ("json", json),
    ("scope", scope),
    ("language", language),
    ("media", media),
    ("jws", jws),
    ("jwk", jwk),
    ("claims", claims),
    ("config", config),
    ("records", records),
    ("rows", rows),
    ("files", files),
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

/// Returns what was read, or `None`. Checks that an error prints a message.
fn read<T, E: core::fmt::Display>(result: Result<T, E>) -> Option<T> {
    result.map_err(|error| assert!(!error.to_string().is_empty())).ok()
}

pub(crate) fn form(data: &[u8]) {
    if let Ok(form) = Form::parse(data) {
        assert!(form.get("grant_type").is_none_or(|value| !value.is_empty() && !value.contains('\0')));
    }
}

pub(crate) fn credentials(data: &[u8]) {
    let header = |name: &str, value: &[u8]| request("/", vec![(name.into(), value.to_vec())], b"");
    if let Ok(Authorization::Basic(basic)) = Authorization::of(&header("authorization", data)) {
        assert!((1..=2).contains(&basic.readings.len()));
    }
    let key = |value: &[u8]| IdempotencyKey::of(&header("idempotency-key", value));
    if let Ok(Some(read)) = key(data) {
        let bare = data.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(data);
        let quoted = [b"\"", bare, b"\""].concat();
        assert!((22..=128).contains(&bare.len()) && bare.iter().all(u8::is_ascii_graphic));
        for spelling in [bare, &quoted] {
            assert_eq!(key(spelling), Ok(Some(read.clone())), "one key has two spellings");
        }
    }
}

pub(crate) fn json(data: &[u8]) {
    use gatepass_core::base::json::parse_object;
    if let Ok(object) = parse_object(data) {
        let text = serde_json::to_vec(&object).expect("a value has a text");
        assert_eq!(parse_object(&text).expect("what was read is read again"), object);
    }
}

pub(crate) fn scope(data: &[u8]) {
    use gatepass_core::records::scope::Scope;
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
        gatepass_core::http::media::is_media_type(text, "application/json");
    }
}

pub(crate) fn jws(data: &[u8]) {
    use gatepass_core::jose::claims::UnverifiedToken;
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Some(token) = read(UnverifiedToken::parse(text)) {
        let _ = token.names();
    }
}

pub(crate) fn jwk(data: &[u8]) {
    use gatepass_core::crypto::algorithm::Algorithm;
    use gatepass_core::jose::import::import;
    use gatepass_core::jose::jwk::Jwk;
    use gatepass_core::jose::key::{SigningKey, VerifyingKey};
    for algorithm in [None, Some(Algorithm::Hs256), Some(Algorithm::Ps384)] {
        read(import(data, algorithm));
        read(VerifyingKey::from_jwk(data, algorithm));
    }
    read(Jwk::parse_set(data));
    if let Some(key) = read(SigningKey::from_jwk(data, None)) {
        let again = SigningKey::from_jwk(&key.to_private_jwk(), None).expect("what was written is read");
        assert_eq!(again.key_id(), key.key_id());
    }
}

/// Reads any claims, signed by one of our own keys.
pub(crate) fn claims(data: &[u8]) {
    use gatepass_core::base::time::Time;
    use gatepass_core::engine::{Engine, Keys};
    use gatepass_core::jose::key::SigningKey;
    use gatepass_core::settings::{Issuer, Settings};

    let issuer = "https://gate.example";
    let key = || SigningKey::from_jwk(ED25519, None).expect("the key of RFC 8037");
    let Ok(token) = key().sign("at+jwt", data) else { return };
    let settings = Settings::new(Issuer::parse(issuer).expect("an issuer"));
    let engine = Engine::new(settings, Keys::new(1, Some(key()), vec![]));
    let now = Time::from_unix(1_750_000_000);
    if let Some(claims) = read(engine.verify(&token, now)) {
        assert!(claims.iss == issuer && claims.aud.iter().any(|aud| aud == issuer));
        assert!(claims.exp > now && !claims.sub.is_empty() && !claims.jti.is_empty());
        assert_eq!(
            engine.verify(&key().sign("at+jwt", &claims.to_json()).expect("a token"), now),
            Ok(claims)
        );
    }
}

/// The key of RFC 8037 appendix A.1.
const ED25519: &[u8] = br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// Reads a configuration file and, chosen by the first byte, the value of one key.
pub(crate) fn config(data: &[u8]) {
    use gatepass::config::{ConfigLayer, KEYS, Source};
    let Some((key, text)) = data.split_first() else { return };
    let Ok(text) = core::str::from_utf8(text) else { return };
    if let Ok(layer) = ConfigLayer::from_toml(text) {
        let config = layer.resolve().expect("what was read can be used");
        let _ = config.contradictions();
        assert_eq!(config.changes(&config).count(), 0);
    }
    let mut given = ConfigLayer::default();
    let key = KEYS[usize::from(*key) % KEYS.len()].name;
    let taken = given.set(key, text, Source::Flag).expect("there is such a key");
    let config = given.resolve().expect("what was taken can be used");
    let set = config.settings.iter().filter(|setting| setting.source == Source::Flag).count();
    assert_eq!(set, usize::from(taken.is_ok()), "{key} is refused and taken");
}

/// Reads texts that the store keeps in its own form. What is read is written back unchanged.
pub(crate) fn records(data: &[u8]) {
    use gatepass_core::records::password::PasswordHash;
    use gatepass_core::records::risk::Assessment;
    use gatepass_core::records::sign_in_history::Network;
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Some(network) = Network::parse(text) {
        assert_eq!(network.to_string(), text);
    }
    if let Some(assessment) = Assessment::parse(text) {
        assert_eq!(Assessment::parse(&assessment.to_string()), Some(assessment));
    }
    if let Ok(hash) = PasswordHash::parse(text) {
        assert_eq!(hash.as_str(), text);
    }
    if let Ok(hash) = PasswordHash::import(text) {
        assert_eq!(PasswordHash::parse(hash.as_str()), PasswordHash::import(hash.as_str()));
    }
}

/// Reads the files that are read before SQLite opens any. The first two bytes say where the page ends and the log begins.
pub(crate) fn files(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let at = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    gatepass::store::read_any_files(&rest[..at], &rest[at..]);
}

/// Reads a row of any table with anything in its columns. It decodes, or is reported as unreadable.
pub(crate) fn rows(data: &[u8]) {
    use arbitrary::{Arbitrary, Unstructured};
    use gatepass::store::{Access, Create, Installation, Store, StoreOptions};
    use gatepass_core::records::challenge::ChallengeDigest;
    use gatepass_core::records::id::{ClientId, SessionId, UserId};
    use gatepass_core::records::session::RefreshDigest;
    use gatepass_core::records::ticket::TicketDigest;
    use gatepass_core::store::Store as _;
    use gatepass_core::store::query::{BearerQuery, Identity, PersonQuery, Query, TokenQuery};
    use rusqlite::types::Value;

    thread_local! {
        static PLACE: (tempfile::TempDir, Store, rusqlite::Connection) = {
            let dir = tempfile::tempdir().expect("a directory");
            let (installation, options) = (Installation::at(dir.path()), StoreOptions::default());
            let store = Store::open_or_create(&installation, Access::Write, Create::InEmpty, &options);
            let store = store.expect("a store");
            let db = rusqlite::Connection::open(dir.path().join(gatepass::store::DATABASE)).expect("its file");
            db.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
                .expect("a pragma");
            (dir, store, db)
        };
    }
    const TABLES: &[&str] = &[
        "users",
        "clients",
        "client_secrets",
        "tickets",
        "sessions",
        "refresh_tokens",
        "totp_devices",
        "backup_codes",
        "factor_guesses",
        "challenges",
        "passwords",
        "habits",
        "audit",
    ];
    /// Texts that some columns accept.
    const TEXTS: &[&str] = &[
        "a",
        "svc",
        "usr_a",
        "ses_1",
        "tid_1",
        "dev_1",
        "active",
        "profile email",
        "[]",
        "[\"x\"]",
        "192.0.2.0/24",
        "192.0.2.1",
        "ticket.issued",
        "40 medium new_device=40",
        "risk",
        "SHA1",
        "[0,0,0,0,0,0,0,0,0,7,0,0,0,0,0,0,0,0,0,0,0,0,0,4294967295]",
        "[[\"0707070707070707070707070707070707070707070707070707070707070707\",\"192.0.2.0/24\",1750000000]]",
        "[1750000000,1]",
        "anything",
        "female",
        "",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    ];
    const DIGEST: [u8; 32] = [7; 32];

    fn value(input: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
        Ok(match input.int_in_range(0..=7)? {
            0 => Value::Null,
            1 => Value::Integer(i64::arbitrary(input)?),
            2 => Value::Integer(i64::from(input.int_in_range(0..=2u8)?)),
            3 | 4 => Value::Text((*input.choose(TEXTS)?).to_owned()),
            5 => Value::Text(String::arbitrary(input)?),
            6 => Value::Blob(DIGEST.to_vec()),
            _ => Value::Blob(Vec::arbitrary(input)?),
        })
    }

    let mut input = Unstructured::new(data);
    PLACE.with(|(_dir, store, db)| {
        for table in TABLES {
            db.execute(&format!("DELETE FROM {table}"), []).expect("a table");
        }
        while let Ok(table) = input.choose(TABLES) {
            let mut columns = vec![];
            let sql = format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'seq'");
            let mut names = db.prepare(&sql).expect("a pragma");
            let mut names = names.query([]).expect("a pragma");
            while let Some(row) = names.next().expect("a row") {
                columns.push(row.get::<_, String>(0).expect("a name"));
            }
            let Ok(values) = columns.iter().map(|_| value(&mut input)).collect::<arbitrary::Result<Vec<_>>>()
            else {
                break;
            };
            let places = vec!["?"; columns.len()].join(",");
            let sql = format!("INSERT OR REPLACE INTO {table} ({}) VALUES ({places})", columns.join(","));
            // A strict table takes no other kind.
            let _ = db.execute(&sql, rusqlite::params_from_iter(values));
            if input.is_empty() {
                break;
            }
        }
        let bearer = BearerQuery {
            client: ClientId::parse("svc").expect("an id"),
            token_id: "a".into(),
            person: Some(PersonQuery {
                user: UserId::parse("usr_a").expect("an id"),
                session: SessionId::parse("ses_1").expect("an id"),
                actor: UserId::parse("usr_a").ok(),
            }),
        };
        for query in [
            Query::Client(bearer.client.clone()),
            Query::Ticket(TicketDigest(DIGEST)),
            Query::Challenge(ChallengeDigest(DIGEST)),
            Query::Login(Identity("a".into())),
            Query::Bearer(bearer.clone()),
            Query::Factors(bearer.clone()),
            Query::Password(bearer.clone()),
            Query::Sessions(bearer.clone()),
            Query::Token(TokenQuery {
                caller: None,
                access: None,
                refresh: Some(RefreshDigest(DIGEST)),
                assertion: None,
            }),
        ] {
            let _ = store.read(&query);
        }
        let _ = (store.users(), store.clients(), store.tickets());
        let _ = store
            .audit(&gatepass::store::AuditFilter::default(), |_| Ok::<_, gatepass::store::StoreError>(()));
        let _ = store.verify_audit();
    });
}

/// A session for the client `svc`, whose secret is `s`, with an unused refresh token of 43 `A`.
fn token_records() -> gatepass_core::store::query::TokenRecords {
    use gatepass_core::base::time::Time;
    use gatepass_core::records::client::{Client, ClientSecret};
    use gatepass_core::records::id::{ClientId, SecretId, SessionId, UserId};
    use gatepass_core::records::scope::Scope;
    use gatepass_core::records::session::{Purpose, RefreshDigest, RefreshToken, Session};
    use gatepass_core::records::user::{User, Username};
    use gatepass_core::store::query::{Family, TokenRecords};

    let (before, after) = (Time::from_unix(1_700_000_000), Time::from_unix(1_800_000_000));
    let id = SessionId::parse("ses_1").expect("an id");
    let svc = ClientId::parse("svc").expect("an id");
    let client = Client {
        secrets: vec![ClientSecret::new(SecretId::parse("sec_1").expect("an id"), "s", before)],
        epoch: 0,
        ..Client::new(svc, Scope::default(), 0, before)
    };
    let (id_of_user, name) = (UserId::parse("usr_a").expect("an id"), Username::parse("a").expect("a name"));
    let user = User { password_changed_at: Some(before), ..User::new(id_of_user, name, before) };
    let family = Family {
        refresh: RefreshToken {
            digest: RefreshDigest::read(&format!("rft_{}", "A".repeat(51))).expect("a token"),
            session_id: id.clone(),
            issued_at: before,
            expires_at: after,
            rotation: None,
            number: 7,
            refreshes: u32::MAX,
            recorded_at: Some(before),
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
            state_epoch: 0,
            client_epoch: Some(0),
            issuer: None,
            signed_in_at: before,
        },
        user: Some(user),
        actor: None,
        client: Some(client.clone()),
        issuer: None,
    };
    TokenRecords { caller: Some(client), family: Some(family), ..TokenRecords::default() }
}

/// A challenge of 43 `A` for the user of [`token_records`], who has a device and the backup code `AAAA-BBBB-CCCC-DDDD`.
fn challenge_records() -> gatepass_core::store::query::ChallengeRecords {
    use gatepass_core::base::secret::SecretBytes;
    use gatepass_core::records::challenge::{Challenge, ChallengeDigest, SignIn};
    use gatepass_core::records::factor::{BackupDigest, Factors, Lockout, OtpParameters, TotpDevice};
    use gatepass_core::records::id::{DeviceId, TicketId};
    use gatepass_core::records::sign_in_history::{DeviceMark, DeviceOnNetwork, Network};
    use gatepass_core::store::query::{ChallengeRecords, Family};

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
            lockout: Lockout::default(),
        },
        history: login_records().history,
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
                place: DeviceOnNetwork {
                    device: DeviceMark::of_user_agent(b""),
                    network: Network::of([192, 0, 2, 1].into()),
                },
                client_epoch: session.client_epoch,
                issuer: session.issuer,
            },
            user_epoch: 0,
            actor_epoch: None,
            expires_at: session.expires_at,
            wrong: 0,
            answered: None,
            state_epoch: 0,
            issued_at: session.auth_time,
        },
        user,
        actor: None,
        client,
        issuer: None,
        delivered: None,
    }
}

/// The user of [`token_records`], whose password is `password`, hashed as cheaply as can be.
fn login_records() -> gatepass_core::store::query::LoginRecords {
    use gatepass_core::records::factor::{Factors, Lockout};
    use gatepass_core::records::password::{Password, PasswordHash};
    use gatepass_core::records::sign_in_history::SignInHistory;
    use gatepass_core::store::query::LoginRecords;

    let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let hash = PasswordHash::parse(hash).expect("a hash");
    LoginRecords {
        user: token_records().family.and_then(|family| family.user).expect("a user"),
        password: Some(Password { hash, lockout: Lockout::default() }),
        factors: Factors::default(),
        history: SignInHistory::default(),
    }
}

/// The records of everyone whom the tokens of [`access_token`] name.
fn bearer_records() -> gatepass_core::store::query::BearerRecords {
    use gatepass_core::records::scope::Scope;
    use gatepass_core::store::query::{BearerRecords, Family};

    let Family { session, user, client, .. } = token_records().family.expect("a session");
    let mut client = client.expect("a client");
    client.scope = Scope::parse("ticket:issue ticket:impersonate profile email").expect("a scope");
    BearerRecords {
        client: Some(client),
        user,
        session: Some(session),
        actor: None,
        revoked: false,
        issuer: None,
    }
}

/// Returns a token of the session of [`token_records`], or of its client; `of` is a word that says which.
fn access_token(of: &str) -> Option<String> {
    use gatepass_core::jose::key::SigningKey;
    let person = r#""sub":"usr_a","sid":"ses_1","auth_time":1700000000,"amr":["ticket"]"#;
    let token_type = if of == "restricted" { "restricted+jwt" } else { "at+jwt" };
    let of = match of {
        "restricted" => format!(r#"{person},"scope":"gatepass:enrol""#),
        "person" => format!(r#"{person},"scope":"profile email""#),
        "issuer" => format!(r#"{person},"scope":"ticket:issue ticket:impersonate""#),
        "acting" => format!(r#"{person},"scope":"profile email","act":{{"sub":"usr_a"}}"#),
        "service" => r#""sub":"svc","scope":"ticket:issue ticket:impersonate""#.to_owned(),
        _ => return None,
    };
    let claims = format!(
        r#"{{"iss":"https://gate.example","aud":"https://gate.example","exp":1750000900,"iat":1750000000,"jti":"x","client_id":"svc",{of}}}"#
    );
    let key = SigningKey::from_jwk(ED25519, None).expect("the key of RFC 8037");
    Some(key.sign(token_type, claims.as_bytes()).expect("a token"))
}

/// A ticket of 43 `A` for the user of [`token_records`].
fn ticket_records() -> gatepass_core::store::query::TicketRecords {
    use gatepass_core::records::factor::Factors;
    use gatepass_core::records::id::TicketId;
    use gatepass_core::records::sign_in_history::SignInHistory;
    use gatepass_core::records::ticket::{Ticket, TicketDigest, TicketState};
    use gatepass_core::store::query::{Family, TicketRecords};

    let Family { session, user, client, .. } = token_records().family.expect("a session");
    TicketRecords {
        ticket: Ticket {
            id: TicketId::parse("tid_1").expect("an id"),
            digest: TicketDigest::of(&format!("tkt_{}", "A".repeat(43))).expect("a ticket"),
            user_id: session.user_id,
            client_id: session.client_id,
            issuer: None,
            for_audience: false,
            bind: false,
            scope: session.scope,
            client_ip: None,
            impersonation: None,
            issued_at: session.auth_time,
            expires_at: session.expires_at,
            state: TicketState::Live,
            state_epoch: 0,
            client_epoch: session.client_epoch,
        },
        user,
        actor: None,
        client,
        issuer: None,
        factors: Factors::default(),
        history: SignInHistory::default(),
        delivered: None,
    }
}

/// The key that the words "keyed" and "repeated" bring.
const KEY: &str = "0123456789abcdefghijkl";

/// Returns what the store keeps of a request with [`KEY`] that led to the session of [`token_records`], and that session.
/// `parts` are the parts of the request's digest.
fn delivered(
    parts: &[&[u8]],
) -> (gatepass_core::records::delivery::AnswerDelivery, gatepass_core::records::delivery::DeliveredSession) {
    use gatepass_core::crypto::sha256;
    use gatepass_core::records::delivery::{DeliveredSession, Delivery, OpenedSession, RequestDigest};
    use gatepass_core::records::session::Salt;
    use gatepass_core::store::query::Family;

    let whole: Vec<u8> =
        parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect();
    let Family { session, refresh, .. } = token_records().family.expect("a session");
    let result = OpenedSession { id: session.id.clone(), refresh: Some(refresh.digest) };
    let delivery =
        Delivery { request: RequestDigest(sha256(&whole)), salt: Salt([8; 32]), result, repeated: 0 };
    (delivery, DeliveredSession { session, refresh: Some(refresh) })
}

/// Alters the records that the store returns, word by word.
fn bend(records: &mut gatepass_core::store::query::Records, given: &str) {
    use gatepass_core::base::time::Time;
    use gatepass_core::records::challenge::Answered;
    use gatepass_core::records::client::{Client, ClientRef};
    use gatepass_core::records::delivery::{Delivered, Delivery, TicketResult};
    use gatepass_core::records::factor::{Factors, Lockout};
    use gatepass_core::records::id::ClientId;
    use gatepass_core::records::scope::Scope;
    use gatepass_core::records::session::{
        Actor, Purpose, RefreshDigest, RefreshToken, Rotation, Salt, Session,
    };
    use gatepass_core::records::ticket::{Impersonation, TicketState};
    use gatepass_core::records::user::User;
    use gatepass_core::store::query::{BearerRecords, Named, Records};

    let is = |word: &str| given.split(' ').any(|other| other == word);
    let (long_ago, lately) = (Time::from_unix(1_740_000_000), Time::from_unix(1_749_999_995));
    let boss = |user: &Option<User>| user.clone().filter(|_| is("acting"));
    let of_user = |user: &mut Option<User>| {
        if let Some(user) = user {
            user.must_change_password |= is("must-change");
            if is("disabled") {
                user.disable();
            }
        }
        if is("nobody") {
            *user = None;
        }
    };
    // The client it is for, and the one that issued it: unchanged, or others.
    let of_clients =
        |client: &mut Option<Client>, issuer: &mut Option<Client>, by: &mut Option<ClientRef>| {
            if is("issued") {
                let other = client
                    .clone()
                    .map(|client| Client { id: ClientId::parse("issuer").expect("an id"), ..client });
                *by = other.as_ref().map(Client::reference);
                *issuer = other;
            }
            for client in client.iter_mut().chain(issuer) {
                if is("switched-off") {
                    client.disable();
                }
                if is("anew") {
                    client.epoch = 7;
                }
                if is("narrowed") {
                    client.scope = Scope::default();
                }
            }
        };
    let of_session = |session: &mut Session| {
        session.bind |= is("bound");
        if is("ended") {
            session.ended_at = Some(long_ago);
        }
        if is("acting") {
            session.actor = Some(Actor { id: session.user_id.clone(), epoch: 0 });
        }
        if is("enrolling") {
            session.purpose = Purpose::Enrol;
        } else if is("changing") {
            session.purpose = Purpose::ChangePassword;
        }
    };
    let of_bearer = |bearer: &mut BearerRecords| {
        bearer.actor = boss(&bearer.user);
        bearer.revoked |= is("revoked");
        if let Some(session) = &mut bearer.session {
            of_session(session);
            of_clients(&mut bearer.client, &mut bearer.issuer, &mut session.issuer);
        }
        of_user(&mut bearer.user);
    };
    let of_factors = |factors: &mut Factors| {
        if is("enrolled") {
            *factors = challenge_records().factors;
        }
        for device in &mut factors.devices {
            if is("waiting") {
                (device.verified_at, device.created_at) = (None, lately);
            } else if is("abandoned") {
                device.verified_at = None;
            }
        }
        if is("many") {
            factors.devices = factors.devices.first().map_or(vec![], |device| vec![device.clone(); 8]);
        }
        if is("thrice") {
            factors.lockout = Lockout { wrong: 3, locks: 0, locked_until: None };
        } else if is("guessed") {
            factors.lockout = Lockout { wrong: 9, locks: 0, locked_until: None };
        } else if is("locked") {
            factors.lockout =
                Lockout { wrong: 10, locks: 1, locked_until: Some(Time::from_unix(1_760_000_000)) };
        }
    };
    match records {
        Records::Ticket(Some(records)) => {
            of_factors(&mut records.factors);
            records.ticket.bind |= is("bound");
            records.ticket.for_audience |= is("bound");
            of_clients(&mut records.client, &mut records.issuer, &mut records.ticket.issuer);
            if is("spent") {
                records.ticket.state = TicketState::Spent { at: long_ago, delivery: None };
            } else if is("repeated") {
                let ticket = format!("tkt_{}", "A".repeat(43));
                let parts = ["gatepass delivery", "ticket", &ticket, KEY].map(str::as_bytes);
                let (Delivery { request, salt, result, repeated }, mut session) = delivered(&parts);
                let result = TicketResult::Session(result);
                let delivery = Some(Box::new(Delivery { request, salt, result, repeated }));
                records.ticket.state = TicketState::Spent { at: lately, delivery };
                of_session(&mut session.session);
                records.delivered = Some(Delivered::Session(session));
            }
            if is("expired") {
                records.ticket.expires_at = long_ago;
            }
            if is("elsewhere") {
                records.ticket.client_ip = Some([192, 0, 2, 9].into());
            }
            if is("acting") {
                let actor = records.ticket.user_id.clone();
                records.ticket.impersonation = Some(Impersonation { actor, reason: "a call".into() });
                records.actor = boss(&records.user);
            }
            of_user(&mut records.user);
        }
        Records::Challenge(Some(records)) => {
            of_factors(&mut records.factors);
            if is("spent") {
                records.challenge.answered = Some(Answered { at: long_ago, delivery: None });
            } else if is("repeated") {
                let challenge = format!("chg_{}", "A".repeat(43));
                let parts = ["gatepass delivery", "challenge", &challenge, KEY, "AAAA-BBBB-CCCC-DDDD"];
                let (delivery, mut session) = delivered(&parts.map(str::as_bytes));
                let delivery = Some(Box::new(delivery));
                records.challenge.answered = Some(Answered { at: lately, delivery });
                of_session(&mut session.session);
                records.delivered = Some(session);
            }
            records.challenge.sign_in.bind |= is("bound");
            of_clients(&mut records.client, &mut records.issuer, &mut records.challenge.sign_in.issuer);
            if is("last") {
                records.challenge.wrong = 4;
            }
            if is("expired") {
                records.challenge.expires_at = long_ago;
            }
            of_user(&mut records.user);
        }
        Records::Token(records) => {
            of_bearer(&mut records.bearer);
            if let Some(family) = &mut records.family {
                of_session(&mut family.session);
                of_clients(&mut family.client, &mut family.issuer, &mut family.session.issuer);
                family.actor = boss(&family.user);
                if is("used") || is("reused") {
                    let successor = RefreshDigest([9; 32]);
                    let at = if is("used") { lately } else { long_ago };
                    let unused = RefreshToken { digest: successor, rotation: None, ..family.refresh.clone() };
                    family.refresh.rotation = Some(Rotation { at, salt: Salt([8; 32]), successor });
                    family.successor = Some(unused);
                }
                if is("expired") {
                    family.refresh.expires_at = long_ago;
                }
                of_user(&mut family.user);
            }
        }
        Records::Login(Named::One(records)) => {
            of_factors(&mut records.factors);
            let mut user = Some(records.user.clone());
            of_user(&mut user);
            user.into_iter().for_each(|user| records.user = user);
            if is("nobody") {
                records.password = None;
            }
            let mut factors = Factors::default();
            of_factors(&mut factors);
            records.password.iter_mut().for_each(|password| password.lockout = factors.lockout);
        }
        Records::Bearer(bearer) => of_bearer(bearer),
        Records::Issue(records) => {
            of_bearer(&mut records.bearer);
            let mut user = records.user.one().cloned();
            records.actor = boss(&user).into();
            of_user(&mut user);
            records.user = user.into();
        }
        Records::Sessions(records) => of_bearer(&mut records.bearer),
        Records::Factors(records) => {
            of_bearer(&mut records.bearer);
            of_factors(&mut records.factors);
        }
        Records::Password(records) => {
            of_bearer(&mut records.bearer);
            let mut factors = Factors::default();
            of_factors(&mut factors);
            records.password.iter_mut().for_each(|password| password.lockout = factors.lockout);
            if is("nobody") {
                records.password = None;
            }
        }
        Records::Ticket(None)
        | Records::Challenge(None)
        | Records::Login(_)
        | Records::Unreadable
        | Records::Generation
        | Records::Client(_)
        | Records::User(_)
        | Records::Owners(_)
        | Records::Import(_)
        | Records::Account(_)
        | Records::Session(_)
        | Records::TicketById(_)
        | Records::Keys(_)
        | Records::UserPage(_)
        | Records::ClientPage(_)
        | Records::RoleHolderPage(_)
        | Records::TicketPage(_)
        | Records::SessionPage(_)
        | Records::ByClient(_)
        | Records::Administered(_)
        | Records::Explain(_) => {}
    }
}

/// Sends a whole request to a store that returns wrong records: the first byte says how, the second chooses the path. A
/// first line `given …` names further differences; the next line is the `Authorization` header.
pub(crate) fn handle(data: &[u8]) {
    use gatepass_core::api::step::Step;
    use gatepass_core::base::time::Time;
    use gatepass_core::base::warning::{Warning, Warnings};
    use gatepass_core::crypto::seed::Seed;
    use gatepass_core::engine::{Engine, Keys};
    use gatepass_core::jose::key::SigningKey;
    use gatepass_core::records::factor::AskFactor;
    use gatepass_core::records::request_inputs::RequestInputs;
    use gatepass_core::settings::{Issuer, Settings, Unenrolled};
    use gatepass_core::store::change::Outcome;
    use gatepass_core::store::query::{
        ByClientRecords, FactorsRecords, Found, IssueRecords, Named, PasswordRecords, Query, Records,
        SessionsRecords, TokenRecords,
    };

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
        "/healthz",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ];
    let place = usize::from(*place);
    let (given, body) = match body
        .strip_prefix(b"given ")
        .map(|rest| rest.split_at(rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())))
    {
        Some((given, rest)) => {
            (core::str::from_utf8(given).unwrap_or_default(), rest.get(1..).unwrap_or_default())
        }
        None => ("", body),
    };
    let path = paths[place % paths.len()];
    let content_type: &[u8] =
        if path.starts_with("/oauth2") { b"application/x-www-form-urlencoded" } else { b"application/json" };
    let (authorization, body) = match body.iter().position(|&b| b == b'\n') {
        Some(at) => (&body[..at], &body[at + 1..]),
        None => (&[][..], body),
    };
    let mut headers = vec![("content-type".into(), content_type.to_vec())];
    // A fuzzer cannot sign. These words stand for valid signatures.
    let signed = |text: &[u8], before: &[u8]| {
        let word = core::str::from_utf8(text.strip_prefix(before)?).ok()?;
        Some([before, access_token(word)?.as_bytes()].concat())
    };
    let authorization = signed(authorization, b"Bearer ").unwrap_or_else(|| authorization.to_vec());
    if !authorization.is_empty() {
        headers.push(("authorization".into(), authorization));
    }
    if given.split(' ').any(|word| word == "keyed" || word == "repeated") {
        headers.push(("idempotency-key".into(), KEY.into()));
    }
    let body = signed(body, b"token=").unwrap_or_else(|| body.to_vec());
    let mut request = request(path, headers, &body);
    let open = path.starts_with("/.well") || path.ends_with('z');
    if open {
        request.method = "GET".into();
    } else if path == "/auth/me/password" {
        request.method = "PUT".into();
    } else if path.starts_with("/auth/me") {
        request.method = ["GET", "DELETE"][place / paths.len() % 2].into();
    } else if path.starts_with("/mfa/totp/devices") {
        request.method = if path.ends_with("dev_1") { "DELETE" } else { "GET" }.into();
    }
    let mut settings = Settings::new(Issuer::parse("https://gate.example").expect("an issuer"));
    if given.contains("ask") {
        settings.second_factor.ask = AskFactor::Always;
    }
    if given.contains("refuse") {
        settings.second_factor.unenrolled = Unenrolled::Refuse;
    } else if given.contains("enrol-first") {
        settings.second_factor.unenrolled = Unenrolled::Enrol;
    }
    let key = SigningKey::from_jwk(ED25519, None).expect("the key of RFC 8037");
    let key = Some(key).filter(|_| !given.contains("keyless"));
    let engine = Engine::new(settings, Keys::new(1, key, vec![]));
    let outcomes = [Outcome::Applied, Outcome::Conflict, Outcome::NotApplied, Outcome::Unknown];
    let outcome = outcomes[usize::from(lie / 63) % 4];
    let warnings = Warnings::NONE.with(Warning::WitnessNotWritten);
    let now = Time::from_unix(1_750_000_000);
    let inputs = RequestInputs { now, fraction: 0, seed: Seed::new([7; 32]), warnings, wall: now };
    // Older state was put back since everything was issued.
    let superseded = given.split(' ').any(|word| word == "superseded");
    let mut step = engine.handle(request, inputs);
    let mut applied = false;
    /// A password's hash, a device's secret, a signing key.
    const KEPT: &[&str] = &["$argon2id$v=19$m=256", "GEZDGNBVGY3TQOJQ", "nWGxne_9WmC6hEr0"];
    // An answer may repeat what the request said.
    let sent = String::from_utf8_lossy(data);
    let kept: Vec<&str> = KEPT.iter().copied().filter(|secret| !sent.contains(secret)).collect();
    for steps in 1.. {
        assert!(steps <= Step::MAX, "a flow does not end");
        let shown = format!("{step:?}");
        assert!(!kept.iter().any(|secret| shown.contains(secret)), "what the store keeps is shown");
        step = match step {
            Step::Read(read) => {
                let mut records = match lie % 21 {
                    0 => Records::Unreadable,
                    1 => Records::Generation,
                    2 => Records::Client(bearer_records().client),
                    3 => Records::Ticket(None),
                    4 => Records::Bearer(Box::default()),
                    5 => Records::Issue(Box::default()),
                    6 => {
                        Records::Token(Box::new(TokenRecords { bearer: bearer_records(), ..token_records() }))
                    }
                    7 => Records::Token(Box::default()),
                    8 => Records::Sessions(Box::default()),
                    9 => Records::Challenge(Some(Box::new(challenge_records()))),
                    10 => Records::Challenge(None),
                    11 => Records::Factors(Box::default()),
                    12 => Records::Login(Named::One(Box::new(login_records()))),
                    13 => Records::Login(Named::Nobody),
                    14 => Records::Ticket(Some(Box::new(ticket_records()))),
                    15 => Records::Bearer(Box::new(bearer_records())),
                    16 => Records::Issue(Box::new(IssueRecords {
                        bearer: bearer_records(),
                        user: bearer_records().user.into(),
                        actor: Named::Nobody,
                        audience: bearer_records().client,
                    })),
                    17 => Records::Sessions(Box::new(SessionsRecords {
                        bearer: bearer_records(),
                        sessions: bearer_records().session.into_iter().collect(),
                    })),
                    18 => Records::Factors(Box::new(FactorsRecords {
                        bearer: bearer_records(),
                        factors: challenge_records().factors,
                        history: login_records().history,
                    })),
                    19 => Records::Factors(Box::new(FactorsRecords {
                        bearer: bearer_records(),
                        ..FactorsRecords::default()
                    })),
                    _ => Records::Password(Box::new(PasswordRecords {
                        bearer: bearer_records(),
                        password: login_records().password,
                        history: login_records().history,
                    })),
                };
                bend(&mut records, given);
                if matches!(read.query(), Query::ByClient(_)) {
                    let mut caller = token_records().caller;
                    caller.iter_mut().for_each(|client| client.trusted_context = given.contains("trusted"));
                    records = Records::ByClient(Box::new(ByClientRecords { caller, records }));
                }
                let (generation, state_epoch) = (u64::from(lie / 21 % 3), u64::from(superseded));
                read.resume(&engine, Found { generation, state_epoch, records })
            }
            Step::Commit(commit) => {
                applied |= outcome == Outcome::Applied;
                commit.settle(&engine, outcome)
            }
            Step::Guess(guess) if *lie >= 200 => guess.limit(u64::from(*lie)),
            Step::Guess(guess) => guess.allow(&engine),
            // Only the cheap hash and the one new password are worth the time.
            Step::HashPassword(stretch) if matches!(lie % 21, 12 | 20) => stretch.run(&engine),
            Step::HashPassword(stretch) => stretch.refuse(),
            Step::Task(task) => task.refuse(),
            Step::Reply(response) => {
                assert!(
                    response.status() != 200 || open || matches!(lie % 21, 2 | 6 | 9 | 12 | 14..),
                    "{path} was answered 200"
                );
                let told = String::from_utf8_lossy(response.body());
                let secret =
                    ["rft_", "tkt_", "chg_", "otpauth:", "eyJ"].iter().any(|mark| told.contains(mark));
                // A service's token needs the client's secret alone, and no commit.
                let of_a_service = path == "/oauth2/token" && lie % 21 == 2;
                assert!(!secret || applied || of_a_service, "a secret leaves before its commit");
                let rests_on_nothing_issued = of_a_service || path == "/auth/login";
                assert!(!secret || !superseded || rests_on_nothing_issued, "what was issued before is good");
                assert!(!secret || response.status() == 200, "a secret is in an error");
                assert!(!kept.iter().any(|secret| told.contains(secret)), "what the store keeps is told");
                return;
            }
        };
    }
}

/// Sends the bytes on a connection in pieces (the first byte gives their length), and answers every request.
pub(crate) fn connection(data: &[u8]) {
    use std::time::Duration;

    use gatepass::http::Limits;
    use gatepass::http::connection::{Action, Connection};
    use gatepass_core::http::response::Response;

    let Some((piece, mut bytes)) = data.split_first() else { return };
    let bounds = std::sync::Arc::new(Limits::default());
    let most = bounds.head + bounds.body + 64 * 1024;
    let now = Duration::from_secs(1);
    let local = ([127, 0, 0, 1], 8080).into();
    let mut connection = Connection::new(bounds, [127, 0, 0, 1].into(), local, now);
    let response = Response::new(200, "application/json", b"{}".to_vec());
    for _ in 0..data.len() * 4 + 64 {
        match connection.next_action(now) {
            Action::Wait => {}
            Action::Request(request) => {
                assert!(request.body.len() <= 64 * 1024 && request.headers.len() <= 64);
                assert!(request.target.starts_with('/') || request.target == "*");
                connection.answer(&response, "Thu, 01 Jan 1970 00:00:00 GMT", now);
            }
            Action::Refuse(problem, caller) => {
                let refusal =
                    problem.response(caller.language, gatepass_core::base::time::Time::from_unix(0));
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
        let length = connection.read_capacity().min(usize::from(*piece) + 1).min(bytes.len());
        if length == 0 {
            connection.end();
            bytes = &[];
            continue;
        }
        let taken = connection.receive(&bytes[..length]);
        bytes = &bytes[taken.min(bytes.len())..];
    }
}
