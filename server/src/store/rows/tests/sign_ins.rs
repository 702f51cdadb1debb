//! Records of sign-ins.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gatepass_core::records::challenge::{Answered, Challenge, ChallengeDigest, SignIn};
use gatepass_core::records::client::ClientRef;
use gatepass_core::records::delivery::{Delivery, OpenedSession, RequestDigest, TicketResult};
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::id::{ClientId, SessionId, TicketId, UserId};
use gatepass_core::records::password::{Password, PasswordHash};
use gatepass_core::records::session::{Actor, Purpose, RefreshDigest, RefreshToken, Rotation, Salt, Session};
use gatepass_core::records::sign_in_history::{
    DeviceMark, DeviceOnNetwork, KnownPlace, MAX_FAILURES, Network, PLACES_WITH_LOCKOUTS, SignInHistory,
};
use gatepass_core::records::ticket::{Impersonation, Ticket, TicketDigest, TicketState};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::generators::{id, number, scope, time};

fn bytes() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn issuers() -> impl Strategy<Value = Option<ClientRef>> {
    of((id(ClientId::parse), number()).prop_map(|(id, epoch)| ClientRef { id, epoch }))
}

fn impersonations() -> impl Strategy<Value = Option<Impersonation>> {
    let both = (id(UserId::parse), any::<String>());
    of(both.prop_map(|(actor, reason)| Impersonation { actor, reason }))
}

fn methods() -> impl Strategy<Value = Vec<String>> {
    vec(any::<String>(), 0..4)
}

fn opened() -> impl Strategy<Value = OpenedSession> {
    let refresh = of(bytes().prop_map(RefreshDigest));
    (id(SessionId::parse), refresh).prop_map(|(id, refresh)| OpenedSession { id, refresh })
}

fn deliveries<R: std::fmt::Debug>(
    results: impl Strategy<Value = R>,
) -> impl Strategy<Value = Option<Box<Delivery<R>>>> {
    let delivery = (bytes(), bytes(), results, any::<u32>());
    of(delivery.prop_map(|(request, salt, result, repeated)| {
        let (request, salt) = (RequestDigest(request), Salt(salt));
        Box::new(Delivery { request, salt, result, repeated })
    }))
}

pub(super) fn tickets() -> impl Strategy<Value = Ticket> {
    let challenge = bytes().prop_map(|digest| TicketResult::Challenge(ChallengeDigest(digest)));
    let result = prop_oneof![opened().prop_map(TicketResult::Session), challenge];
    let state = prop_oneof![
        Just(TicketState::Live),
        (time(), deliveries(result)).prop_map(|(at, delivery)| TicketState::Spent { at, delivery }),
        time().prop_map(TicketState::Revoked),
    ];
    (
        (id(TicketId::parse), bytes(), id(UserId::parse), id(ClientId::parse), issuers()),
        (any::<bool>(), any::<bool>(), scope(), of(any::<IpAddr>()), impersonations()),
        (time(), time(), state, number(), of(number())),
    )
        .prop_map(|((id, digest, user_id, client_id, issuer), terms, rest)| Ticket {
            id,
            digest: TicketDigest(digest),
            user_id,
            client_id,
            issuer,
            for_audience: terms.0,
            bind: terms.1,
            scope: terms.2,
            client_ip: terms.3,
            impersonation: terms.4,
            issued_at: rest.0,
            expires_at: rest.1,
            state: rest.2,
            state_epoch: rest.3,
            client_epoch: rest.4,
        })
}

pub(super) fn sessions() -> impl Strategy<Value = Session> {
    let actor = of((id(UserId::parse), number()).prop_map(|(id, epoch)| Actor { id, epoch }));
    (
        (id(SessionId::parse), id(UserId::parse), number(), actor, id(ClientId::parse)),
        (any::<bool>(), any::<bool>(), select(Purpose::ALL), scope(), time(), methods()),
        (time(), of(time()), number(), of(number()), issuers(), time()),
    )
        .prop_map(|((id, user_id, user_epoch, actor, client_id), terms, rest)| Session {
            id,
            user_id,
            user_epoch,
            actor,
            client_id,
            bind: terms.0,
            for_audience: terms.1,
            purpose: terms.2,
            scope: terms.3,
            auth_time: terms.4,
            methods: terms.5,
            expires_at: rest.0,
            ended_at: rest.1,
            state_epoch: rest.2,
            client_epoch: rest.3,
            issuer: rest.4,
            signed_in_at: rest.5,
        })
}

pub(super) fn refresh_tokens() -> impl Strategy<Value = RefreshToken> {
    let rotation = (time(), bytes(), bytes()).prop_map(|(at, salt, successor)| Rotation {
        at,
        salt: Salt(salt),
        successor: RefreshDigest(successor),
    });
    let counts = (number(), any::<u32>(), of(time()));
    (bytes(), id(SessionId::parse), time(), time(), of(rotation), counts).prop_map(
        |(digest, session_id, issued_at, expires_at, rotation, (number, refreshes, recorded_at))| {
            RefreshToken {
                digest: RefreshDigest(digest),
                session_id,
                issued_at,
                expires_at,
                rotation,
                number,
                refreshes,
                recorded_at,
            }
        },
    )
}

fn places() -> impl Strategy<Value = DeviceOnNetwork> {
    (bytes(), any::<IpAddr>()).prop_map(|(device, address)| DeviceOnNetwork {
        device: DeviceMark(device),
        network: Network::of(address),
    })
}

fn sign_ins() -> impl Strategy<Value = SignIn> {
    (
        (id(UserId::parse), impersonations(), id(ClientId::parse), any::<bool>(), any::<bool>(), scope()),
        (methods(), of(id(TicketId::parse)), places(), of(number()), issuers()),
    )
        .prop_map(|((user_id, impersonation, client_id, for_audience, bind, scope), rest)| SignIn {
            user_id,
            impersonation,
            client_id,
            for_audience,
            bind,
            scope,
            methods: rest.0,
            ticket: rest.1,
            place: rest.2,
            client_epoch: rest.3,
            issuer: rest.4,
        })
}

pub(super) fn challenges() -> impl Strategy<Value = Challenge> {
    let answer = (time(), deliveries(opened()));
    let answered = of(answer.prop_map(|(at, delivery)| Answered { at, delivery }));
    let counts = (any::<u32>(), answered, number(), time());
    (bytes(), sign_ins(), number(), of(number()), time(), counts).prop_map(
        |(
            digest,
            sign_in,
            user_epoch,
            actor_epoch,
            expires_at,
            (wrong, answered, state_epoch, issued_at),
        )| {
            Challenge {
                digest: ChallengeDigest(digest),
                sign_in,
                user_epoch,
                actor_epoch,
                expires_at,
                wrong,
                answered,
                state_epoch,
                issued_at,
            }
        },
    )
}

pub(super) fn lockouts() -> impl Strategy<Value = Lockout> {
    (any::<u32>(), any::<u32>(), of(time())).prop_map(|(wrong, locks, locked_until)| Lockout {
        wrong,
        locks,
        locked_until,
    })
}

pub(super) fn passwords() -> impl Strategy<Value = Password> {
    let hash = (any::<[u8; 16]>(), bytes()).prop_map(|(salt, hash)| {
        let [salt, hash] = [STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash)];
        PasswordHash::parse(&format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}")).unwrap()
    });
    (hash, lockouts()).prop_map(|(hash, lockout)| Password { hash, lockout })
}

pub(super) fn histories() -> impl Strategy<Value = SignInHistory> {
    let lockout = || prop_oneof![Just(Lockout::NONE), lockouts()];
    let known = (places(), time(), lockout(), lockout())
        .prop_map(|(place, last_at, password, factors)| KnownPlace { place, last_at, password, factors });
    let places = vec(known, 0..PLACES_WITH_LOCKOUTS * 2).prop_map(|mut places| {
        for known in places.iter_mut().skip(PLACES_WITH_LOCKOUTS) {
            *known = KnownPlace::new(known.place, known.last_at);
        }
        places
    });
    let hours = proptest::array::uniform24(any::<u32>());
    (places, hours, vec(time(), 0..=MAX_FAILURES)).prop_map(|(places, hours, failures)| SignInHistory {
        places,
        hours,
        failures,
    })
}
