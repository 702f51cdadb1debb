//! Records of any kind but those of a sign-in.

use std::net::IpAddr;

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::OtpHash;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::client::{Client, ClientSecret, SecretDigest};
use gatepass_core::records::client_key::ClientKey;
use gatepass_core::records::factor::{AskFactor, OtpParameters, TotpDevice};
use gatepass_core::records::id::{ClientId, DeviceId, NameError, SecretId, SessionId, TicketId, UserId};
use gatepass_core::records::request_id::RequestId;
use gatepass_core::records::risk::{Assessment, Level, Signal};
use gatepass_core::records::role::Roles;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::signing_key::{KeyRecord, KeyState};
use gatepass_core::records::user::{Gender, Status, User, Username};
use gatepass_core::store::audit::{Event, Kind, Refusal};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub(super) fn id<T: std::fmt::Debug>(
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> impl Strategy<Value = T> {
    "[A-Za-z0-9._~-]{1,64}".prop_map(move |name| parse(&name).unwrap())
}

pub(super) fn time() -> impl Strategy<Value = Time> {
    any::<u64>().prop_map(Time::from_unix)
}

/// A number that a column can hold.
pub(super) fn number() -> impl Strategy<Value = u64> {
    0..=u64::MAX >> 1
}

pub(super) fn scope() -> impl Strategy<Value = Scope> {
    vec("[!#-\\[\\]-~]{1,12}", 0..6).prop_map(|tokens| Scope::parse(&tokens.join(" ")).unwrap())
}

fn text() -> impl Strategy<Value = Option<String>> {
    of(any::<String>())
}

fn ask() -> impl Strategy<Value = Option<AskFactor>> {
    of(select(AskFactor::ALL))
}

fn roles() -> impl Strategy<Value = Roles> {
    (0..8u8).prop_map(|bits| Roles::from_bits(bits).unwrap())
}

pub(super) fn users() -> impl Strategy<Value = User> {
    let username = any::<String>().prop_filter_map("a user name", |text| Username::parse(&text).ok());
    let gender = of(select(&[Gender::Female, Gender::Male][..]));
    let status = select(&[Status::Active, Status::Disabled][..]);
    (
        (id(UserId::parse), username, text(), text(), text(), gender, text(), status),
        (any::<bool>(), of(time()), ask(), roles(), time(), time(), number(), number()),
    )
        .prop_map(|((id, username, email, phone, name, gender, address, status), rest)| User {
            id,
            username,
            email,
            phone,
            name,
            gender,
            address,
            status,
            must_change_password: rest.0,
            password_changed_at: rest.1,
            second_factor: rest.2,
            roles: rest.3,
            created_at: rest.4,
            updated_at: rest.5,
            epoch: rest.6,
            revision: rest.7,
        })
}

const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

pub(super) fn clients() -> impl Strategy<Value = Client> {
    let keys = select(&[KEYS, r#"{"keys":[]}"#][..]);
    let keys = keys.prop_map(|keys| ClientKey::read_set(keys.as_bytes()).unwrap());
    (
        (id(ClientId::parse), text(), scope(), scope(), vec(any::<String>(), 0..4), any::<bool>()),
        (of(any::<u32>()), of(any::<u32>()), ask(), any::<bool>(), roles()),
        (of(select(Algorithm::ALL)), time(), keys, number(), number()),
    )
        .prop_map(|((id, name, scope, default_scope, audiences, enabled), rules, rest)| Client {
            id,
            name,
            scope,
            default_scope,
            audiences,
            enabled,
            token_lifetime: rules.0,
            user_token_lifetime: rules.1,
            second_factor: rules.2,
            trusted_context: rules.3,
            roles: rules.4,
            signing_algorithm: rest.0,
            created_at: rest.1,
            secrets: Vec::new(),
            keys: rest.2,
            revision: rest.3,
            epoch: rest.4,
        })
}

pub(super) fn secrets() -> impl Strategy<Value = ClientSecret> {
    (id(SecretId::parse), any::<[u8; 32]>(), time(), of(time()), of(time())).prop_map(
        |(id, digest, created_at, expires_at, last_used_at)| ClientSecret {
            id,
            digest: SecretDigest(digest),
            created_at,
            expires_at,
            last_used_at,
        },
    )
}

pub(super) fn keys() -> impl Strategy<Value = KeyRecord> {
    let state = select(KeyState::ALL);
    (any::<String>(), select(Algorithm::ALL), state, time(), any::<bool>(), of(time())).prop_map(
        |(id, algorithm, state, created_at, beside, retire_from)| KeyRecord {
            id,
            algorithm,
            state,
            created_at,
            beside,
            retire_from,
        },
    )
}

pub(super) fn devices() -> impl Strategy<Value = TotpDevice> {
    let hash = select(&[OtpHash::Sha1, OtpHash::Sha256, OtpHash::Sha512][..]);
    (
        (id(DeviceId::parse), id(UserId::parse), text(), hash, any::<u8>(), vec(any::<u8>(), 0..64)),
        (time(), of(time()), of(id(SessionId::parse)), any::<bool>(), number()),
    )
        .prop_map(|((id, user_id, name, hash, digits, secret), rest)| TotpDevice {
            id,
            user_id,
            name,
            parameters: OtpParameters { hash, digits },
            secret: SecretBytes::new(secret),
            created_at: rest.0,
            verified_at: rest.1,
            verified_by: rest.2,
            vouched_for: rest.3,
            last_step: rest.4,
        })
}

fn assessments() -> impl Strategy<Value = Assessment> {
    let signals = vec((select(Signal::ALL), any::<u8>()), 0..4);
    (signals, any::<u8>(), select(Level::ALL)).prop_map(|(signals, score, level)| Assessment {
        signals,
        score,
        level,
    })
}

fn requests() -> impl Strategy<Value = Option<RequestId>> {
    of("[A-Za-z0-9._-]{1,64}".prop_map(|text| RequestId::parse(&text).unwrap()))
}

pub(super) fn events() -> impl Strategy<Value = Event> {
    let user = || of(id(UserId::parse));
    let client = || of(id(ClientId::parse));
    let address = || of(any::<IpAddr>());
    (
        (time(), select(Kind::ALL), user(), user(), client(), of(id(TicketId::parse))),
        (of(id(SessionId::parse)), text(), address(), of(select(Refusal::ALL)), text(), of(assessments())),
        (any::<u32>(), client(), user(), requests(), requests(), text()),
        (client(), address(), user(), client(), of(roles())),
    )
        .prop_map(|(first, second, third, fourth)| Event {
            at: first.0,
            kind: first.1,
            subject: first.2,
            actor: first.3,
            client: first.4,
            ticket: first.5,
            session: second.0,
            key: second.1,
            address: second.2,
            refusal: second.3,
            reason: second.4,
            risk: second.5,
            count: third.0,
            issuer: third.1,
            issuer_user: third.2,
            request: third.3,
            sent_request: third.4,
            operator: third.5,
            stated_by: fourth.0,
            peer: fourth.1,
            by_user: fourth.2,
            by_client: fourth.3,
            roles: fourth.4,
        })
}
