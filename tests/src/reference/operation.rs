//! All operations: every endpoint, the administrator's commands, time and restarts. An operation picks its subject by
//! position, the newest first, so that it keeps its meaning when earlier ones are removed.

use gatepass_core::records::role::{Role, Roles};
use proptest::prelude::*;
use proptest::sample::select;

use super::model::{Caller, DeviceOnNetwork, Name};
use crate::fixtures::{KIM_PASSWORD, PAM_PASSWORD};

/// One of a few `Idempotency-Key`s.
pub type Key = u8;

/// The `n`th newest of its kind.
pub type Pick = usize;

/// An access token of either kind.
#[derive(Clone, Copy, Debug)]
pub enum Bearer {
    /// A user's.
    Person(Pick),
    /// A service's.
    Service(Pick),
}

/// A token of any kind.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    /// An access token.
    Access(Bearer),
    /// A refresh token.
    Refresh(Pick),
}

/// The issuer of a ticket.
#[derive(Clone, Copy, Debug)]
pub enum Issuer {
    /// The command line.
    Command,
    /// The bearer of a token.
    Bearer(Bearer),
}

/// A second factor, right or wrong.
#[derive(Clone, Copy, Debug)]
pub enum Code {
    /// The code of a device, so many steps of 30 seconds from now.
    Totp(Pick, i64),
    /// One of the backup codes that came with a device.
    Backup(Pick, usize),
    /// A wrong code.
    Wrong,
}

/// The parameters of a ticket.
#[derive(Clone, Copy, Debug)]
pub struct TicketSpec {
    /// The user.
    pub user: Name,
    /// The client it is for.
    pub audience: Option<Name>,
    /// True if the redeemer must be that client.
    pub bind: bool,
    /// True if it must be redeemed from the [usual network](DeviceOnNetwork::here).
    pub here: bool,
    /// The user who acts as `user`.
    pub actor: Option<Name>,
    /// True if a reason is given.
    pub reason: bool,
    /// The lifetime.
    pub ttl: Option<u64>,
    /// The scope.
    pub scope: Option<&'static str>,
}

/// A request to `/admin/v1`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are whom it is about, and the new value")]
pub enum Act {
    ListHolders,
    GiveRoles(Name, Roles),
    TakeRoles(Name),
    SetPassword(Name, &'static str),
    RequireChange(Name),
    ResetFactors(Name),
    SetEmail(Name, &'static str),
    Disable(Name),
    Enable(Name),
    Delete(Name),
    Unlock(Name),
    EndSessions(Name),
    DisableClient(Name),
    EnableClient(Name),
    DeleteClient(Name),
    AddSecret(Name),
}

impl Act {
    /// Returns its name.
    pub fn name(&self) -> String {
        first_word(self)
    }
}

/// An operation.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are the parameters of what is named")]
pub enum Operation {
    Wait(u64),
    Again(usize),
    Restart,
    Sweep,
    PutBack,
    Issue {
        by: Issuer,
        spec: TicketSpec,
    },
    Redeem {
        ticket: Pick,
        caller: Caller,
        place: DeviceOnNetwork,
        stated: bool,
        key: Option<Key>,
    },
    Login {
        user: Name,
        right: bool,
        scope: Option<&'static str>,
        caller: Caller,
        place: DeviceOnNetwork,
        stated: bool,
    },
    Answer {
        challenge: Pick,
        code: Code,
        caller: Caller,
        key: Option<Key>,
    },
    Refresh {
        token: Pick,
        caller: Caller,
        grant: bool,
        scope: Option<&'static str>,
    },
    Credentials {
        caller: Caller,
        scope: Option<&'static str>,
    },
    UserInfo(Bearer),
    Introspect {
        token: Token,
        caller: Caller,
    },
    Revoke {
        token: Token,
        caller: Caller,
    },
    ChangePassword {
        bearer: Bearer,
        right: bool,
        new: &'static str,
    },
    Sessions(Bearer),
    EndSessions(Bearer),
    EndSession {
        bearer: Bearer,
        session: Pick,
    },
    SetUp {
        bearer: Bearer,
        code: Option<Code>,
    },
    Verify {
        bearer: Bearer,
        device: Option<Pick>,
        code: Code,
    },
    Devices(Bearer),
    Remove {
        bearer: Bearer,
        device: Pick,
        code: Code,
    },
    Administer {
        bearer: Bearer,
        act: Act,
    },
    GiveRoles(Name, Roles),
    GiveClientRoles(Name, Roles),
    Disable(Name),
    Enable(Name),
    Delete(Name),
    RequireChange(Name),
    Unlock(Name),
    ResetFactors(Name),
    SetPassword(Name, &'static str),
    EndAllByCommand(Name),
    EndByCommand(Pick),
    RevokeTicket(Pick),
    DisableClient(Name),
    EnableClient(Name),
    DeleteClient(Name),
    AddClient(Name),
    NarrowClient(Name),
    WidenClient(Name),
}

impl Operation {
    /// Returns its name.
    pub fn name(&self) -> String {
        first_word(self)
    }
}

fn first_word(shown: &impl std::fmt::Debug) -> String {
    let shown = format!("{shown:?}");
    shown.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().to_owned()
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![12 => Just(0), 3 => Just(1), 2 => 2..6usize]
}

fn user() -> impl Strategy<Value = Name> {
    prop_oneof![6 => Just("pam"), 3 => Just("boss"), 2 => Just("kim"), 2 => Just("alice")]
}

fn client() -> impl Strategy<Value = Name> {
    select(vec!["backend", "portal"])
}

fn caller() -> impl Strategy<Value = Caller> {
    prop_oneof![
        5 => Just(Caller::Nobody),
        4 => client().prop_map(Caller::Client),
        1 => client().prop_map(Caller::Impostor),
    ]
}

fn known() -> impl Strategy<Value = Caller> {
    prop_oneof![5 => client().prop_map(Caller::Client), 1 => caller()]
}

/// Whoever sends a login: mostly no client.
fn asker() -> impl Strategy<Value = Caller> {
    prop_oneof![5 => Just(Caller::Nobody), 2 => Just(Caller::Client("portal")), 1 => caller()]
}

/// Whoever answers a challenge: mostly the client that one may be bound to.
fn answerer() -> impl Strategy<Value = Caller> {
    prop_oneof![6 => Just(Caller::Client("portal")), 1 => caller()]
}

/// True if the place is stated in the body, and not shown by the connection.
fn stated() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn place() -> impl Strategy<Value = DeviceOnNetwork> {
    let device = prop_oneof![3 => Just("laptop"), 2 => Just("phone"), 1 => Just("kiosk")];
    (device, prop::bool::weighted(0.9)).prop_map(|(device, here)| DeviceOnNetwork { device, here })
}

fn bearer() -> impl Strategy<Value = Bearer> {
    prop_oneof![9 => pick().prop_map(Bearer::Person), 1 => pick().prop_map(Bearer::Service)]
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![
        2 => bearer().prop_map(Token::Access),
        1 => pick().prop_map(|pick| Token::Access(Bearer::Service(pick))),
        3 => pick().prop_map(Token::Refresh),
    ]
}

fn code() -> impl Strategy<Value = Code> {
    let late = prop_oneof![6 => Just(0), 3 => Just(1), 1 => -2..=2i64];
    prop_oneof![
        7 => (pick(), late).prop_map(|(device, late)| Code::Totp(device, late)),
        2 => (pick(), 0..3usize).prop_map(|(device, number)| Code::Backup(device, number)),
        2 => Just(Code::Wrong),
    ]
}

fn scope() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some("email"), Some("profile email"), Some("orders:read"), Some("gatepass:admin")])
}

/// The scope of a sign-in by password.
fn sign_in_scope() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![
        8 => Just(None),
        2 => Just(Some("profile gatepass:admin")),
        1 => Just(Some("gatepass:admin")),
        1 => Just(Some("email")),
    ]
}

fn roles() -> impl Strategy<Value = Roles> {
    let one = select(Role::ALL.to_vec()).prop_map(|role| Roles::of(&[role]));
    let two = Roles::of(&[Role::Operator, Role::Officer]);
    prop_oneof![6 => one, 1 => Just(two), 1 => Just(Roles::NONE)]
}

/// A request to administer.
fn act() -> impl Strategy<Value = Act> {
    let domain = select(vec!["example.com", "example.org"]);
    prop_oneof![
        3 => Just(Act::ListHolders),
        5 => (user(), roles()).prop_map(|(user, roles)| Act::GiveRoles(user, roles)),
        2 => user().prop_map(Act::TakeRoles),
        2 => (user(), select(vec![PAM_PASSWORD, KIM_PASSWORD])).prop_map(|(user, new)| Act::SetPassword(user, new)),
        2 => user().prop_map(Act::RequireChange),
        2 => user().prop_map(Act::ResetFactors),
        3 => (user(), domain).prop_map(|(user, domain)| Act::SetEmail(user, domain)),
        2 => user().prop_map(Act::Disable),
        4 => user().prop_map(Act::Enable),
        1 => user().prop_map(Act::Delete),
        1 => user().prop_map(Act::Unlock),
        1 => user().prop_map(Act::EndSessions),
        1 => client().prop_map(Act::DisableClient),
        2 => client().prop_map(Act::EnableClient),
        1 => client().prop_map(Act::DeleteClient),
        2 => client().prop_map(Act::AddSecret),
    ]
}

fn administer(bearer: Bearer) -> Part {
    act().prop_map(move |act| Operation::Administer { bearer, act }).boxed()
}

fn issue() -> impl Strategy<Value = Operation> {
    let by = prop_oneof![
        4 => Just(Issuer::Command),
        6 => pick().prop_map(|pick| Issuer::Bearer(Bearer::Service(pick))),
        1 => pick().prop_map(|pick| Issuer::Bearer(Bearer::Person(pick))),
    ];
    let audience = prop_oneof![2 => Just(None), 1 => client().prop_map(Some)];
    let actor = prop_oneof![5 => Just(None), 1 => user().prop_map(Some), 1 => Just(Some("boss"))];
    let ttl = prop_oneof![8 => Just(None), 1 => Just(Some(60)), 1 => Just(Some(3_600)), 1 => Just(Some(0))];
    let scope = prop_oneof![6 => Just(None), 2 => Just(Some("profile email")), 1 => Just(Some("ticket:issue")), 1 => Just(Some("gatepass:admin"))];
    let (seldom, often) = (prop::bool::weighted(0.2), prop::bool::weighted(0.9));
    (by, user(), audience, (seldom, seldom, often), actor, ttl, scope).prop_map(
        |(by, user, audience, (bind, here, reason), actor, ttl, scope)| Operation::Issue {
            by,
            spec: TicketSpec { user, audience, bind, here, actor, reason, ttl, scope },
        },
    )
}

fn passing() -> impl Strategy<Value = u64> {
    let day = 86_400;
    prop_oneof![
        60 => select(vec![1, 3, 9, 10, 30]),
        30 => select(vec![31, 60, 299, 300]),
        4 => select(vec![1_800, 3_600, 7_201]),
        2 => select(vec![day, 14 * day, 30 * day, 80 * day, 98 * day]),
    ]
}

fn credentials() -> impl Strategy<Value = Operation> {
    let scope = prop_oneof![
        4 => Just(Some("ticket:issue ticket:impersonate")),
        1 => Just(Some("ticket:issue")),
        1 => Just(Some("ticket:issue gatepass:admin")),
        1 => scope(),
    ];
    let caller = prop_oneof![4 => Just(Caller::Client("backend")), 2 => caller()];
    (caller, scope).prop_map(|(caller, scope)| Operation::Credentials { caller, scope })
}

fn by_a_person() -> impl Strategy<Value = Operation> {
    let new =
        select(vec!["a fresh password", "another password", "correct horse battery", "short", "password1"]);
    let code_or_none = prop_oneof![3 => Just(None), 1 => code().prop_map(Some)];
    let named = prop_oneof![2 => Just(None), 1 => pick().prop_map(Some)];
    prop_oneof![
        2 => bearer().prop_map(Operation::UserInfo),
        2 => (bearer(), prop::bool::weighted(0.8), new)
            .prop_map(|(bearer, right, new)| Operation::ChangePassword { bearer, right, new }),
        4 => bearer().prop_map(Operation::Sessions),
        4 => bearer().prop_map(Operation::EndSessions),
        2 => (bearer(), pick()).prop_map(|(bearer, session)| Operation::EndSession { bearer, session }),
        5 => (bearer(), code_or_none).prop_map(|(bearer, code)| Operation::SetUp { bearer, code }),
        6 => (bearer(), named, code()).prop_map(|(bearer, device, code)| Operation::Verify { bearer, device, code }),
        2 => bearer().prop_map(Operation::Devices),
        2 => (bearer(), pick(), code())
            .prop_map(|(bearer, device, code)| Operation::Remove { bearer, device, code }),
    ]
}

fn by_an_administrator() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => user().prop_map(Operation::Disable),
        8 => user().prop_map(Operation::Enable),
        1 => user().prop_map(Operation::Delete),
        2 => user().prop_map(Operation::RequireChange),
        2 => user().prop_map(Operation::Unlock),
        1 => user().prop_map(Operation::ResetFactors),
        1 => (user(), select(vec![PAM_PASSWORD, KIM_PASSWORD]))
            .prop_map(|(user, new)| Operation::SetPassword(user, new)),
        1 => user().prop_map(Operation::EndAllByCommand),
        1 => pick().prop_map(Operation::EndByCommand),
        2 => pick().prop_map(Operation::RevokeTicket),
        2 => client().prop_map(Operation::DisableClient),
        8 => client().prop_map(Operation::EnableClient),
        1 => client().prop_map(Operation::DeleteClient),
        8 => client().prop_map(Operation::AddClient),
        1 => Just(Operation::NarrowClient("backend")),
        4 => Just(Operation::WidenClient("backend")),
        2 => (user(), roles()).prop_map(|(user, roles)| Operation::GiveRoles(user, roles)),
        2 => (client(), roles()).prop_map(|(client, roles)| Operation::GiveClientRoles(client, roles)),
    ]
}

type Part = BoxedStrategy<Operation>;

fn just(operation: Operation) -> Part {
    Just(operation).boxed()
}

/// A ticket issued by the command line.
fn ticket(user: Name, audience: Option<Name>, actor: Option<Name>) -> Part {
    let spec = TicketSpec {
        user,
        audience,
        bind: false,
        here: false,
        actor,
        reason: true,
        ttl: None,
        scope: Some("profile email"),
    };
    just(Operation::Issue { by: Issuer::Command, spec })
}

/// A service's token, and a ticket for a wider scope than usual, which is then presented. Its scope may be narrowed
/// before and after.
fn narrowed() -> Vec<Part> {
    let narrow = || just(Operation::NarrowClient("backend"));
    let scope = Some("ticket:issue");
    let spec = TicketSpec {
        user: "pam",
        audience: Some("portal"),
        bind: false,
        here: false,
        actor: None,
        reason: true,
        ttl: None,
        scope: Some("profile email"),
    };
    let mut parts = enrols();
    parts.extend([
        just(Operation::WidenClient("backend")),
        just(Operation::Credentials { caller: Caller::Client("backend"), scope }),
        just(Operation::Issue { by: Issuer::Bearer(Bearer::Service(0)), spec }),
        prop_oneof![2 => redeem(Caller::Nobody), 1 => narrow()].boxed(),
        redeem(Caller::Nobody),
        narrow(),
        answer(),
        refresh(),
    ]);
    parts
}

fn redeem(caller: Caller) -> Part {
    (place(), stated(), key())
        .prop_map(move |(place, stated, key)| Operation::Redeem { ticket: 0, caller, place, stated, key })
        .boxed()
}

fn key() -> impl Strategy<Value = Option<Key>> {
    prop_oneof![3 => Just(None), 3 => Just(Some(0)), 1 => Just(Some(1))]
}

/// A redemption with a key, the same again from the usual device, and anything in between.
fn redeem_again(caller: Caller) -> Vec<Part> {
    let place = DeviceOnNetwork { device: "laptop", here: true };
    let redeem = move || just(Operation::Redeem { ticket: 0, caller, place, stated: false, key: Some(0) });
    vec![redeem(), soon(), redeem(), between(), redeem()]
}

/// A keyed answer, the same again, and another code.
fn answer_again() -> Vec<Part> {
    let caller = Caller::Nobody;
    let keyed = |code| just(Operation::Answer { challenge: 0, code, caller, key: Some(0) });
    let code = select(vec![Code::Totp(0, 0), Code::Totp(0, 1), Code::Backup(0, 0)]);
    let codes =
        code.prop_map(move |code| Operation::Answer { challenge: 0, code, caller, key: Some(0) }).boxed();
    vec![wait(), login(true), codes.clone(), again(), between(), keyed(Code::Wrong), again(), codes]
}

fn soon() -> Part {
    prop_oneof![3 => Just(Operation::Restart), 2 => select(vec![1, 30, 59, 60]).prop_map(Operation::Wait)]
        .boxed()
}

fn login(right: bool) -> Part {
    (asker(), place(), stated())
        .prop_map(move |(caller, place, stated)| Operation::Login {
            user: "pam",
            right,
            scope: None,
            caller,
            place,
            stated,
        })
        .boxed()
}

fn answer() -> Part {
    (code(), answerer(), key())
        .prop_map(|(code, caller, key)| Operation::Answer { challenge: 0, code, caller, key })
        .boxed()
}

fn refresh() -> Part {
    let lately = prop_oneof![4 => Just(0), 1 => Just(1)];
    let scope = prop_oneof![2 => Just(None), 1 => scope()];
    (lately, any::<bool>(), scope)
        .prop_map(|(token, grant, scope)| Operation::Refresh {
            token,
            caller: Caller::Client("portal"),
            grant,
            scope,
        })
        .boxed()
}

fn anything() -> Part {
    operation().boxed()
}

fn wait() -> Part {
    passing().prop_map(Operation::Wait).boxed()
}

/// An operation that may come in between.
fn between() -> Part {
    let long = select(vec![60, 300, 1_800, 14 * 86_400, 30 * 86_400, 98 * 86_400]);
    prop_oneof![
        4 => by_an_administrator(),
        4 => long.prop_map(Operation::Wait),
        2 => select(vec![Operation::DisableClient("portal"), Operation::DisableClient("backend")]),
        2 => select(vec![Operation::DeleteClient("portal"), Operation::DeleteClient("backend")]),
        1 => Just(Operation::NarrowClient("backend")),
        2 => select(vec![Operation::Disable("pam"), Operation::Disable("boss"), Operation::RequireChange("pam")]),
        1 => Just(Operation::PutBack),
        4 => operation(),
    ]
    .boxed()
}

fn again() -> Part {
    (1..11usize).prop_map(Operation::Again).boxed()
}

/// The holder of the newest token enrols a device.
fn enrols() -> Vec<Part> {
    let bearer = Bearer::Person(0);
    let verify = Operation::Verify { bearer, device: None, code: Code::Totp(0, 0) };
    vec![just(Operation::SetUp { bearer, code: None }), just(verify)]
}

/// A client gets a role and a token that administers, and uses it.
fn client_administers() -> Vec<Part> {
    let role = prop_oneof![Just(Role::Officer), Just(Role::Operator)];
    let given = role.prop_map(|role| Operation::GiveClientRoles("backend", Roles::of(&[role]))).boxed();
    let caller = Caller::Client("backend");
    let asks = just(Operation::Credentials { caller, scope: Some("gatepass:admin") });
    let by = || administer(Bearer::Service(0));
    vec![given, asks, by(), by(), between(), by(), by()]
}

/// A person enrols, gets a role, signs in to administer, and does so.
fn person_administers() -> Vec<Part> {
    let (place, caller) = (DeviceOnNetwork { device: "laptop", here: true }, Caller::Nobody);
    let role = prop_oneof![3 => Just(Role::Officer), 3 => Just(Role::Operator), 1 => Just(Role::Auditor)];
    let given = role.prop_map(|role| Operation::GiveRoles("pam", Roles::of(&[role]))).boxed();
    let another = (user(), roles()).prop_map(|(user, roles)| Operation::GiveRoles(user, roles)).boxed();
    let scope = Some("profile gatepass:admin");
    let login = Operation::Login { user: "pam", right: true, scope, caller, place, stated: false };
    let code = select(vec![Code::Totp(0, 1), Code::Totp(0, 1), Code::Backup(0, 0), Code::Wrong]);
    let answer =
        code.prop_map(move |code| Operation::Answer { challenge: 0, code, caller, key: Some(0) }).boxed();
    let by = || administer(Bearer::Person(0));
    let mut parts = vec![ticket("pam", None, None), redeem(caller)];
    parts.extend(enrols());
    parts.extend([another, given, just(login), answer, by(), by(), between(), by(), by()]);
    parts
}

/// A refresh token is used, and again too late.
fn reused() -> Vec<Part> {
    let caller = Caller::Client("portal");
    let refresh = |token| just(Operation::Refresh { token, caller, grant: true, scope: None });
    vec![
        ticket("pam", Some("portal"), None),
        redeem(caller),
        refresh(0),
        just(Operation::Wait(30)),
        refresh(1),
    ]
}

/// Two sessions of a user set up a device each, and the later one verifies first.
fn two_at_once() -> Vec<Part> {
    let set_up = || just(Operation::SetUp { bearer: Bearer::Person(0), code: None });
    let verify =
        |at| Operation::Verify { bearer: Bearer::Person(at), device: Some(at), code: Code::Totp(at, 0) };
    vec![login(true), set_up(), login(true), set_up(), just(verify(0)), just(verify(1))]
}

/// A client revokes an access token, which is then used again.
fn revoked(mut parts: Vec<Part>, bearer: Bearer, caller: Caller) -> Vec<Part> {
    parts.push(just(Operation::Revoke { token: Token::Access(bearer), caller }));
    parts.push(just(Operation::UserInfo(bearer)));
    parts
}

/// Wrong guesses, followed by a right one.
fn guesses() -> impl Strategy<Value = Vec<Part>> {
    let newest = Bearer::Person(0);
    let change = |right| just(Operation::ChangePassword { bearer: newest, right, new: "a fresh password" });
    let set_up = |code| just(Operation::SetUp { bearer: newest, code: Some(code) });
    let remove = |code| just(Operation::Remove { bearer: newest, device: 0, code });
    let first = enrols();
    let elsewhere = login(true);
    let caller = Caller::Client("portal");
    let wrong = just(Operation::Answer { challenge: 0, code: Code::Wrong, caller, key: None });
    select(vec![
        vec![login(false), again(), wait(), login(true)],
        vec![change(false), again(), wait(), change(true)],
        vec![set_up(Code::Wrong), again(), set_up(Code::Totp(0, 1)), answer()],
        vec![login(true), wrong, again(), answer()],
        vec![
            first[0].clone(),
            first[1].clone(),
            remove(Code::Wrong),
            again(),
            again(),
            wait(),
            remove(Code::Totp(0, 1)),
        ],
        vec![
            first[0].clone(),
            first[1].clone(),
            remove(Code::Wrong),
            again(),
            again(),
            login(true),
            answer(),
        ],
        vec![
            first[0].clone(),
            first[1].clone(),
            elsewhere.clone(),
            elsewhere,
            set_up(Code::Wrong),
            again(),
            again(),
            set_up(Code::Totp(0, 1)),
        ],
    ])
}

/// Related operations, any of which may be left out.
fn scene() -> impl Strategy<Value = Vec<Option<Operation>>> {
    let portal = Caller::Client("portal");
    let parts = prop_oneof![
        30 => Just(vec![anything()]),
        3 => user().prop_map(|user| vec![ticket(user, None, None), redeem(Caller::Nobody)]),
        3 => Just(vec![credentials().boxed(), issue().boxed(), redeem(Caller::Nobody)]),
        2 => Just(vec![credentials().boxed(), issue().boxed(), between(), redeem(portal)]),
        4 => user().prop_map(move |user| {
            vec![ticket(user, Some("portal"), None), redeem(portal), between(), answer(), refresh(), between(), refresh()]
        }),
        2 => Just(vec![ticket("pam", Some("portal"), Some("boss")), redeem(portal), between(), refresh()]),
        5 => Just(enrols()),
        2 => user().prop_map(|user| [vec![ticket(user, None, None)], redeem_again(Caller::Nobody)].concat()),
        1 => Just([vec![ticket("pam", Some("portal"), None)], redeem_again(portal)].concat()),
        2 => Just(answer_again()),
        4 => Just(vec![wait(), login(true), answer()]),
        3 => Just(vec![wait(), login(true), between(), answer()]),
        3 => guesses(),
        1 => Just(two_at_once()),
        1 => Just(reused()),
        3 => Just(client_administers()),
        4 => Just(person_administers()),
        1 => Just(narrowed()),
        1 => Just(revoked(vec![credentials().boxed()], Bearer::Service(0), Caller::Client("backend"))),
        1 => Just(revoked(vec![ticket("pam", Some("portal"), None), redeem(portal)], Bearer::Person(0), portal)),
    ];
    parts.prop_flat_map(|parts| {
        parts.into_iter().map(|part| prop::option::weighted(0.97, part)).collect::<Vec<_>>()
    })
}

/// Returns sequences for answers that random ones seldom get.
pub fn seldom() -> Vec<Vec<Operation>> {
    let (caller, bearer) = (Caller::Client("portal"), Bearer::Person(0));
    let spec = TicketSpec {
        user: "pam",
        audience: Some("portal"),
        bind: false,
        here: false,
        actor: Some("boss"),
        reason: true,
        ttl: None,
        scope: None,
    };
    let place = DeviceOnNetwork { device: "laptop", here: true };
    let impersonated = vec![
        Operation::Issue { by: Issuer::Command, spec },
        Operation::Redeem { ticket: 0, caller, place, stated: false, key: None },
        Operation::EndSession { bearer, session: 0 },
    ];
    vec![impersonated]
}

/// Generates a sequence of at most `longest` operations.
pub fn operations(longest: usize) -> impl Strategy<Value = Vec<Operation>> {
    let scenes = prop::collection::vec(scene(), 1..=longest / 2);
    scenes.prop_map(move |scenes| scenes.into_iter().flatten().flatten().take(longest).collect())
}

/// Generates any operation.
fn operation() -> impl Strategy<Value = Operation> {
    let identity = prop_oneof![12 => user(), 1 => Just("nobody")];
    let lately = prop_oneof![5 => Just(0), 3 => Just(1), 1 => 2..4usize];
    let refresh = (lately, caller(), any::<bool>(), scope())
        .prop_map(|(token, caller, grant, scope)| Operation::Refresh { token, caller, grant, scope });
    prop_oneof![
        8 => passing().prop_map(Operation::Wait),
        4 => prop_oneof![4 => Just(1), 1 => 2..11usize].prop_map(Operation::Again),
        1 => Just(Operation::Restart),
        1 => Just(Operation::Sweep),
        1 => Just(Operation::PutBack),
        10 => issue(),
        12 => (pick(), caller(), place(), stated(), key()).prop_map(|(ticket, caller, place, stated, key)| {
            Operation::Redeem { ticket, caller, place, stated, key }
        }),
        8 => (identity, prop::bool::weighted(0.7), sign_in_scope(), asker(), place(), stated()).prop_map(
            |(user, right, scope, caller, place, stated)| {
                Operation::Login { user, right, scope, caller, place, stated }
            }
        ),
        6 => (pick(), code(), answerer(), key())
            .prop_map(|(challenge, code, caller, key)| Operation::Answer { challenge, code, caller, key }),
        10 => refresh,
        6 => credentials(),
        8 => (token(), known()).prop_map(|(token, caller)| Operation::Introspect { token, caller }),
        3 => (token(), known()).prop_map(|(token, caller)| Operation::Revoke { token, caller }),
        34 => by_a_person(),
        12 => by_an_administrator(),
        6 => (bearer(), act()).prop_map(|(bearer, act)| Operation::Administer { bearer, act }),
    ]
}
