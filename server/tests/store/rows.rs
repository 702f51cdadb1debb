//! Records come back as they were written, whatever they contain.

use std::net::IpAddr;

use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::challenge::ChallengeDigest;
use gatepass_core::records::client::{Client, ClientRef, ClientSecret, SecretDigest};
use gatepass_core::records::client_key::ClientKey;
use gatepass_core::records::delivery::{OpenedSession, RequestDigest, TicketDelivery, TicketResult};
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::{ClientId, SecretId, SessionId, TicketId, UserId};
use gatepass_core::records::role::Roles;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::session::{Actor, Purpose, RefreshDigest, Salt, Session};
use gatepass_core::records::ticket::{Impersonation, Ticket, TicketDigest, TicketState};
use gatepass_core::records::user::{Gender, Status, User, Username};
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{BearerQuery, PersonQuery, Query, Records};
use proptest::option::of;
use proptest::prelude::*;

use crate::engines::{Engine, on_every_engine};
use crate::fixture::*;

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._~-]{1,64}"
}

fn time() -> impl Strategy<Value = Time> {
    any::<u64>().prop_map(Time::from_unix)
}

fn number() -> impl Strategy<Value = u64> {
    0..=u64::MAX >> 1
}

fn issuers() -> impl Strategy<Value = Option<ClientRef>> {
    let id = |id: String| ClientId::parse(&id).unwrap();
    of((name(), number()).prop_map(move |(name, epoch)| ClientRef { id: id(name), epoch }))
}

fn scope() -> impl Strategy<Value = Scope> {
    proptest::collection::vec("[!#-\\[\\]-~]{1,12}", 0..6).prop_map(|t| Scope::parse(&t.join(" ")).unwrap())
}

fn ask() -> impl Strategy<Value = AskFactor> {
    proptest::sample::select(AskFactor::ALL)
}

fn users() -> impl Strategy<Value = User> {
    let text = || of(any::<String>().prop_filter("empty is none", |t| !t.is_empty()));
    let username = any::<String>().prop_filter_map("a user name", |t| Username::parse(&t).ok());
    let gender = of(prop_oneof![Just(Gender::Female), Just(Gender::Male)]);
    let status = prop_oneof![Just(Status::Active), Just(Status::Disabled)];
    (
        (name(), username, text(), text(), text(), gender),
        (text(), status, any::<bool>(), time(), time(), number(), number(), of(time()), of(ask()), 0..8u8),
    )
        .prop_map(|((id, username, email, phone, name, gender), rest)| User {
            id: UserId::parse(&id).unwrap(),
            username,
            email,
            phone,
            name,
            gender,
            address: rest.0,
            status: rest.1,
            must_change_password: rest.2,
            created_at: rest.3,
            updated_at: rest.4,
            epoch: rest.5,
            revision: rest.6,
            password_changed_at: rest.7,
            second_factor: rest.8,
            roles: Roles::from_bits(rest.9).unwrap(),
        })
}

const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const NO_KEYS: &str = r#"{"keys":[]}"#;

fn clients() -> impl Strategy<Value = Client> {
    let secret = (name(), any::<[u8; 32]>(), time(), of(time()), of(time()));
    let secret = secret.prop_map(|(id, digest, created_at, expires_at, last_used_at)| ClientSecret {
        id: SecretId::parse(&id).unwrap(),
        digest: SecretDigest(digest),
        created_at,
        expires_at,
        last_used_at,
    });
    (
        (name(), of(any::<String>()), scope(), scope(), proptest::collection::vec(any::<String>(), 0..4)),
        (any::<bool>(), of(any::<u32>()), of(any::<u32>()), time(), number(), of(ask())),
        proptest::collection::vec(secret, 0..=8),
        (number(), any::<bool>(), 0..8u8, of(proptest::sample::select(Algorithm::ALL))),
    )
        .prop_map(
            |(
                (id, name, scope, default_scope, audiences),
                rest,
                secrets,
                (epoch, trusted, roles, algorithm),
            )| Client {
                id: ClientId::parse(&id).unwrap(),
                name,
                scope,
                default_scope,
                audiences,
                enabled: rest.0,
                token_lifetime: rest.1,
                user_token_lifetime: rest.2,
                created_at: rest.3,
                revision: rest.4,
                second_factor: rest.5,
                trusted_context: trusted,
                keys: ClientKey::read_set(if trusted { KEYS } else { NO_KEYS }.as_bytes()).unwrap(),
                roles: Roles::from_bits(roles).unwrap(),
                signing_algorithm: algorithm,
                secrets,
                epoch,
            },
        )
}

fn deliveries() -> impl Strategy<Value = Box<TicketDelivery>> {
    let opened = (name(), of(any::<[u8; 32]>())).prop_map(|(id, refresh)| {
        let id = SessionId::parse(&id).unwrap();
        TicketResult::Session(OpenedSession { id, refresh: refresh.map(RefreshDigest) })
    });
    let challenge = any::<[u8; 32]>().prop_map(|digest| TicketResult::Challenge(ChallengeDigest(digest)));
    let bytes = any::<[u8; 32]>;
    (bytes(), bytes(), prop_oneof![opened, challenge], any::<u32>()).prop_map(
        |(request, salt, result, repeated)| {
            let (request, salt) = (RequestDigest(request), Salt(salt));
            Box::new(TicketDelivery { request, salt, result, repeated })
        },
    )
}

fn tickets() -> impl Strategy<Value = Ticket> {
    let impersonation = (name(), any::<String>())
        .prop_map(|(actor, reason)| Impersonation { actor: UserId::parse(&actor).unwrap(), reason });
    let state = prop_oneof![
        Just(TicketState::Live),
        (time(), of(deliveries())).prop_map(|(at, delivery)| TicketState::Spent { at, delivery }),
        time().prop_map(TicketState::Revoked),
    ];
    (
        (name(), any::<[u8; 32]>(), name(), issuers(), any::<bool>(), any::<bool>()),
        (scope(), of(any::<IpAddr>()), of(impersonation), time(), time(), state, number(), of(number())),
    )
        .prop_map(|((id, digest, client, issuer, for_audience, bind), rest)| Ticket {
            id: TicketId::parse(&id).unwrap(),
            digest: TicketDigest(digest),
            user_id: alice(),
            client_id: ClientId::parse(&client).unwrap(),
            issuer,
            for_audience,
            bind,
            scope: rest.0,
            client_ip: rest.1,
            impersonation: rest.2,
            issued_at: rest.3,
            expires_at: rest.4,
            state: rest.5,
            state_epoch: rest.6,
            client_epoch: rest.7,
        })
}

fn sessions() -> impl Strategy<Value = Session> {
    (
        (name(), number(), of((name(), number())), name(), any::<bool>(), any::<bool>()),
        (scope(), time(), time(), of(time()), proptest::sample::select(Purpose::ALL), number(), time()),
        (of(number()), issuers()),
    )
        .prop_map(|((id, user_epoch, actor, client, bind, for_audience), rest, clients)| Session {
            id: SessionId::parse(&id).unwrap(),
            user_id: alice(),
            user_epoch,
            actor: actor.map(|(id, epoch)| Actor { id: UserId::parse(&id).unwrap(), epoch }),
            client_id: ClientId::parse(&client).unwrap(),
            bind,
            for_audience,
            purpose: rest.4,
            scope: rest.0,
            auth_time: rest.1,
            methods: vec!["ticket".into(), "otp".into()],
            expires_at: rest.2,
            ended_at: rest.3,
            state_epoch: rest.5,
            client_epoch: clients.0,
            issuer: clients.1,
            signed_in_at: rest.6,
        })
}

on_every_engine!(what_went_in_comes_out);

fn what_went_in_comes_out<E: Engine>() {
    let fixture = E::with_records();
    let store = fixture.open();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(users(), clients(), tickets(), sessions()), |(user, client, ticket, session)| {
            let insert = [
                Change::InsertUser(user.clone()),
                Change::InsertClient(client.clone()),
                Change::InsertTicket(ticket.clone()),
                begin_session(session.clone(), 1),
            ];
            prop_assert_eq!(commit(&store, insert), Outcome::Applied);
            prop_assert_eq!(user_called(&store, &(&user.id).into()), Some(user.clone()));
            let username = gatepass_core::records::id::UserRef::Username(user.username.as_str().into());
            prop_assert_eq!(user_called(&store, &username), Some(user.clone()));
            let Records::Client(found) = store.read(&Query::Client(client.id.clone())).records else {
                panic!()
            };
            prop_assert_eq!(found.as_ref(), Some(&client));
            let Records::Ticket(found) = store.read(&Query::Ticket(ticket.digest)).records else { panic!() };
            prop_assert_eq!(&found.unwrap().ticket, &ticket);
            let person = PersonQuery { user: user.id.clone(), session: session.id.clone(), actor: None };
            let query = BearerQuery { client: client.id.clone(), token_id: "j".into(), person: Some(person) };
            let Records::Bearer(found) = store.read(&Query::Bearer(query)).records else { panic!() };
            prop_assert_eq!(found.session.as_ref(), Some(&session));
            prop_assert_eq!(found.user.as_ref(), Some(&user));
            fixture.clear();
            let delete = [Change::DeleteUser(user.id), Change::DeleteClient(client.id)];
            prop_assert_eq!(commit(&store, delete), Outcome::Applied);
            fixture.clear();
            Ok(())
        })
        .unwrap();
}
