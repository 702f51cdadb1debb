//! Every engine against the tables in memory, under random commits: the same outcomes, and the same records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use gatepass_core::records::challenge::{Answered, Challenge, ChallengeDigest, SignIn};
use gatepass_core::records::client::{Client, ClientRef};
use gatepass_core::records::delivery::TicketResult;
use gatepass_core::records::factor::{BackupDigest, Lockout, LockoutOf};
use gatepass_core::records::id::{ClientId, SessionId, UserId, UserRef};
use gatepass_core::records::password::PasswordHash;
use gatepass_core::records::session::{RefreshDigest, Session};
use gatepass_core::records::sign_in_history::{DeviceMark, DeviceOnNetwork as Whereabouts, Network};
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::records::ticket::{Impersonation, Ticket, TicketDigest};
use gatepass_core::records::user::User;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::Change;
use gatepass_core::store::page::{Cursor, Page, PageQuery};
use gatepass_core::store::query::{
    BearerQuery, Found, Identity, IssueQuery, PersonQuery, Query, Records, SessionPageQuery, TokenQuery,
    UserQuery,
};
use gatepass_tests::fixtures;
use gatepass_tests::memory::Tables;
use proptest::prelude::*;

use crate::engines::{Engine, on_every_engine};
use crate::fixture::*;

/// An operation on numbered records.
#[derive(Clone, Debug)]
enum Operation {
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
    ReplaceHash { user: usize, before: u64, after: u64 },
    GuessPassword { user: usize, stale: bool },
    GuessAtPlace { user: usize, at: usize, of: LockoutOf, stale: bool },
    Rename { user: usize, like: usize },
    Challenge { challenge: u64, user: usize, actor: Option<usize>, by: Option<usize> },
    CountWrong { challenge: u64, wrong: u32, answered: bool },
    Answer { challenge: u64, wrong: u32, session: Option<u64> },
    RepeatAnswer { challenge: u64, wrong: u32, first: bool },
    RequireOpenChallenge(u64),
    RequireClientEpoch { client: usize, stale: bool },
    SetStateEpoch(u64),
    RequireStateEpoch { stale: bool },
    AddKey { key: u64, signing: bool, stale: bool },
    ActivateKey { key: u64, stale: bool },
    RetireKey { key: u64, stale: bool },
}

const USERS: usize = 3;

fn password_hash(number: u64) -> PasswordHash {
    let output = STANDARD_NO_PAD.encode(digest(number));
    PasswordHash::parse(&format!("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ${output}")).unwrap()
}

fn operation() -> impl Strategy<Value = Operation> {
    let (ticket, session, user) = (|| 0..6u64, || 0..6u64, || 0..USERS);
    let issuer = || proptest::option::of(0..USERS);
    prop_oneof![
        4 => (ticket(), user(), proptest::option::of(user()), issuer())
            .prop_map(|(ticket, user, actor, by)| Operation::Issue { ticket, user, actor, by }),
        6 => (ticket(), session(), user(), issuer())
            .prop_map(|(ticket, session, user, by)| Operation::Redeem { ticket, session, user, by }),
        4 => (ticket(), session(), user(), any::<bool>())
            .prop_map(|(ticket, result, user, challenge)| Operation::RedeemOnce { ticket, result, user, challenge }),
        4 => (ticket(), any::<bool>()).prop_map(|(ticket, first)| Operation::RepeatTicket { ticket, first }),
        1 => ticket().prop_map(Operation::Revoke),
        2 => (user(), any::<bool>()).prop_map(|(user, stale)| Operation::Toggle { user, stale }),
        2 => (user(), any::<bool>()).prop_map(|(client, stale)| Operation::ToggleClient { client, stale }),
        1 => user().prop_map(Operation::DeleteUser),
        1 => user().prop_map(Operation::AddUser),
        1 => user().prop_map(Operation::DeleteClient),
        1 => (user(), 0..3u64).prop_map(|(client, epoch)| Operation::AddClient { client, epoch }),
        1 => session().prop_map(Operation::RequireLiveSession),
        6 => (session(), session(), session()).prop_map(|(from, to, session)| Operation::Rotate { from, to, session }),
        1 => session().prop_map(Operation::RequireUnusedRefresh),
        2 => (session(), 1..4usize).prop_map(|(token, times)| Operation::CountRefresh { token, times }),
        4 => (session(), 0..24u64, 0..4u32)
            .prop_map(|(from, number, recorded)| Operation::RotateLate { from, number, recorded }),
        1 => session().prop_map(Operation::EndSession),
        1 => (user(), any::<bool>()).prop_map(|(user, stale)| Operation::RaiseEpoch { user, stale }),
        1 => session().prop_map(Operation::RevokeToken),
        3 => (ticket(), user()).prop_map(|(device, user)| Operation::Enrol { device, user }),
        3 => (ticket(), 0..4u64).prop_map(|(device, step)| Operation::Verify { device, step }),
        3 => (ticket(), 0..4u64).prop_map(|(device, step)| Operation::UseStep { device, step }),
        2 => (ticket(), any::<bool>()).prop_map(|(device, counts)| Operation::RemoveDevice { device, counts }),
        3 => (user(), ticket(), 0..4u64).prop_map(|(user, device, codes)| Operation::AddCodes { user, device, codes }),
        2 => (user(), ticket()).prop_map(|(user, device)| Operation::KeepCodes { user, device }),
        1 => user().prop_map(Operation::DropCodes),
        2 => (user(), 0..4u64).prop_map(|(user, code)| Operation::UseCode { user, code }),
        3 => (user(), any::<bool>()).prop_map(|(user, stale)| Operation::Guess { user, stale }),
        1 => user().prop_map(Operation::Forgive),
        3 => (user(), 0..30u64, 0..30u64, 0..100_000u64)
            .prop_map(|(user, first, more, at)| Operation::RecordSignIn { user, places: first..first + more, at }),
        2 => (user(), 1..30u64).prop_map(|(user, times)| Operation::Fail { user, times }),
        3 => (user(), 0..3u64).prop_map(|(user, password)| Operation::SetPassword { user, password }),
        3 => (user(), 0..3u64, 0..3u64).prop_map(|(user, before, after)| Operation::ReplaceHash { user, before, after }),
        2 => (user(), any::<bool>()).prop_map(|(user, stale)| Operation::GuessPassword { user, stale }),
        4 => (user(), 0..6usize, any::<bool>(), any::<bool>()).prop_map(|(user, at, password, stale)| {
            let of = if password { LockoutOf::Password } else { LockoutOf::Factors };
            Operation::GuessAtPlace { user, at, of, stale }
        }),
        1 => (user(), user()).prop_map(|(user, like)| Operation::Rename { user, like }),
        3 => (ticket(), user(), proptest::option::of(user()), issuer())
            .prop_map(|(challenge, user, actor, by)| Operation::Challenge { challenge, user, actor, by }),
        4 => (ticket(), 0..5u32, any::<bool>())
            .prop_map(|(challenge, wrong, answered)| Operation::CountWrong { challenge, wrong, answered }),
        4 => (ticket(), 0..3u32, proptest::option::of(session()))
            .prop_map(|(challenge, wrong, session)| Operation::Answer { challenge, wrong, session }),
        4 => (ticket(), 0..3u32, any::<bool>())
            .prop_map(|(challenge, wrong, first)| Operation::RepeatAnswer { challenge, wrong, first }),
        2 => ticket().prop_map(Operation::RequireOpenChallenge),
        1 => (user(), any::<bool>()).prop_map(|(client, stale)| Operation::RequireClientEpoch { client, stale }),
        1 => (0..4u64).prop_map(Operation::SetStateEpoch),
        1 => any::<bool>().prop_map(|stale| Operation::RequireStateEpoch { stale }),
        3 => (0..4u64, any::<bool>(), proptest::bool::weighted(0.2))
            .prop_map(|(key, signing, stale)| Operation::AddKey { key, signing, stale }),
        2 => (0..4u64, proptest::bool::weighted(0.2))
            .prop_map(|(key, stale)| Operation::ActivateKey { key, stale }),
        2 => (0..4u64, proptest::bool::weighted(0.2)).prop_map(|(key, stale)| Operation::RetireKey { key, stale }),
    ]
}

/// The ids of the users and clients of the test data.
struct Names {
    users: Vec<UserId>,
    clients: Vec<ClientId>,
}

/// Returns the changes of `operation`, given `tables`.
fn changes(operation: &Operation, names: &Names, tables: &Tables) -> Vec<Change> {
    let user_id = |i: usize| names.users[i].clone();
    let epoch = |i: usize| tables.users.get(&names.users[i]).map_or(0, |user| user.epoch);
    let is = |i: usize| Change::RequireUserEpoch { id: user_id(i), epoch: epoch(i) };
    let audit = |kind, number| Change::Audit(event(kind, number));
    let generation = |stale: bool| tables.generation - u64::from(stale);
    let state_epoch = tables.state_epoch;
    let client_epoch = |id: &ClientId| tables.clients.get(id).map_or(0, |client| client.epoch);
    let issuer = |by: Option<usize>| {
        by.map(|i| names.clients[i].clone()).map(|id| ClientRef { epoch: client_epoch(&id), id })
    };
    match *operation {
        Operation::Issue { ticket: number, user, actor, by } => {
            let impersonation = actor.map(|i| Impersonation { actor: user_id(i), reason: "因为".into() });
            let issuer = issuer(by);
            let ticket =
                Ticket { user_id: user_id(user), impersonation, state_epoch, issuer, ..ticket(number) };
            vec![is(user), Change::InsertTicket(ticket), audit(Kind::TicketIssued, number)]
        }
        Operation::Redeem { ticket, session: number, user, by } => {
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
        Operation::RedeemOnce { ticket: number, result, user, challenge } => {
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
        Operation::RepeatTicket { ticket: number, first } => {
            let repeat = Change::RepeatTicket { digest: ticket(number).digest, first };
            vec![audit(Kind::TicketRepeated, number), repeat]
        }
        Operation::Revoke(number) => {
            vec![audit(Kind::TicketRevoked, number), Change::RevokeTicket { id: ticket(number).id, at: NOW }]
        }
        Operation::Toggle { user, stale } => {
            let Some(mut user) = tables.users.get(&names.users[user]).cloned() else { return vec![] };
            if user.is_active() {
                user.disable()
            } else {
                user.enable()
            }
            user.revision += u64::from(stale);
            vec![Change::UpdateUser(user)]
        }
        Operation::ToggleClient { client, stale } => {
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
        Operation::DeleteUser(user) => vec![Change::DeleteUser(user_id(user))],
        Operation::AddUser(user) => {
            let user: User = fixtures::tables().users[&names.users[user]].clone();
            vec![Change::InsertUser(user)]
        }
        Operation::DeleteClient(client) => vec![Change::DeleteClient(names.clients[client].clone())],
        Operation::AddClient { client, epoch } => {
            let client = fixtures::tables().clients[&names.clients[client]].clone();
            vec![Change::InsertClient(Client { epoch, ..client })]
        }
        Operation::RequireLiveSession(session) => {
            vec![
                audit(Kind::TicketRefused, session),
                Change::RequireLiveSession(SessionId::parse(&format!("ses_{session}")).unwrap()),
            ]
        }
        Operation::Rotate { from, to, session } => {
            vec![audit(Kind::SessionRefreshed, from), rotate(from, to, session)]
        }
        Operation::CountRefresh { token, times } => {
            vec![Change::CountRefresh(RefreshDigest(digest(token))); times]
        }
        // The numbers of one session go up and down here, and `Rotate` finds the tokens again.
        Operation::RotateLate { from, number, recorded } => {
            let change = rotate(from, 100 + number, from % 3);
            let Change::RotateRefresh { digest, rotation, mut successor, .. } = change else { return vec![] };
            successor.number = number;
            vec![Change::RotateRefresh { digest, rotation, successor, recorded }]
        }
        Operation::RequireUnusedRefresh(number) => {
            vec![Change::RequireUnusedRefresh(RefreshDigest(digest(number)))]
        }
        Operation::EndSession(number) => vec![Change::EndSession { id: session(number).id, at: NOW }],
        Operation::RaiseEpoch { user, stale } => {
            vec![Change::RaiseEpoch { id: user_id(user), epoch: epoch(user) + u64::from(stale) }]
        }
        Operation::RevokeToken(number) => {
            vec![Change::RevokeToken { token_id: number.to_string(), expires_at: NOW.plus(number) }]
        }
        Operation::Enrol { device: number, user } => {
            let device = Change::InsertDevice(device(number, user_id(user)));
            vec![is(user), audit(Kind::DeviceAdded, number), device]
        }
        Operation::Verify { device: number, step } => {
            let session = SessionId::parse(&format!("ses_{step}")).unwrap();
            let session = (step % 2 == 0).then_some(session);
            vec![Change::VerifyDevice { id: device(number, alice()).id, session, step, at: NOW }]
        }
        Operation::UseStep { device: number, step } => {
            let id = device(number, alice()).id;
            let kept =
                tables.devices.iter().find(|device| device.id == id).map_or(0, |device| device.last_step);
            // The current value, or a stale one.
            let before = if step % 2 == 0 { kept } else { kept + 1 };
            vec![Change::UseStep { id, step, before }]
        }
        Operation::RemoveDevice { device: number, counts } => {
            vec![Change::DeleteDevice { id: device(number, alice()).id, counts }]
        }
        Operation::AddCodes { user, device: number, codes } => {
            let codes = (0..codes).map(|code| BackupDigest(digest(code))).collect();
            let device = device(number, alice()).id;
            vec![is(user), Change::AddBackupCodes { user: user_id(user), device, codes }]
        }
        Operation::KeepCodes { user, device: number } => {
            let device = device(number, alice()).id;
            vec![is(user), Change::KeepBackupCodes { user: user_id(user), device }]
        }
        Operation::DropCodes(user) => vec![is(user), Change::DropBackupCodes(user_id(user))],
        Operation::UseCode { user, code } => {
            vec![Change::UseBackupCode { user: user_id(user), code: BackupDigest(digest(code)) }]
        }
        Operation::Guess { user, stale } => {
            let mut before = tables.lockout.get(&names.users[user]).copied().unwrap_or_default();
            let after = before.failed(NOW);
            before.wrong += u32::from(stale);
            vec![is(user), Change::SetLockout { user: user_id(user), before, after }]
        }
        Operation::Forgive(user) => {
            let before = tables.lockout.get(&names.users[user]).copied().unwrap_or_default();
            vec![is(user), Change::SetLockout { user: user_id(user), before, after: Lockout::default() }]
        }
        Operation::RecordSignIn { user, ref places, at } => {
            let learn = |number: u64| {
                let network = Network::of([192, 0, (number % 5) as u8, 1].into());
                let place = Whereabouts { device: DeviceMark(digest(number)), network };
                Change::RecordSignIn { user: user_id(user), place, at: NOW.plus(at + number / 3) }
            };
            places.clone().map(learn).chain([audit(Kind::TicketRedeemed, at)]).collect()
        }
        Operation::Fail { user, times } => {
            (0..times).map(|at| Change::CountFailure { user: user_id(user), at: NOW.plus(at) }).collect()
        }
        Operation::SetPassword { user, password } => {
            vec![is(user), Change::SetPassword { user: user_id(user), hash: password_hash(password) }]
        }
        Operation::ReplaceHash { user, before, after } => {
            let (before, after) = (password_hash(before), password_hash(after));
            vec![is(user), Change::ReplacePasswordHash { user: user_id(user), before, after }]
        }
        Operation::GuessPassword { user, stale } => {
            let mut before = tables.passwords.get(&names.users[user]).map(|p| p.lockout).unwrap_or_default();
            let after = before.failed(NOW);
            before.locks += u32::from(stale);
            vec![
                is(user),
                Change::SetPasswordLockout { user: user_id(user), before, after },
                Change::DummyWrite,
            ]
        }
        Operation::GuessAtPlace { user, at, of, stale } => {
            let history = tables.histories.get(&names.users[user]);
            let Some(known) = history.and_then(|history| history.places.get(at)) else { return vec![] };
            let mut before = known.lockout(of);
            let after = if before.wrong > 2 { Lockout::NONE } else { before.failed(NOW) };
            before.locks += u32::from(stale);
            vec![Change::SetPlaceLockout { user: user_id(user), place: known.place, of, before, after }]
        }
        Operation::Rename { user, like } => {
            let Some(mut user) = tables.users.get(&names.users[user]).cloned() else { return vec![] };
            user.email = Some(format!("U{like}@Example.com"));
            user.phone = Some(format!("+{like}"));
            vec![Change::UpdateUser(user)]
        }
        Operation::Challenge { challenge: number, user, actor, by } => {
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
        Operation::CountWrong { challenge, wrong, answered } => {
            vec![Change::CountWrong { digest: ChallengeDigest(digest(challenge)), wrong, answered }]
        }
        Operation::Answer { challenge, wrong, session } => {
            let delivery = session.and_then(|session| delivery(challenge, opened(session)));
            let answered = Answered { at: NOW.plus(challenge), delivery };
            vec![Change::AnswerChallenge { digest: ChallengeDigest(digest(challenge)), wrong, answered }]
        }
        Operation::RepeatAnswer { challenge, wrong, first } => {
            vec![Change::RepeatAnswer { digest: ChallengeDigest(digest(challenge)), wrong, first }]
        }
        Operation::RequireOpenChallenge(challenge) => {
            vec![Change::RequireOpenChallenge(ChallengeDigest(digest(challenge)))]
        }
        Operation::RequireClientEpoch { client, stale } => {
            let id = names.clients[client].clone();
            let epoch = client_epoch(&id) + u64::from(stale);
            vec![Change::RequireClientEpoch { id, epoch }]
        }
        // Some key signs, as everywhere.
        Operation::AddKey { key, signing, stale } => {
            let signs = signing || tables.keys.is_empty();
            let state = if signs { KeyState::Signing } else { KeyState::Published };
            vec![audit(Kind::KeyAdded, key), insert_key(&format!("k{key}"), state, generation(stale))]
        }
        Operation::ActivateKey { key, stale } => {
            vec![activate_key(&format!("k{key}"), generation(stale))]
        }
        Operation::RetireKey { key, stale } => {
            vec![
                audit(Kind::KeyRetired, key),
                Change::RetireKey { id: format!("k{key}"), generation: generation(stale) },
            ]
        }
        Operation::SetStateEpoch(_) => vec![],
        Operation::RequireStateEpoch { stale } => {
            vec![
                audit(Kind::TicketRefused, 0),
                Change::RequireStateEpoch(if stale { state_epoch + 1 } else { state_epoch }),
            ]
        }
    }
}

fn queries(names: &Names) -> Vec<Query> {
    let mut queries: Vec<Query> = (0..6).map(|i| Query::Ticket(TicketDigest(ticket(i).digest.0))).collect();
    queries.extend((0..6).map(|i| Query::TicketById(ticket(i).id)));
    queries.push(Query::Keys);
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
                assertion: None,
            })
        }));
        queries.push(Query::Issue(IssueQuery {
            bearer: Some(bearer(0)),
            user: Some(UserRef::Any(user.as_str().trim_start_matches("usr_").into())),
            actor: Some(user.into()),
            audience: names.clients.first().cloned(),
        }));
    }
    queries.push(Query::Issue(IssueQuery { bearer: None, user: None, actor: None, audience: None }));
    queries.extend((0..6).map(|i| Query::Session(SessionId::parse(&format!("ses_{i}")).unwrap())));
    for user in names.users.iter().take(USERS) {
        let name = user.as_str().trim_start_matches("usr_");
        let first = names.users.first().map(|first| first.as_str().trim_start_matches("usr_").to_owned());
        let asked: Vec<String> = first.into_iter().chain(["U1@example.com".into(), "u2".into()]).collect();
        for who in [UserRef::from(user), UserRef::Any(name.into())] {
            queries.push(Query::Account(who.clone()));
            queries.extend(
                [Vec::new(), asked.clone()]
                    .map(|identifiers| Query::User(UserQuery { user: who.clone(), identifiers })),
            );
        }
    }
    queries
}

/// Follows every list from page to page, whatever order its records are in.
fn lists(names: &Names, limit: usize, read: impl Fn(&Query) -> Found) -> Vec<Vec<String>> {
    let users = names.users.iter().cloned().map(Some).chain([None]);
    let sessions = users.map(|user| -> Box<dyn Fn(PageQuery) -> Query> {
        Box::new(move |page| Query::SessionPage(SessionPageQuery { user: user.clone(), page }))
    });
    let mut all: Vec<Box<dyn Fn(PageQuery) -> Query>> =
        vec![Box::new(Query::UserPage), Box::new(Query::ClientPage), Box::new(Query::TicketPage)];
    all.extend(sessions);
    let list = |query: &dyn Fn(PageQuery) -> Query| {
        let (mut listed, mut page) = (vec![], PageQuery::new(None, limit));
        loop {
            let (items, next) = match read(&query(page)).records {
                Records::UserPage(page) => shown(page),
                Records::ClientPage(page) => shown(page),
                Records::TicketPage(page) => shown(page),
                Records::SessionPage(page) => shown(page),
                other => panic!("{other:?}"),
            };
            assert!(items.len() <= limit, "{} records on a page of {limit}", items.len());
            listed.extend(items);
            if next.is_none() {
                listed.sort_unstable();
                return listed;
            }
            page = PageQuery::new(next, limit);
        }
    };
    all.iter().map(|query| list(query)).collect()
}

fn shown<T: std::fmt::Debug>(page: Page<T>) -> (Vec<String>, Option<Cursor>) {
    (page.items.iter().map(|item| format!("{item:?}")).collect(), page.next)
}

/// Runs `operations` on an engine and in memory. Both must agree on every outcome and every answer.
fn agree<E: Engine>(operations: &[Operation]) -> Result<(), TestCaseError> {
    let fixture = E::with_records();
    let store = fixture.open();
    let mut tables = fixtures::tables();
    tables.generation = 1;
    // The records that an engine begins with have no password.
    tables.passwords.clear();
    let names = Names {
        users: tables.users.keys().cloned().collect(),
        clients: tables.clients.keys().cloned().collect(),
    };
    for operation in operations {
        if let Operation::SetStateEpoch(epoch) = *operation {
            fixture.set_state_epoch(epoch);
            tables.state_epoch = epoch;
        }
        let changes = changes(operation, &names, &tables);
        let expected = tables.commit(&changes);
        prop_assert_eq!(commit(&store, changes), expected, "{:?}", operation);
    }
    let queries = queries(&names);
    for query in &queries {
        prop_assert_eq!(store.read(query), tables.read(query), "{:?}", query);
    }
    let expected = lists(&names, 500, |query| tables.read(query));
    for limit in [1, 2, 500] {
        prop_assert_eq!(lists(&names, limit, |query| store.read(query)), expected.clone(), "{}", limit);
    }
    let together = store.read_all(&queries.iter().collect::<Vec<_>>()).unwrap();
    prop_assert_eq!(together, queries.iter().map(|query| tables.read(query)).collect::<Vec<_>>());
    prop_assert_eq!(store.keys().unwrap().keys, tables.keys);
    prop_assert!(audit(&*store).into_iter().map(|row| row.event).eq(tables.audit));
    fixture.check();
    Ok(())
}

on_every_engine!(it_behaves_as_memory, what_a_deleted_user_leaves_keeps_its_ids_until_it_is_swept);

fn it_behaves_as_memory<E: Engine>() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner.run(&proptest::collection::vec(operation(), 1..80), |operations| agree::<E>(&operations)).unwrap();
}

fn what_a_deleted_user_leaves_keeps_its_ids_until_it_is_swept<E: Engine>() {
    let issue = |user| Operation::Issue { ticket: 0, user, actor: None, by: None };
    let redeem = |ticket, user| Operation::Redeem { ticket, session: 1, user, by: None };
    let second = Operation::Issue { ticket: 1, user: 0, actor: None, by: None };
    agree::<E>(&[issue(1), redeem(0, 1), Operation::DeleteUser(1), second, redeem(1, 0)]).unwrap();
}
