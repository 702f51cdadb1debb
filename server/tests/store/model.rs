//! The file against the store in memory, under random commits: the same outcomes, and the same records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gatepass_core::records::challenge::{Answered, Challenge, ChallengeDigest, SignIn};
use gatepass_core::records::client::{Client, ClientRef};
use gatepass_core::records::delivery::TicketResult;
use gatepass_core::records::factor::{BackupDigest, Lockout};
use gatepass_core::records::id::{ClientId, SessionId, UserId, UserRef};
use gatepass_core::records::password::PasswordHash;
use gatepass_core::records::session::{RefreshDigest, Session};
use gatepass_core::records::sign_in_history::{DeviceMark, DeviceOnNetwork as Whereabouts, Network};
use gatepass_core::records::ticket::{Impersonation, Ticket, TicketDigest};
use gatepass_core::records::user::User;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::Change;
use gatepass_core::store::query::{BearerQuery, Identity, IssueQuery, PersonQuery, Query, TokenQuery};
use gatepass_tests::memory::Tables;
use gatepass_tests::world;
use proptest::prelude::*;

use crate::fixture::*;

/// One thing to do, about numbered things.
#[derive(Clone, Debug)]
enum Deed {
    Issue { ticket: u64, user: usize, actor: Option<usize>, by: Option<usize> },
    Redeem { ticket: u64, session: u64, user: usize, by: Option<usize> },
    RedeemOnce { ticket: u64, result: u64, user: usize, challenge: bool },
    RepeatTicket { ticket: u64, first: bool },
    Revoke(u64),
    Toggle { user: usize, stale: bool },
    ToggleClient { client: usize, stale: bool },
    DeleteUser(usize),
    AddUser(usize),
    DeleteClient(usize),
    AddClient { client: usize, epoch: u64 },
    RequireLiveSession(u64),
    Rotate { from: u64, to: u64, session: u64 },
    RequireUnusedRefresh(u64),
    CountRefresh { token: u64, times: usize },
    RotateLate { from: u64, number: u64, recorded: u32 },
    EndSession(u64),
    RaiseEpoch { user: usize, stale: bool },
    RevokeToken(u64),
    Enrol { device: u64, user: usize },
    Verify { device: u64, step: u64 },
    UseStep { device: u64, step: u64 },
    RemoveDevice { device: u64, counts: bool },
    AddCodes { user: usize, device: u64, codes: u64 },
    KeepCodes { user: usize, device: u64 },
    DropCodes(usize),
    UseCode { user: usize, code: u64 },
    Guess { user: usize, stale: bool },
    Forgive(usize),
    RecordSignIn { user: usize, places: std::ops::Range<u64>, at: u64 },
    Fail { user: usize, times: u64 },
    SetPassword { user: usize, password: u64 },
    GuessPassword { user: usize, stale: bool },
    Rename { user: usize, like: usize },
    Challenge { challenge: u64, user: usize, actor: Option<usize>, by: Option<usize> },
    CountWrong { challenge: u64, wrong: u32, answered: bool },
    Answer { challenge: u64, wrong: u32, session: Option<u64> },
    RepeatAnswer { challenge: u64, wrong: u32, first: bool },
    RequireOpenChallenge(u64),
    RequireClientEpoch { client: usize, stale: bool },
    SetStateEpoch(u64),
    RequireStateEpoch { stale: bool },
}

const USERS: usize = 3;

fn deed() -> impl Strategy<Value = Deed> {
    let (ticket, session, user) = (|| 0..6u64, || 0..6u64, || 0..USERS);
    let issuer = || proptest::option::of(0..USERS);
    prop_oneof![
        4 => (ticket(), user(), proptest::option::of(user()), issuer())
            .prop_map(|(ticket, user, actor, by)| Deed::Issue { ticket, user, actor, by }),
        6 => (ticket(), session(), user(), issuer())
            .prop_map(|(ticket, session, user, by)| Deed::Redeem { ticket, session, user, by }),
        4 => (ticket(), session(), user(), any::<bool>())
            .prop_map(|(ticket, result, user, challenge)| Deed::RedeemOnce { ticket, result, user, challenge }),
        4 => (ticket(), any::<bool>()).prop_map(|(ticket, first)| Deed::RepeatTicket { ticket, first }),
        1 => ticket().prop_map(Deed::Revoke),
        2 => (user(), any::<bool>()).prop_map(|(user, stale)| Deed::Toggle { user, stale }),
        2 => (user(), any::<bool>()).prop_map(|(client, stale)| Deed::ToggleClient { client, stale }),
        1 => user().prop_map(Deed::DeleteUser),
        1 => user().prop_map(Deed::AddUser),
        1 => user().prop_map(Deed::DeleteClient),
        1 => (user(), 0..3u64).prop_map(|(client, epoch)| Deed::AddClient { client, epoch }),
        1 => session().prop_map(Deed::RequireLiveSession),
        6 => (session(), session(), session()).prop_map(|(from, to, session)| Deed::Rotate { from, to, session }),
        1 => session().prop_map(Deed::RequireUnusedRefresh),
        2 => (session(), 1..4usize).prop_map(|(token, times)| Deed::CountRefresh { token, times }),
        4 => (session(), 0..24u64, 0..4u32)
            .prop_map(|(from, number, recorded)| Deed::RotateLate { from, number, recorded }),
        1 => session().prop_map(Deed::EndSession),
        1 => (user(), any::<bool>()).prop_map(|(user, stale)| Deed::RaiseEpoch { user, stale }),
        1 => session().prop_map(Deed::RevokeToken),
        3 => (ticket(), user()).prop_map(|(device, user)| Deed::Enrol { device, user }),
        3 => (ticket(), 0..4u64).prop_map(|(device, step)| Deed::Verify { device, step }),
        3 => (ticket(), 0..4u64).prop_map(|(device, step)| Deed::UseStep { device, step }),
        2 => (ticket(), any::<bool>()).prop_map(|(device, counts)| Deed::RemoveDevice { device, counts }),
        3 => (user(), ticket(), 0..4u64).prop_map(|(user, device, codes)| Deed::AddCodes { user, device, codes }),
        2 => (user(), ticket()).prop_map(|(user, device)| Deed::KeepCodes { user, device }),
        1 => user().prop_map(Deed::DropCodes),
        2 => (user(), 0..4u64).prop_map(|(user, code)| Deed::UseCode { user, code }),
        3 => (user(), any::<bool>()).prop_map(|(user, stale)| Deed::Guess { user, stale }),
        1 => user().prop_map(Deed::Forgive),
        3 => (user(), 0..30u64, 0..30u64, 0..100_000u64)
            .prop_map(|(user, first, more, at)| Deed::RecordSignIn { user, places: first..first + more, at }),
        2 => (user(), 1..30u64).prop_map(|(user, times)| Deed::Fail { user, times }),
        3 => (user(), 0..3u64).prop_map(|(user, password)| Deed::SetPassword { user, password }),
        2 => (user(), any::<bool>()).prop_map(|(user, stale)| Deed::GuessPassword { user, stale }),
        1 => (user(), user()).prop_map(|(user, like)| Deed::Rename { user, like }),
        3 => (ticket(), user(), proptest::option::of(user()), issuer())
            .prop_map(|(challenge, user, actor, by)| Deed::Challenge { challenge, user, actor, by }),
        4 => (ticket(), 0..5u32, any::<bool>())
            .prop_map(|(challenge, wrong, answered)| Deed::CountWrong { challenge, wrong, answered }),
        4 => (ticket(), 0..3u32, proptest::option::of(session()))
            .prop_map(|(challenge, wrong, session)| Deed::Answer { challenge, wrong, session }),
        4 => (ticket(), 0..3u32, any::<bool>())
            .prop_map(|(challenge, wrong, first)| Deed::RepeatAnswer { challenge, wrong, first }),
        2 => ticket().prop_map(Deed::RequireOpenChallenge),
        1 => (user(), any::<bool>()).prop_map(|(client, stale)| Deed::RequireClientEpoch { client, stale }),
        1 => (0..4u64).prop_map(Deed::SetStateEpoch),
        1 => any::<bool>().prop_map(|stale| Deed::RequireStateEpoch { stale }),
    ]
}

/// The names of the world's people and services.
struct Names {
    users: Vec<UserId>,
    clients: Vec<ClientId>,
}

/// What `deed` writes, given what is there.
fn changes(deed: &Deed, names: &Names, tables: &Tables) -> Vec<Change> {
    let user_id = |i: usize| names.users[i].clone();
    let epoch = |i: usize| tables.users.get(&names.users[i]).map_or(0, |user| user.epoch);
    let is = |i: usize| Change::RequireUserEpoch { id: user_id(i), epoch: epoch(i) };
    let audit = |kind, number| Change::Audit(event(kind, number));
    let state_epoch = tables.state_epoch;
    let client_epoch = |id: &ClientId| tables.clients.get(id).map_or(0, |client| client.epoch);
    let issuer = |by: Option<usize>| {
        by.map(|i| names.clients[i].clone()).map(|id| ClientRef { epoch: client_epoch(&id), id })
    };
    match *deed {
        Deed::Issue { ticket: number, user, actor, by } => {
            let impersonation = actor.map(|i| Impersonation { actor: user_id(i), reason: "因为".into() });
            let issuer = issuer(by);
            let ticket =
                Ticket { user_id: user_id(user), impersonation, state_epoch, issuer, ..ticket(number) };
            vec![is(user), Change::InsertTicket(ticket), audit(Kind::TicketIssued, number)]
        }
        Deed::Redeem { ticket, session: number, user, by } => {
            let (issuer, client_epoch) = (issuer(by), (number > 0).then(|| client_epoch(&portal())));
            let session =
                Session { user_id: user_id(user), state_epoch, issuer, client_epoch, ..session(number) };
            vec![
                Change::RequireStateEpoch(state_epoch),
                spend(ticket),
                is(user),
                begin_session(session, number),
                audit(Kind::TicketRedeemed, ticket),
            ]
        }
        Deed::RedeemOnce { ticket: number, result, user, challenge } => {
            let led_to = if challenge {
                TicketResult::Challenge(ChallengeDigest(digest(result)))
            } else {
                TicketResult::Session(opened(result))
            };
            let delivery = delivery(number, led_to);
            let spend = Change::SpendTicket { digest: ticket(number).digest, at: NOW.plus(number), delivery };
            let session = Session { user_id: user_id(user), state_epoch, ..session(result) };
            let begin = (!challenge).then(|| begin_session(session, result));
            [spend, is(user), audit(Kind::TicketRedeemed, number)].into_iter().chain(begin).collect()
        }
        Deed::RepeatTicket { ticket: number, first } => {
            let repeat = Change::RepeatTicket { digest: ticket(number).digest, first };
            vec![audit(Kind::TicketRepeated, number), repeat]
        }
        Deed::Revoke(number) => {
            vec![audit(Kind::TicketRevoked, number), Change::RevokeTicket { id: ticket(number).id, at: NOW }]
        }
        Deed::Toggle { user, stale } => {
            let Some(mut user) = tables.users.get(&names.users[user]).cloned() else { return vec![] };
            if user.is_active() {
                user.disable()
            } else {
                user.enable()
            }
            user.revision += u64::from(stale);
            vec![Change::UpdateUser(user)]
        }
        Deed::ToggleClient { client, stale } => {
            let Some(mut client) = tables.clients.get(&names.clients[client]).cloned() else { return vec![] };
            if client.enabled {
                client.disable()
            } else {
                client.enable()
            }
            client.secrets.extend(client.secrets.first().cloned());
            client.secrets.truncate(5);
            client.revision += u64::from(stale);
            vec![Change::UpdateClient(client)]
        }
        Deed::DeleteUser(user) => vec![Change::DeleteUser(user_id(user))],
        Deed::AddUser(user) => {
            let user: User = world::tables().users[&names.users[user]].clone();
            vec![Change::InsertUser(user)]
        }
        Deed::DeleteClient(client) => vec![Change::DeleteClient(names.clients[client].clone())],
        Deed::AddClient { client, epoch } => {
            let client = world::tables().clients[&names.clients[client]].clone();
            vec![Change::InsertClient(Client { epoch, ..client })]
        }
        Deed::RequireLiveSession(session) => {
            vec![
                audit(Kind::TicketRefused, session),
                Change::RequireLiveSession(SessionId::parse(&format!("ses_{session}")).unwrap()),
            ]
        }
        Deed::Rotate { from, to, session } => {
            vec![audit(Kind::SessionRefreshed, from), rotate(from, to, session)]
        }
        Deed::CountRefresh { token, times } => {
            vec![Change::CountRefresh(RefreshDigest(digest(token))); times]
        }
        // The numbers of one session go up and down here, and the tokens are found again by `Rotate`.
        Deed::RotateLate { from, number, recorded } => {
            let change = rotate(from, 100 + number, from % 3);
            let Change::RotateRefresh { digest, rotation, mut successor, .. } = change else { return vec![] };
            successor.number = number;
            vec![Change::RotateRefresh { digest, rotation, successor, recorded }]
        }
        Deed::RequireUnusedRefresh(number) => {
            vec![Change::RequireUnusedRefresh(RefreshDigest(digest(number)))]
        }
        Deed::EndSession(number) => vec![Change::EndSession { id: session(number).id, at: NOW }],
        Deed::RaiseEpoch { user, stale } => {
            vec![Change::RaiseEpoch { id: user_id(user), epoch: epoch(user) + u64::from(stale) }]
        }
        Deed::RevokeToken(number) => {
            vec![Change::RevokeToken { token_id: number.to_string(), expires_at: NOW.plus(number) }]
        }
        Deed::Enrol { device: number, user } => {
            let device = Change::InsertDevice(device(number, user_id(user)));
            vec![is(user), audit(Kind::DeviceAdded, number), device]
        }
        Deed::Verify { device: number, step } => {
            let session = SessionId::parse(&format!("ses_{step}")).unwrap();
            let session = (step % 2 == 0).then_some(session);
            vec![Change::VerifyDevice { id: device(number, alice()).id, session, step, at: NOW }]
        }
        Deed::UseStep { device: number, step } => {
            let id = device(number, alice()).id;
            let kept =
                tables.devices.iter().find(|device| device.id == id).map_or(0, |device| device.last_step);
            // As read, or stale.
            let before = if step % 2 == 0 { kept } else { kept + 1 };
            vec![Change::UseStep { id, step, before }]
        }
        Deed::RemoveDevice { device: number, counts } => {
            vec![Change::DeleteDevice { id: device(number, alice()).id, counts }]
        }
        Deed::AddCodes { user, device: number, codes } => {
            let codes = (0..codes).map(|code| BackupDigest(digest(code))).collect();
            let device = device(number, alice()).id;
            vec![is(user), Change::AddBackupCodes { user: user_id(user), device, codes }]
        }
        Deed::KeepCodes { user, device: number } => {
            let device = device(number, alice()).id;
            vec![is(user), Change::KeepBackupCodes { user: user_id(user), device }]
        }
        Deed::DropCodes(user) => vec![is(user), Change::DropBackupCodes(user_id(user))],
        Deed::UseCode { user, code } => {
            vec![Change::UseBackupCode { user: user_id(user), code: BackupDigest(digest(code)) }]
        }
        Deed::Guess { user, stale } => {
            let mut before = tables.lockout.get(&names.users[user]).copied().unwrap_or_default();
            let after = before.failed(NOW);
            before.wrong += u32::from(stale);
            vec![is(user), Change::SetLockout { user: user_id(user), before, after }]
        }
        Deed::Forgive(user) => {
            let before = tables.lockout.get(&names.users[user]).copied().unwrap_or_default();
            vec![is(user), Change::SetLockout { user: user_id(user), before, after: Lockout::default() }]
        }
        Deed::RecordSignIn { user, ref places, at } => {
            let learn = |number: u64| {
                let network = Network::of([192, 0, (number % 5) as u8, 1].into());
                let place = Whereabouts { device: DeviceMark(digest(number)), network };
                Change::RecordSignIn { user: user_id(user), place, at: NOW.plus(at + number / 3) }
            };
            places.clone().map(learn).chain([audit(Kind::TicketRedeemed, at)]).collect()
        }
        Deed::Fail { user, times } => {
            (0..times).map(|at| Change::CountFailure { user: user_id(user), at: NOW.plus(at) }).collect()
        }
        Deed::SetPassword { user, password } => {
            let hash = |number: u64| {
                PasswordHash::parse(&format!(
                    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ${}",
                    STANDARD_NO_PAD.encode(digest(number))
                ))
                .unwrap()
            };
            vec![is(user), Change::SetPassword { user: user_id(user), hash: hash(password) }]
        }
        Deed::GuessPassword { user, stale } => {
            let mut before = tables.passwords.get(&names.users[user]).map(|p| p.lockout).unwrap_or_default();
            let after = before.failed(NOW);
            before.locks += u32::from(stale);
            vec![
                is(user),
                Change::SetPasswordLockout { user: user_id(user), before, after },
                Change::DummyWrite,
            ]
        }
        Deed::Rename { user, like } => {
            let Some(mut user) = tables.users.get(&names.users[user]).cloned() else { return vec![] };
            user.email = Some(format!("U{like}@Example.com"));
            user.phone = Some(format!("+{like}"));
            vec![Change::UpdateUser(user)]
        }
        Deed::Challenge { challenge: number, user, actor, by } => {
            let impersonation = actor.map(|i| Impersonation { actor: user_id(i), reason: "因为".into() });
            let ticket =
                Ticket { user_id: user_id(user), impersonation, issuer: issuer(by), ..ticket(number) };
            let challenge = Challenge {
                digest: ChallengeDigest(digest(number)),
                sign_in: SignIn::by_ticket(
                    &ticket,
                    Whereabouts {
                        device: DeviceMark(digest(number)),
                        network: Network::of("2001:db8:1:2::3".parse().unwrap()),
                    },
                ),
                user_epoch: number,
                actor_epoch: actor.map(|_| number + 1),
                expires_at: NOW.plus(300),
                wrong: 0,
                answered: None,
                state_epoch,
                issued_at: NOW,
            };
            vec![is(user), Change::InsertChallenge(challenge)]
        }
        Deed::CountWrong { challenge, wrong, answered } => {
            vec![Change::CountWrong { digest: ChallengeDigest(digest(challenge)), wrong, answered }]
        }
        Deed::Answer { challenge, wrong, session } => {
            let delivery = session.and_then(|session| delivery(challenge, opened(session)));
            let answered = Answered { at: NOW.plus(challenge), delivery };
            vec![Change::AnswerChallenge { digest: ChallengeDigest(digest(challenge)), wrong, answered }]
        }
        Deed::RepeatAnswer { challenge, wrong, first } => {
            vec![Change::RepeatAnswer { digest: ChallengeDigest(digest(challenge)), wrong, first }]
        }
        Deed::RequireOpenChallenge(challenge) => {
            vec![Change::RequireOpenChallenge(ChallengeDigest(digest(challenge)))]
        }
        Deed::RequireClientEpoch { client, stale } => {
            let id = names.clients[client].clone();
            let epoch = client_epoch(&id) + u64::from(stale);
            vec![Change::RequireClientEpoch { id, epoch }]
        }
        Deed::SetStateEpoch(_) => vec![],
        Deed::RequireStateEpoch { stale } => {
            vec![
                audit(Kind::TicketRefused, 0),
                Change::RequireStateEpoch(if stale { state_epoch + 1 } else { state_epoch }),
            ]
        }
    }
}

fn queries(names: &Names) -> Vec<Query> {
    let mut queries: Vec<Query> = (0..6).map(|i| Query::Ticket(TicketDigest(ticket(i).digest.0))).collect();
    queries.extend(names.clients.iter().cloned().map(Query::Client));
    queries.extend((0..6).map(|i| Query::Challenge(ChallengeDigest(digest(i)))));
    for (i, user) in names.users.iter().enumerate().take(USERS) {
        let bearer = |session: u64| BearerQuery {
            client: names.clients[i].clone(),
            token_id: session.to_string(),
            person: Some(PersonQuery {
                user: user.clone(),
                session: SessionId::parse(&format!("ses_{session}")).unwrap(),
                actor: names.users.first().cloned(),
            }),
        };
        queries.extend((0..6).map(|session| Query::Bearer(bearer(session))));
        queries.push(Query::Sessions(bearer(0)));
        queries.push(Query::Factors(bearer(0)));
        queries.push(Query::Password(bearer(0)));
        let name = user.as_str().trim_start_matches("usr_").to_owned();
        let called = [name.clone(), name.to_uppercase(), format!("u{i}@EXAMPLE.COM"), format!("+{i}")];
        queries.extend(called.into_iter().map(Identity).map(Query::Login));
        queries.extend((0..6).chain(100..124).map(|number| {
            Query::Token(TokenQuery {
                caller: names.clients.get(i).cloned(),
                access: Some(bearer(number)),
                refresh: Some(RefreshDigest(digest(number))),
            })
        }));
        queries.push(Query::Issue(IssueQuery {
            bearer: Some(bearer(0)),
            user: Some(UserRef::IdOrUsername(user.as_str().trim_start_matches("usr_").into())),
            actor: Some(user.into()),
            audience: names.clients.first().cloned(),
        }));
    }
    queries.push(Query::Issue(IssueQuery { bearer: None, user: None, actor: None, audience: None }));
    queries
}

/// Does `deeds` to a file and to memory, which must agree on every outcome and every answer.
fn agree(deeds: &[Deed]) -> Result<(), TestCaseError> {
    let place = Place::new();
    let store = place.store();
    let mut tables = world::tables();
    tables.generation = 1;
    let names = Names {
        users: tables.users.keys().cloned().collect(),
        clients: tables.clients.keys().cloned().collect(),
    };
    for deed in deeds {
        if let Deed::SetStateEpoch(epoch) = *deed {
            place.set_state_epoch(epoch);
            tables.state_epoch = epoch;
        }
        let changes = changes(deed, &names, &tables);
        let expected = tables.commit(&changes);
        prop_assert_eq!(commit(&store, changes), expected, "{:?}", deed);
    }
    let queries = queries(&names);
    for query in &queries {
        prop_assert_eq!(store.read(query), tables.read(query), "{:?}", query);
    }
    let together = store.read_all(queries.iter()).unwrap();
    prop_assert_eq!(together, queries.iter().map(|query| tables.read(query)).collect::<Vec<_>>());
    prop_assert!(audit(&store).into_iter().map(|row| row.event).eq(tables.audit));
    prop_assert!(store.check().unwrap().is_sound());
    Ok(())
}

#[test]
fn the_file_does_as_memory_does() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner.run(&proptest::collection::vec(deed(), 1..80), |deeds| agree(&deeds)).unwrap();
}

#[test]
fn what_a_deleted_user_leaves_keeps_its_ids_until_it_is_swept() {
    let issue = |user| Deed::Issue { ticket: 0, user, actor: None, by: None };
    let redeem = |ticket, user| Deed::Redeem { ticket, session: 1, user, by: None };
    let second = Deed::Issue { ticket: 1, user: 0, actor: None, by: None };
    agree(&[issue(1), redeem(0, 1), Deed::DeleteUser(1), second, redeem(1, 0)]).unwrap();
}
