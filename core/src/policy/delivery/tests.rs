//! The requests that get an answer again, a row for each case.

use alloc::{boxed::Box, vec};

use super::*;
use crate::base::secret::SecretText;
use crate::policy::ticket_redemption::Redeemer;
use crate::policy::ticket_redemption::tests::{proven, records as live, user};
use crate::records::challenge::{Answered, ChallengeDigest, SignIn};
use crate::records::client::Client;
use crate::records::client::tests::client;
use crate::records::client_credentials::ClientCredentials;
use crate::records::delivery::{Delivery, OpenedSession};
use crate::records::factor::Factors;
use crate::records::id::{ClientId, SessionId, UserId};
use crate::records::scope::Scope;
use crate::records::session::{Actor, RefreshDigest, RefreshToken, Rotation, Salt};
use crate::records::sign_in_history::{DeviceMark, DeviceOnNetwork, Network, SignInHistory};
use crate::records::ticket::Impersonation;
use crate::settings::{AddressMismatch, Issuer, PasswordAge};

const AT: Time = Time::from_unix(1_000);
const HERE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
const KEY: RequestDigest = RequestDigest([7; 32]);
const OTHER: RequestDigest = RequestDigest([8; 32]);

fn settings() -> Settings {
    Settings::new(Issuer::parse("http://gate.example").unwrap())
}

fn opened() -> OpenedSession {
    OpenedSession { id: SessionId::parse("ses_1").unwrap(), refresh: Some(RefreshDigest([1; 32])) }
}

fn delivery<R>(result: R) -> Option<Box<Delivery<R>>> {
    Some(Box::new(Delivery { request: KEY, salt: Salt([0; 32]), result, repeated: 0 }))
}

/// Alice's session for `backend`, opened at [`AT`], whose first refresh token was not used.
fn session() -> DeliveredSession {
    let OpenedSession { id, refresh } = opened();
    let expires_at = Time::from_unix(9_000);
    let refresh = refresh.map(|digest| RefreshToken {
        digest,
        session_id: id.clone(),
        issued_at: AT,
        expires_at: Time::from_unix(8_000),
        rotation: None,
        number: 0,
        refreshes: 0,
        recorded_at: None,
    });
    let session = Session {
        id,
        user_id: UserId::parse("alice").unwrap(),
        user_epoch: 0,
        actor: None,
        client_id: ClientId::parse("backend").unwrap(),
        bind: false,
        for_audience: false,
        purpose: Purpose::Anything,
        scope: Scope::default(),
        auth_time: AT,
        methods: vec![],
        expires_at,
        ended_at: None,
        state_epoch: 3,
        client_epoch: Some(0),
        issuer: live().ticket.issuer,
        signed_in_at: AT,
    };
    DeliveredSession { session, refresh }
}

/// A ticket that was spent at [`AT`] with [`KEY`] on [`session`].
fn spent() -> TicketRecords {
    let mut records = live();
    let delivery = delivery(TicketResult::Session(opened()));
    records.ticket.state = TicketState::Spent { at: AT, delivery };
    records.delivered = Some(Delivered::Session(session()));
    records
}

/// The same on a challenge.
fn challenged() -> TicketRecords {
    let mut records = spent();
    let digest = ChallengeDigest([2; 32]);
    let delivery = delivery(TicketResult::Challenge(digest));
    records.ticket.state = TicketState::Spent { at: AT, delivery };
    records.delivered = Some(Delivered::Challenge(Challenge { answered: None, ..challenge(digest) }));
    records
}

fn challenge(digest: ChallengeDigest) -> Challenge {
    let place = DeviceOnNetwork { device: DeviceMark::of_user_agent(b""), network: Network::of(HERE) };
    Challenge {
        digest,
        sign_in: SignIn::by_ticket(&live().ticket, place),
        user_epoch: 0,
        actor_epoch: None,
        expires_at: AT.plus(300),
        wrong: 0,
        answered: Some(Answered { at: AT, delivery: delivery(opened()) }),
        state_epoch: 3,
        issued_at: AT,
    }
}

/// A challenge that was answered at [`AT`] with [`KEY`] on [`session`].
fn answered() -> ChallengeRecords {
    ChallengeRecords {
        challenge: challenge(ChallengeDigest([2; 32])),
        user: Some(user("alice")),
        actor: None,
        client: Some(client("backend", "", "right")),
        factors: Factors::default(),
        history: SignInHistory::default(),
        issuer: None,
        delivered: Some(session()),
    }
}

fn delivered(records: &mut TicketRecords) -> &mut DeliveredSession {
    match records.delivered.as_mut() {
        Some(Delivered::Session(session)) => session,
        Some(Delivered::Challenge(_)) | None => panic!("a session"),
    }
}

fn open(records: &mut TicketRecords) -> &mut Challenge {
    match records.delivered.as_mut() {
        Some(Delivered::Challenge(challenge)) => challenge,
        Some(Delivered::Session(_)) | None => panic!("a challenge"),
    }
}

/// Has another client than `backend` issue the ticket, which then changed.
fn issued_by_another(records: &mut TicketRecords, change: impl Fn(&mut Client)) {
    let mut issuer = client("issuer", "", "s");
    records.ticket.issuer = Some(issuer.reference());
    match records.delivered.as_mut() {
        Some(Delivered::Session(delivered)) => delivered.session.issuer = Some(issuer.reference()),
        Some(Delivered::Challenge(challenge)) => challenge.sign_in.issuer = Some(issuer.reference()),
        None => {}
    }
    change(&mut issuer);
    records.issuer = Some(issuer);
}

fn use_first(session: &mut DeliveredSession) {
    let rotation = Rotation { at: AT, salt: Salt([0; 32]), successor: RefreshDigest([9; 32]) };
    session.refresh.as_mut().unwrap().rotation = Some(rotation);
}

fn restrict(session: &mut DeliveredSession, purpose: Purpose) {
    (session.session.purpose, session.refresh) = (purpose, None);
}

fn claimed(id: &str, secret: &str) -> Redeemer {
    let readings = vec![SecretText::new(secret.into())];
    Redeemer::Claimed(ClientCredentials::read(id, readings).unwrap())
}

fn boss(records: &mut TicketRecords) {
    let id = UserId::parse("boss").unwrap();
    records.ticket.impersonation = Some(Impersonation { actor: id.clone(), reason: "r".into() });
    records.actor = Some(user("boss"));
    delivered(records).session.actor = Some(Actor { id, epoch: 0 });
}

/// A request, and the difference of the records.
struct Ask {
    request: RequestDigest,
    redeemer: Redeemer,
    peer: IpAddr,
    after: u64,
    settings: Settings,
}

impl Ask {
    fn usual() -> Self {
        Self { request: KEY, redeemer: Redeemer::Anybody, peer: HERE, after: 5, settings: settings() }
    }
}

type Alter = fn(&mut TicketRecords, &mut Ask);

#[test]
fn who_is_given_the_answer_to_a_ticket_again() {
    let spent_before = Some(Refusal::TicketSpent);
    let table: &[(&str, Alter, Option<Refusal>)] = &[
        ("the same request", |_, _| {}, None),
        ("at once", |_, ask| ask.after = 0, None),
        ("the last second of the grace", |_, ask| ask.after = 59, None),
        ("after the grace", |_, ask| ask.after = 60, spent_before),
        ("without a grace", |_, ask| (ask.after, ask.settings.redeem_grace) = (0, 0), spent_before),
        ("long after the ticket's own end", |r, _| r.ticket.expires_at = AT, None),
        ("another key", |_, ask| ask.request = OTHER, spent_before),
        (
            "redeemed without a key",
            |r, _| r.ticket.state = TicketState::Spent { at: AT, delivery: None },
            spent_before,
        ),
        (
            "redeemed in the future",
            |r, _| {
                let delivery = delivery(TicketResult::Session(opened()));
                r.ticket.state = TicketState::Spent { at: AT.plus(6), delivery };
            },
            spent_before,
        ),
        (
            "from another address",
            |r, ask| (r.ticket.client_ip, ask.peer) = (Some(HERE), [192, 0, 2, 9].into()),
            Some(Refusal::AddressMismatch),
        ),
        ("from the address", |r, _| r.ticket.client_ip = Some(HERE), None),
        (
            "from another address, which is only suspected",
            |r, ask| {
                (r.ticket.client_ip, ask.peer) = (Some(HERE), [192, 0, 2, 9].into());
                ask.settings.address_mismatch = AddressMismatch::Risk;
            },
            None,
        ),
        ("bound, by nobody", |r, _| r.ticket.bind = true, Some(Refusal::RedeemerUnproven)),
        (
            "bound, by its client",
            |r, ask| (r.ticket.bind, ask.redeemer) = (true, claimed("backend", "right")),
            None,
        ),
        (
            "bound, by its client with a wrong secret",
            |r, ask| (r.ticket.bind, ask.redeemer) = (true, claimed("backend", "wrong")),
            Some(Refusal::RedeemerUnproven),
        ),
        (
            "bound, by another",
            |r, ask| (r.ticket.bind, ask.redeemer) = (true, claimed("other", "right")),
            Some(Refusal::AudienceMismatch),
        ),
        ("another issuer", |r, _| issued_by_another(r, |_| {}), None),
        (
            "its issuer gone",
            |r, _| {
                issued_by_another(r, |_| {});
                r.issuer = None;
            },
            Some(Refusal::ClientInactive),
        ),
        (
            "its issuer added anew",
            |r, _| issued_by_another(r, |issuer| issuer.epoch = 7),
            Some(Refusal::ClientInactive),
        ),
        ("its issuer disabled", |r, _| issued_by_another(r, Client::disable), Some(Refusal::ClientInactive)),
        (
            "its client disabled",
            |r, _| r.client.as_mut().unwrap().enabled = false,
            Some(Refusal::ClientInactive),
        ),
        ("its client gone", |r, _| r.client = None, Some(Refusal::ClientInactive)),
        ("the user disabled", |r, _| r.user.as_mut().unwrap().disable(), Some(Refusal::UserInactive)),
        ("the user gone", |r, _| r.user = None, Some(Refusal::UserInactive)),
        ("every session ended", |r, _| r.user.as_mut().unwrap().epoch = 1, Some(Refusal::SessionOver)),
        ("the session ended", |r, _| delivered(r).session.ended_at = Some(AT), Some(Refusal::SessionOver)),
        ("the session over", |r, _| delivered(r).session.expires_at = AT, Some(Refusal::SessionOver)),
        ("the session gone", |r, _| r.delivered = None, Some(Refusal::SessionOver)),
        ("refreshed since", |r, _| use_first(delivered(r)), spent_before),
        ("its first refresh token gone", |r, _| delivered(r).refresh = None, spent_before),
        (
            "its first refresh token expired",
            |r, _| delivered(r).refresh.as_mut().unwrap().expires_at = AT,
            spent_before,
        ),
        (
            "another refresh token than the first",
            |r, _| delivered(r).refresh.as_mut().unwrap().digest = RefreshDigest([9; 32]),
            spent_before,
        ),
        (
            "another session than the one that was opened",
            |r, _| delivered(r).session.id = SessionId::parse("ses_2").unwrap(),
            spent_before,
        ),
        (
            "the password has to be changed",
            |r, _| r.user.as_mut().unwrap().require_password_change(),
            Some(Refusal::SessionOver),
        ),
        (
            "the password expired",
            |r, ask| {
                r.user.as_mut().unwrap().password_changed_at = Some(Time::from_unix(0));
                ask.settings.password_age = Some(PasswordAge { life: 1_000, warning: 0, grace: 0 });
            },
            Some(Refusal::PasswordExpired),
        ),
        (
            "a session for changing an expired password",
            |r, ask| {
                r.user.as_mut().unwrap().password_changed_at = Some(Time::from_unix(0));
                ask.settings.password_age = Some(PasswordAge { life: 1_000, warning: 0, grace: 0 });
                restrict_opened(r, Purpose::ChangePassword);
            },
            None,
        ),
        ("a session for enrolling", |r, _| restrict_opened(r, Purpose::Enrol), None),
        ("acted by the boss", |r, _| boss(r), None),
        (
            "acted by the boss, disabled since",
            |r, _| {
                boss(r);
                r.actor.as_mut().unwrap().disable();
            },
            Some(Refusal::ActorInactive),
        ),
        (
            "acted by the boss, signed out since",
            |r, _| {
                boss(r);
                r.actor.as_mut().unwrap().end_sessions();
            },
            Some(Refusal::SessionOver),
        ),
    ];
    for (what, alter, refused) in table {
        let (mut records, mut ask) = (spent(), Ask::usual());
        alter(&mut records, &mut ask);
        assert_eq!(decided(&records, &ask), *refused, "{what}");
    }
}

fn restrict_opened(records: &mut TicketRecords, purpose: Purpose) {
    restrict(delivered(records), purpose);
    let opened = OpenedSession { refresh: None, ..opened() };
    records.ticket.state = TicketState::Spent { at: AT, delivery: delivery(TicketResult::Session(opened)) };
}

fn decided(records: &TicketRecords, ask: &Ask) -> Option<Refusal> {
    let now = AT.plus(ask.after);
    let clients = [records.client.clone(), Some(client("other", "", "right"))];
    let mut named = clients.iter().flatten().filter(|client| ask.redeemer.claimed() == Some(&client.id));
    let redeemer = proven(&ask.redeemer, named.next());
    decide_ticket(records, &redeemer, ask.peer, &ask.request, &ask.settings, now).err()
}

#[test]
fn who_is_given_the_challenge_of_a_ticket_again() {
    let table: &[(&str, Alter, Option<Refusal>)] = &[
        ("the same request", |_, _| {}, None),
        ("another key", |_, ask| ask.request = OTHER, Some(Refusal::TicketSpent)),
        ("after the grace", |_, ask| ask.after = 60, Some(Refusal::TicketSpent)),
        ("with four wrong codes", |r, _| open(r).wrong = 4, None),
        ("with five wrong codes", |r, _| open(r).wrong = 5, Some(Refusal::ChallengeClosed)),
        (
            "answered",
            |r, _| open(r).answered = Some(Answered { at: AT, delivery: None }),
            Some(Refusal::ChallengeClosed),
        ),
        ("expired", |r, _| open(r).expires_at = AT, Some(Refusal::ChallengeClosed)),
        ("gone", |r, _| r.delivered = None, Some(Refusal::SessionOver)),
        ("another one", |r, _| open(r).digest = ChallengeDigest([9; 32]), Some(Refusal::TicketSpent)),
        (
            "a session in its place",
            |r, _| r.delivered = Some(Delivered::Session(session())),
            Some(Refusal::TicketSpent),
        ),
        ("the user disabled", |r, _| r.user.as_mut().unwrap().disable(), Some(Refusal::UserInactive)),
        ("every session ended", |r, _| r.user.as_mut().unwrap().epoch = 1, Some(Refusal::SessionOver)),
        (
            "for a client, disabled since",
            |r, ask| {
                (r.ticket.bind, ask.redeemer) = (true, claimed("backend", "right"));
                r.client.as_mut().unwrap().enabled = false;
            },
            Some(Refusal::RedeemerUnproven),
        ),
        (
            "for an audience, disabled since",
            |r, _| {
                r.ticket.for_audience = true;
                r.client.as_mut().unwrap().enabled = false;
            },
            Some(Refusal::ClientInactive),
        ),
        ("the issuer disabled", |r, _| issued_by_another(r, Client::disable), Some(Refusal::ClientInactive)),
    ];
    for (what, alter, refused) in table {
        let (mut records, mut ask) = (challenged(), Ask::usual());
        alter(&mut records, &mut ask);
        assert_eq!(decided(&records, &ask), *refused, "{what}");
    }
}

#[derive(Debug, PartialEq)]
enum Short {
    Repeat,
    CountWrong,
    Refuse(Refusal),
}

type AlterAnswer = fn(&mut ChallengeRecords, &mut Ask);

#[test]
fn who_is_given_the_answer_to_a_challenge_again() {
    use Short::{CountWrong, Refuse, Repeat};
    let closed = || Refuse(Refusal::ChallengeClosed);
    let table: &[(&str, AlterAnswer, Short)] = &[
        ("the same request", |_, _| {}, Repeat),
        ("the last second of the grace", |_, ask| ask.after = 59, Repeat),
        ("after the grace", |_, ask| ask.after = 60, closed()),
        ("after the grace, another code", |_, ask| (ask.after, ask.request) = (60, OTHER), closed()),
        ("without a grace", |_, ask| (ask.after, ask.settings.redeem_grace) = (0, 0), closed()),
        ("another code", |_, ask| ask.request = OTHER, CountWrong),
        ("four wrong codes", |r, _| r.challenge.wrong = 4, Repeat),
        ("five wrong codes", |r, _| r.challenge.wrong = 5, closed()),
        ("five wrong codes, and another", |r, ask| (r.challenge.wrong, ask.request) = (5, OTHER), closed()),
        ("long after the challenge's end", |r, _| r.challenge.expires_at = AT, Repeat),
        (
            "answered without a key",
            |r, _| r.challenge.answered = Some(Answered { at: AT, delivery: None }),
            closed(),
        ),
        ("not answered", |r, _| r.challenge.answered = None, closed()),
        ("answered in the future", |r, _| r.challenge.answered.as_mut().unwrap().at = AT.plus(6), closed()),
        ("refreshed since", |r, _| use_first(r.delivered.as_mut().unwrap()), closed()),
        ("the session gone", |r, _| r.delivered = None, Refuse(Refusal::SessionOver)),
        (
            "the session ended",
            |r, _| r.delivered.as_mut().unwrap().session.ended_at = Some(AT),
            Refuse(Refusal::SessionOver),
        ),
        (
            "another session",
            |r, _| r.delivered.as_mut().unwrap().session.id = SessionId::parse("ses_2").unwrap(),
            closed(),
        ),
        ("the user disabled", |r, _| r.user.as_mut().unwrap().disable(), Refuse(Refusal::UserInactive)),
        ("every session ended", |r, _| r.user.as_mut().unwrap().epoch = 1, Refuse(Refusal::SessionOver)),
        (
            "the client disabled",
            |r, _| r.client.as_mut().unwrap().enabled = false,
            Refuse(Refusal::ClientInactive),
        ),
    ];
    for (what, alter, expected) in table {
        let (mut records, mut ask) = (answered(), Ask::usual());
        alter(&mut records, &mut ask);
        let verdict = match decide_answer(&records, &ask.request, &ask.settings, AT.plus(ask.after)) {
            AnswerVerdict::Repeat(repetition) => {
                assert_eq!(repetition.at, AT, "{what}");
                Repeat
            }
            AnswerVerdict::CountWrong => CountWrong,
            AnswerVerdict::Refuse(refusal) => Refuse(refusal),
        };
        assert_eq!(verdict, *expected, "{what}");
    }
}
