//! Two administrators who decide at the same time, while a client issues tickets.

use gatepass_core::admin::clients::{AddClient, DeleteClient, DisableClient, EnableClient, SetClient};
use gatepass_core::admin::keys::{ActivateKey, AddKey, RetireKey, RotateKey, StopKey};
use gatepass_core::admin::roles::SetUserRoles;
use gatepass_core::admin::users::{AddUser, DeleteUser, DisableUser, SetUser};
use gatepass_core::admin::{Administrator, ClientFields, Operation, UserFields};
use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::engine::Engine;
use gatepass_core::jose::key::SigningKey;
use gatepass_core::records::client::{Client, ClientRef};
use gatepass_core::records::id::ClientId;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::signing_key::{KeyState, StoredKey};
use gatepass_core::records::user::{User, Username};
use gatepass_core::store::change::Change;
use gatepass_core::store::query::Query;
use gatepass_tests::administrator;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, asks_for_token, client_id, inputs, request, user_id,
};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use serde_json::{Value, json};

use super::explorer::{ActorResult, Explorer, Promises, Transition, Verdict, promised};

fn backend() -> ClientId {
    client_id("backend")
}

/// Reads and decides as an administrator's operation does. Two of the same `seed` draw the same identifiers.
pub(crate) fn operates<O: Operation + 'static>(
    seed: u64,
    operation: impl Fn() -> O,
) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    let settings = fixtures::asking().settings().clone();
    move |tables, now| {
        let inputs = inputs(now, seed);
        let decided = administrator::decide(operation(), inputs, &settings, &|query| tables.read(query))?;
        Some(decided.changes().to_vec())
    }
}

/// Takes the roles of somebody, as a client does over HTTP that is an officer.
fn takes_roles(name: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    let settings = fixtures::asking().settings().clone();
    move |tables, now| {
        let take = SetUserRoles { user: (&user_id(name)).into(), roles: Roles::NONE };
        let (by, read) = (Administrator::Client(backend()), |query: &Query| tables.read(query));
        let decided = administrator::decide_as(take, by, inputs(now, 1), &settings, &read)?;
        Some(decided.changes().to_vec())
    }
}

pub(crate) fn disables(name: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    operates(1, move || DisableUser { user: (&user_id(name)).into() })
}

pub(crate) fn deletes(name: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    operates(1, move || DeleteUser { user: (&user_id(name)).into() })
}

fn renames(name: &'static str, to: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    operates(1, move || SetUser {
        user: (&user_id(name)).into(),
        username: Username::parse(to).ok(),
        fields: UserFields::default(),
    })
}

fn adds(seed: u64, name: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    operates(seed, move || AddUser {
        username: Username::parse(name).expect("a user name"),
        fields: UserFields::default(),
        password: None,
    })
}

/// Adds somebody under the identifier of a deleted user, which no operation would.
fn adds_again(tables: &Tables, now: Time) -> Option<Vec<Change>> {
    let user = User::new(user_id("lou"), Username::parse("lou").ok()?, now);
    tables.users.values().all(|other| other.username != user.username).then(|| vec![Change::InsertUser(user)])
}

fn nothing(_: &Transition<'_>) -> Verdict {
    Ok(())
}

fn done(told: &[ActorResult<'_>]) -> usize {
    told.iter().filter(|told| told.is_done()).count()
}

pub(crate) fn users<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let tables = Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() };
    let check_state = |tables: &Tables, told: &[ActorResult<'_>]| {
        let disabled = tables.users.get(&user_id("fay")).is_none_or(|fay| !fay.is_active());
        promised(disabled || !told[0].is_done(), "whoever was disabled is")?;
        promised(done(&told[2..4]) <= 1, "a user is deleted once")?;
        promised(done(&told[4..6]) <= 1, "an id is given once")?;
        let again = tables.users.contains_key(&user_id("lou")) && done(&told[2..4]) == 1;
        promised(!again, "nobody gets the id of somebody who was deleted")?;
        let forms = tables.users.values().flat_map(|user| user.canonical_identifiers(None));
        let mut forms: Vec<_> = forms.map(|(_, form)| form).collect();
        forms.sort_unstable();
        promised(forms.windows(2).all(|pair| pair[0] != pair[1]), "an identifier is one user's")
    };
    Explorer::new(
        engine,
        tables,
        &[NOON],
        Promises { check_transition: nothing, check_state: Box::new(check_state) },
    )
    .commands("one who disables", disables("fay"))
    .commands("one who renames", renames("fay", "zoe"))
    .commands("one who deletes", deletes("lou"))
    .commands("another who deletes", deletes("lou"))
    .commands("one who adds", adds(2, "zoe"))
    .commands("another who adds", adds(2, "max"))
    .commands("a third who adds", adds(3, "max"))
    .commands("one who adds her again", adds_again)
}

/// Two officers, whose roles are taken at the same time.
pub(crate) fn officers<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let mut tables = Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() };
    for name in ["fay", "lou"] {
        let user = tables.users.get_mut(&user_id(name)).expect("a user");
        user.roles = Roles::of(&[Role::Officer]);
    }
    let check_state = |tables: &Tables, _: &[ActorResult<'_>]| {
        let is_officer = |user: &User| user.is_active() && user.roles.contains(Role::Officer);
        promised(tables.users.values().any(is_officer), "an officer is left")
    };
    let promises = Promises { check_transition: nothing, check_state: Box::new(check_state) };
    Explorer::new(engine, tables, &[NOON], promises)
        .commands("one who takes the role of fay", takes_roles("fay"))
        .commands("one who takes the role of lou", takes_roles("lou"))
}

pub(crate) fn disables_client(id: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    operates(1, move || DisableClient { client: client_id(id) })
}

fn deletes_client(id: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    operates(1, move || DeleteClient { client: client_id(id) })
}

fn named(name: &str) -> ClientFields {
    ClientFields::default().name(name).expect("a name")
}

fn adds_client(name: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    operates(1, move || AddClient::new(client_id("new"), named(name), None).expect("a client"))
}

pub(crate) fn clients<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let tables = Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() };
    let check_state = |tables: &Tables, told: &[ActorResult<'_>]| {
        let disabled = tables.clients.get(&backend()).is_none_or(|client| !client.enabled);
        promised(disabled || !told[0].is_done(), "a client that was disabled is")?;
        promised(done(&told[2..4]) <= 1, "a client is deleted once")?;
        promised(done(&told[4..6]) <= 1, "a client's id is given once")
    };
    Explorer::new(
        engine,
        tables,
        &[NOON],
        Promises { check_transition: nothing, check_state: Box::new(check_state) },
    )
    .commands("one who disables", disables_client("backend"))
    .commands("one who names", operates(1, || SetClient { client: backend(), fields: named("Renamed") }))
    .commands("one who deletes", deletes_client("closed"))
    .commands("another who deletes", deletes_client("closed"))
    .commands("one who adds", adds_client("one"))
    .commands("another who adds", adds_client("another"))
}

fn signing_key(id: &str, algorithm: &str) -> SigningKey {
    let jwk = json!({
        "kty": "oct", "kid": id, "alg": algorithm, "k": "c2l4dHktZm91ciBjaGFyYWN0ZXJzIG9mIGEgc2hhcmVkIGtleSwgYWxsIG9mIHRoZW0gZm9yIHRoZSBjaGVjaw",
    });
    SigningKey::from_jwk(jwk.to_string().as_bytes(), None).expect("a key")
}

/// A key signs and another waits. The one that waits is activated and retired, and a third is imported twice.
pub(crate) fn keys<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let key = |id, state| StoredKey::new(&signing_key(id, "HS256"), state, NOON);
    let keys = vec![key("old", KeyState::Signing), key("waiting", KeyState::Published)];
    let tables = Tables { unguarded: unguarded.to_vec(), keys, ..fixtures::tables() };
    let check_state = |tables: &Tables, told: &[ActorResult<'_>]| {
        let signing = tables.keys.iter().filter(|key| key.record.state == KeyState::Signing).count();
        promised(signing == 1, "one key signs")?;
        promised(done(&told[2..4]) <= 1, "a key's id is given once")
    };
    let rotates = || operates(1, || RotateKey { algorithm: None, at_once: true, beside: false, made: None });
    let retires = || operates(1, || RetireKey { id: "waiting".into(), at_once: true });
    let imports =
        || operates(1, || AddKey { key: signing_key("new", "HS256"), activate: true, beside: false });
    let promises = Promises { check_transition: nothing, check_state: Box::new(check_state) };
    Explorer::new(engine, tables, &[NOON], promises)
        .commands("one who activates", rotates())
        .commands("one who retires", retires())
        .commands("one who imports", imports())
        .commands("another who imports", imports())
}

/// A key signs beside the default key, and the portal chooses its algorithm: the backend does so, too, the portal does no more, the key is
/// retired, and another becomes the default key.
pub(crate) fn chosen_keys<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let key = |id, algorithm, state| StoredKey::new(&signing_key(id, algorithm), state, NOON);
    let mut beside = key("beside", "HS384", KeyState::Signing);
    beside.record.beside = true;
    let keys =
        vec![key("old", "HS256", KeyState::Signing), beside, key("waiting", "HS512", KeyState::Published)];
    let mut tables = Tables { unguarded: unguarded.to_vec(), keys, ..fixtures::tables() };
    tables.clients.values_mut().filter(|client| client.id == client_id("portal")).for_each(|portal| {
        portal.signing_algorithm = Some(Algorithm::Hs384);
    });
    let check_state = |tables: &Tables, _: &[ActorResult<'_>]| {
        let signing =
            || tables.keys.iter().map(|key| &key.record).filter(|key| key.state == KeyState::Signing);
        let mut chosen = tables.clients.values().filter_map(|client| client.signing_algorithm);
        promised(signing().filter(|key| key.is_default()).count() == 1, "one key is the default key")?;
        let signs = |algorithm| signing().any(|key| key.algorithm == algorithm);
        promised(chosen.all(signs), "a key signs of every algorithm that a client chooses")
    };
    let choose = |id, algorithm| {
        let fields = ClientFields::default().signing_algorithm(algorithm);
        operates(1, move || SetClient { client: client_id(id), fields: fields.clone() })
    };
    let activates = || ActivateKey { id: "waiting".into(), at_once: true, beside: None };
    let stops = operates(1, || StopKey { id: "beside".into() });
    let promises = Promises { check_transition: nothing, check_state: Box::new(check_state) };
    Explorer::new(engine, tables, &[NOON], promises)
        .commands("one who chooses", choose("backend", Some(Algorithm::Hs384)))
        .commands("one who chooses the default key's", choose("backend", Some(Algorithm::Hs256)))
        .commands("one who chooses none", choose("portal", None))
        .commands("one who activates", operates(1, activates))
        .commands("one who stops", stops)
}

/// Returns true if the client is enabled, and of the named epoch.
pub(crate) fn stands(tables: &Tables, named: &ClientRef) -> bool {
    tables.clients.get(&named.id).is_some_and(|client| client.is(named))
}

/// One client issues a ticket for another. The ticket is redeemed and its session refreshed, while the issuer is deleted
/// or added anew and the other disabled.
pub(crate) fn ends_of_clients<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() });
    let token = asks_for_token("backend", BACKEND_SECRET, "ticket:issue");
    let token = drive(engine, &store, token, inputs(NOON, 1)).into_response().into_body();
    let token: Value = serde_json::from_slice(&token).expect("JSON");
    let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
    let issue = || {
        let asked =
            request("/auth/generate-ticket", &bearer, &json!({"user_id": "usr_alice", "audience": "portal"}));
        let issued = drive(engine, &store, asked, inputs(NOON, 2)).into_response().into_body();
        let issued: Value = serde_json::from_slice(&issued).expect("JSON");
        issued["ticket"].as_str().expect("a ticket").to_owned()
    };
    let ticket = issue();
    let check_transition = |transition: &Transition<'_>| {
        for change in transition.applied {
            let session = if let Change::InsertSession { session, .. } = change {
                Some(session)
            } else if let Change::RotateRefresh { successor, .. } = change {
                transition.before.sessions.get(&successor.session_id)
            } else {
                None
            };
            let Some(session) = session else { continue };
            let client = session.client_epoch.map(|epoch| ClientRef { id: session.client_id.clone(), epoch });
            let stand = client.iter().chain(&session.issuer).all(|named| stands(transition.before, named));
            promised(stand, "nobody is signed in by or for a client that has ended")?;
        }
        Ok(())
    };
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON.plus(5)], promises)
        .with_faults(faults)
        .sends("one", move || fixtures::presents(&ticket))
        .asks("one again", |told| told[0].welcome()?.body["refresh_token"].as_str().map(fixtures::refreshes))
        .commands_at_once("one who deletes the issuer", deletes_client("backend"))
        .commands_at_once("one who adds the issuer anew", |tables, _| {
            let gone = tables.clients.contains_key(&backend()).then(|| Change::DeleteClient(backend()));
            let anew = Client { epoch: 9, ..fixtures::tables().clients.remove(&backend())? };
            Some(gone.into_iter().chain([Change::InsertClient(anew)]).collect())
        })
        .commands_at_once("one who disables the portal", disables_client("portal"))
        .commands_at_once(
            "one who enables the portal",
            operates(1, || EnableClient { client: client_id("portal") }),
        )
}

/// A client issues tickets for alice, while she is deleted or disabled and the client is disabled.
pub(crate) fn issuing<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() });
    let token = asks_for_token("backend", BACKEND_SECRET, "ticket:issue");
    let token = drive(engine, &store, token, inputs(NOON, 1)).into_response().into_body();
    let token: Value = serde_json::from_slice(&token).expect("JSON");
    let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
    let issues = move || request("/auth/generate-ticket", &bearer, &json!({"user_id": "usr_alice"}));
    let check_transition = |transition: &Transition<'_>| {
        for change in transition.applied {
            let Change::InsertTicket(ticket) = change else { continue };
            let user = transition.before.users.get(&ticket.user_id);
            promised(user.is_some_and(User::is_active), "a ticket is for somebody who may sign in")?;
            let issuer = ticket.issuer.as_ref();
            let stands = issuer.is_some_and(|named| stands(transition.before, named));
            promised(stands, "a ticket is issued by who may")?;
        }
        Ok(())
    };
    let check_state = |tables: &Tables, told: &[ActorResult<'_>]| {
        let issued = told.iter().filter(|told| told.welcome().is_some()).count();
        let gone = !tables.users.contains_key(&user_id("alice"));
        promised(gone || issued <= tables.tickets.len(), "a ticket that is handed out is there")
    };
    let explorer = Explorer::new(
        engine,
        store.with(|tables| tables.clone()),
        &[NOON],
        Promises { check_transition, check_state: Box::new(check_state) },
    );
    explorer
        .with_faults(faults)
        .sends("one request", issues.clone())
        .sends("another", issues)
        .commands_at_once("one who disables", disables("alice"))
        .commands_at_once("one who deletes", deletes("alice"))
        .commands_at_once("one who closes", disables_client("backend"))
}
