//! Operations on clients, keys and tickets: their rules, their conditions, and when a secret can be had.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::admin::client_secrets::{
    AddSecret, EndSecrets, FormerSecrets, ImportedSecret, RenewClient, SecretsToEnd,
};
use gatepass_core::admin::clients::{
    AddClient, ClientFilter, DeleteClient, DisableClient, EnableClient, ListClients, SetClient, ShowClient,
};
use gatepass_core::admin::keys::{AddFirstKey, AddKey, ListKeys, RetireKey, RotateKey, Rotated};
use gatepass_core::admin::tickets::{IssueTicket, ListTickets, RevokeTicket, TicketFilter};
use gatepass_core::admin::{
    AdminError, Administrator, ClientFields, Field, Invalid, Item, Obstacle, Operation, Step, begin, run,
};
use gatepass_core::base::secret::SecretText;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::jose::key::SigningKey;
use gatepass_core::policy::ticket_issuing::IssueError;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::policy::ticket_status::TicketStatus;
use gatepass_core::records::client::Client;
use gatepass_core::records::id::{ClientId, TicketId, UserId, UserRef};
use gatepass_core::records::scope::Scope;
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::records::ticket::TicketState;
use gatepass_core::settings::Settings;
use gatepass_core::store::Store;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::Outcome;
use gatepass_core::store::page::PageQuery;
use gatepass_tests::administrator::run_with;
use gatepass_tests::fixtures::{self, NOON, PORTAL_SECRET, inputs};
use gatepass_tests::memory::{Memory, Tables};
use serde_json::json;

fn settings() -> Settings {
    fixtures::engine("http://gate.example").settings().clone()
}

fn store() -> Memory {
    Memory::new(fixtures::tables())
}

fn id(name: &str) -> ClientId {
    ClientId::parse(name).expect("an id")
}

fn scope(text: &str) -> Scope {
    Scope::parse(text).expect("a scope")
}

fn client(store: &Memory, name: &str) -> Client {
    store.with(|tables| tables.clients[&id(name)].clone())
}

fn does<O: Operation>(store: &Memory, operation: O) -> Result<O::Output, AdminError> {
    altered(store, operation, |_| {}).1
}

/// Drives `operation`, and alters the tables before its first commit: how often it committed, and its result.
fn altered<O: Operation>(
    store: &Memory,
    operation: O,
    alter: impl FnOnce(&mut Tables),
) -> (usize, Result<O::Output, AdminError>) {
    // Every operation has randomness of its own.
    let seed = store.with(|tables| tables.audit.len() + tables.clients.len() + 7) as u64;
    let (mut commits, mut alter) = (0, Some(alter));
    let result = run_with(operation, inputs(NOON, seed), &settings(), store, || {
        commits += 1;
        alter.take().into_iter().for_each(|alter| store.with(alter));
    });
    (commits, result)
}

fn is_known(store: &Memory, name: &str, secret: &str, at: Time) -> bool {
    let client = client(store, name);
    Client::authenticate(Some(&client), &[SecretText::new(secret.into())], at).is_ok()
}

/// The kinds of the audit rows so far.
fn kinds(store: &Memory) -> Vec<Kind> {
    store.with(|tables| tables.audit.iter().map(|event| event.kind).collect())
}

fn add(name: &str) -> AddClient {
    AddClient::new(id(name), ClientFields::default(), None).expect("a client")
}

#[test]
fn a_client_lives_from_add_to_delete_and_each_change_has_its_row() {
    let store = store();
    let added = does(&store, add("new")).expect("a client");
    let secret = added.secret.expect("a secret");
    assert!(is_known(&store, "new", secret.expose(), NOON));
    assert_eq!(does(&store, add("new")), Err(AdminError::AlreadyExists(Item::Client(id("new")))));
    let fields = ClientFields::default().scope(scope("a b")).expect("a scope").default_scope(scope("a"));
    let set = does(&store, SetClient { client: id("new"), fields }).expect("a change");
    assert!(!set.narrowed && set.client.default_scope == scope("a"));
    let nothing = SetClient { client: id("new"), fields: ClientFields::default() };
    let rows = kinds(&store).len();
    assert_eq!(does(&store, nothing).map(|changed| changed.narrowed), Ok(false));
    assert_eq!(kinds(&store).len(), rows, "nothing changes, and nothing is written");
    let narrow = ClientFields::default().scope(scope("a")).expect("a scope");
    assert_eq!(
        does(&store, SetClient { client: id("new"), fields: narrow }).map(|set| set.narrowed),
        Ok(true)
    );
    let epoch = client(&store, "new").epoch;
    for _ in 0..2 {
        let disabled = does(&store, DisableClient { client: id("new") }).expect("a change");
        assert_eq!((disabled.enabled, disabled.epoch), (false, epoch + 1));
    }
    let enabled = does(&store, EnableClient { client: id("new") }).expect("a change");
    assert_eq!((enabled.enabled, enabled.epoch), (true, epoch + 1));
    assert_eq!(does(&store, ShowClient { client: id("new") }).map(|client| client.enabled), Ok(true));
    let listed = does(&store, ListClients { page: PageQuery::first(), filter: ClientFilter::default() })
        .expect("a page");
    assert!(listed.items.iter().any(|client| client.id == id("new")));
    does(&store, DeleteClient { client: id("new") }).expect("a change");
    let gone = AdminError::NotFound(Item::Client(id("new")));
    assert_eq!(does(&store, DeleteClient { client: id("new") }), Err(gone.clone()));
    assert_eq!(does(&store, ShowClient { client: id("new") }), Err(gone));
    let expected = [
        Kind::ClientAdded,
        Kind::ClientChanged,
        Kind::ClientChanged,
        Kind::ClientDisabled,
        Kind::ClientEnabled,
        Kind::ClientDeleted,
    ];
    assert_eq!(kinds(&store), expected);
}

#[test]
fn what_a_client_may_not_be_is_refused_before_anything_is_read() {
    let invalid = |refused: Result<AddClient, AdminError>| match refused {
        Err(AdminError::Invalid { field, reason }) => (field, reason),
        other => panic!("{other:?}"),
    };
    let own = AddClient::new(ClientId::own(), ClientFields::default(), None);
    assert_eq!(invalid(own), (Field::ClientId, Invalid::Reserved));
    let wide = ClientFields::default().default_scope(scope("a"));
    let not_within = Invalid::NotWithinScope { default_scope: scope("a"), scope: Scope::default() };
    assert_eq!(invalid(AddClient::new(id("new"), wide, None)), (Field::DefaultScope, not_within.clone()));
    let store = store();
    let default_scope = ClientFields::default().default_scope(scope("a"));
    let set = does(&store, SetClient { client: id("backend"), fields: default_scope });
    assert!(matches!(set, Err(AdminError::Invalid { field: Field::DefaultScope, .. })), "{set:?}");
    for (text, reason) in [
        ("too short", Invalid::TooShort { least: Client::MIN_SECRET_CHARS }),
        ("long enough by far, and more than one\nline", Invalid::NotOneLine),
    ] {
        let refused = ImportedSecret::new(SecretText::new(text.into()));
        assert_eq!(refused, Err(AdminError::Invalid { field: Field::Secret, reason }));
    }
}

fn add_secret(former: FormerSecrets, secret: Option<ImportedSecret>) -> AddSecret {
    AddSecret { client: id("portal"), former, lifetime: None, secret }
}

#[test]
fn a_secret_is_out_of_reach_until_it_is_durable_and_the_former_ones_end() {
    let store = store();
    let rotate = |overlap| add_secret(FormerSecrets::EndAfter(overlap), None);
    let Step::Read(read) = begin(rotate(60), Administrator::Machine, inputs(NOON, 7)) else {
        panic!("it reads first")
    };
    let Step::Commit(commit) = read.resume(&settings(), store.read(&rotate(60).query())) else {
        panic!("it commits next")
    };
    assert!(!format!("{commit:?}").contains("gps_"), "{commit:?}");
    let Step::Done(lost) = commit.settle(Outcome::Unknown) else { panic!("it is over") };
    assert_eq!(lost, Err(AdminError::Unknown));
    let renames = |tables: &mut Tables| {
        let portal = tables.clients.get_mut(&id("portal")).expect("the portal");
        (portal.name, portal.revision) = (Some("Renamed".into()), 1);
    };
    let (commits, rotated) = altered(&store, rotate(60), renames);
    let secret = rotated.expect("a change").secret.expect("a secret");
    let portal = client(&store, "portal");
    assert_eq!(
        (commits, portal.name.as_deref()),
        (2, Some("Renamed")),
        "it is decided on what was found then"
    );
    let known = |secret, at| is_known(&store, "portal", secret, at);
    assert!(known(secret.expose(), NOON) && known(PORTAL_SECRET, NOON.plus(59)));
    assert!(known(secret.expose(), NOON.plus(60)) && !known(PORTAL_SECRET, NOON.plus(60)));
    let imported = |number: usize| {
        let secret = SecretText::new(format!("{number:0>40}"));
        let secret = Some(ImportedSecret::new(secret).expect("a secret"));
        add_secret(FormerSecrets::EndAfter(60), secret)
    };
    for number in 2..Client::MAX_SECRETS {
        assert_eq!(does(&store, imported(number)).map(|rotated| rotated.secret), Ok(None));
    }
    assert_eq!(does(&store, imported(99)), Err(AdminError::Refused(Obstacle::TooManySecrets)));
    does(&store, DisableClient { client: id("portal") }).expect("a change");
    let renewed = does(&store, RenewClient { client: id("portal"), scope: scope("c") }).expect("a change");
    let Client { enabled, scope: renewed_scope, default_scope, secrets, .. } = renewed.client;
    assert_eq!(
        (enabled, renewed_scope, default_scope, secrets.len()),
        (true, scope("c"), Scope::default(), 1)
    );
}

#[test]
fn a_rotation_ends_the_former_secrets_when_it_is_told_to() {
    let store = store();
    let known = |secret: &str, at| is_known(&store, "portal", secret, at);
    let later = NOON.plus(3600);
    let added = does(&store, add_secret(FormerSecrets::Stay, None)).expect("a change");
    let new = added.secret.as_ref().expect("a secret").expose();
    assert!(known(new, later) && known(PORTAL_SECRET, later), "both are good until it ends");
    let end = EndSecrets { client: id("portal"), secrets: SecretsToEnd::Before(added.kept.id), overlap: 60 };
    let ended = does(&store, end.clone()).expect("a change");
    assert_eq!(ended.secrets.len(), 2);
    assert!(known(new, later) && known(PORTAL_SECRET, NOON.plus(59)) && !known(PORTAL_SECRET, NOON.plus(60)));
    let revision = client(&store, "portal").revision;
    does(&store, end).expect("nothing to do");
    assert_eq!(client(&store, "portal").revision, revision, "it has ended them already");
}

#[test]
fn who_adds_a_client_that_was_added_meanwhile_is_told_so() {
    let store = store();
    let adds = |tables: &mut Tables| {
        let other = Client { id: id("new"), ..tables.clients[&id("portal")].clone() };
        tables.clients.insert(id("new"), other);
    };
    let (commits, result) = altered(&store, add("new"), adds);
    assert_eq!((commits, result), (1, Err(AdminError::AlreadyExists(Item::Client(id("new"))))));
}

fn issue(user: &str) -> IssueTicket {
    IssueTicket { request: TicketRequest::new(UserRef::Username(user.into())) }
}

#[test]
fn a_ticket_rests_on_everybody_it_names_and_is_withdrawn_once() {
    let store = store();
    let issued = does(&store, issue("alice")).expect("a ticket");
    assert!(issued.ticket.expose().starts_with("tkt_") && issued.expires_in == 300);
    let disables = |tables: &mut Tables| {
        tables.users.get_mut(&UserId::parse("usr_boss").expect("an id")).expect("boss").disable();
    };
    let (commits, refused) = altered(&store, issue("boss"), disables);
    assert_eq!((commits, refused), (1, Err(AdminError::NotIssued(IssueError::User))));
    let mut bound = issue("alice");
    bound.request.bind = true;
    assert_eq!(does(&store, bound), Err(AdminError::NotIssued(IssueError::Unbound)));
    let put_back = |tables: &mut Tables| tables.state_epoch = 7;
    let twice = altered(&store, IssueTicket { ..issue("fay") }, put_back);
    assert!(matches!(twice, (2, Ok(_))), "{twice:?}");
    let statuses = || {
        let page = does(&store, ListTickets { page: PageQuery::first(), filter: TicketFilter::default() })
            .expect("a page");
        let mut statuses: Vec<_> =
            page.items.iter().map(|listed| (listed.ticket.user_id.to_string(), listed.status)).collect();
        statuses.sort();
        statuses
    };
    let [alice, fay] = ["usr_alice", "usr_fay"].map(String::from);
    assert_eq!(statuses(), [(alice, TicketStatus::Superseded), (fay, TicketStatus::Live)]);
    let revoke = || RevokeTicket { ticket: issued.id.clone() };
    assert_eq!(does(&store, revoke()).map(|revoked| revoked.status), Ok(TicketStatus::Revoked));
    assert_eq!(does(&store, revoke()), Err(AdminError::Refused(Obstacle::AlreadyEnded)));
    let nobody = TicketId::parse("tid_nobody").expect("an id");
    let unknown = does(&store, RevokeTicket { ticket: nobody.clone() });
    assert_eq!(unknown, Err(AdminError::NotFound(Item::Ticket(nobody))));
}

#[test]
fn a_ticket_that_is_spent_meanwhile_is_not_withdrawn() {
    let store = store();
    let issued = does(&store, issue("alice")).expect("a ticket");
    let spends = |tables: &mut Tables| {
        tables.tickets.values_mut().for_each(|ticket| {
            ticket.state = TicketState::Spent { at: NOON, delivery: None };
        });
    };
    let (commits, result) = altered(&store, RevokeTicket { ticket: issued.id }, spends);
    assert_eq!((commits, result), (1, Err(AdminError::Refused(Obstacle::AlreadyEnded))));
}

fn key(id: &str) -> SigningKey {
    let jwk = json!({"kty": "oct", "kid": id, "alg": "HS256", "k": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE"});
    SigningKey::from_jwk(jwk.to_string().as_bytes(), None).expect("a key")
}

fn states(store: &Memory) -> Vec<(String, KeyState)> {
    let keys = does(store, ListKeys).expect("the keys");
    keys.into_iter().map(|listed| (listed.key.id, listed.key.state)).collect()
}

/// Verifiers keep copies of the key set, so a key that signs has to be in every copy.
#[test]
fn a_key_waits_until_every_copy_of_the_key_set_has_it() {
    let store = store();
    let mut settings = settings();
    settings.key_set_lifetime = 300;
    let rotates = |seconds: u64, algorithm, made: Option<&str>| {
        let operation = RotateKey { algorithm, at_once: false, beside: false, made: made.map(key) };
        run(operation, Administrator::Machine, inputs(NOON.plus(seconds), seconds), &settings, &store)
            .expect("a result")
    };
    let signs = |rotated: Rotated| match rotated {
        Rotated::Signs(key) => Some(key.id),
        Rotated::Waits { .. } | Rotated::NeedsKey(_) => None,
    };
    let waits = |rotated: Rotated| match rotated {
        Rotated::Waits { key, from } => (key.id, key.state, from),
        Rotated::Signs(_) | Rotated::NeedsKey(_) => panic!("{rotated:?}"),
    };
    assert_eq!(
        signs(rotates(0, None, Some("a"))).as_deref(),
        Some("a"),
        "no key signed, so nobody has a copy"
    );
    assert_eq!(rotates(100, None, None), Rotated::NeedsKey(Algorithm::Hs256));
    let until = NOON.plus(100 + 360);
    assert_eq!(waits(rotates(100, None, Some("b"))), ("b".into(), KeyState::Published, until));
    assert_eq!(
        waits(rotates(459, None, Some("c"))),
        ("b".into(), KeyState::Published, until),
        "it is not made twice"
    );
    assert_eq!(rotates(459, Some(Algorithm::Es256), None), Rotated::NeedsKey(Algorithm::Es256));
    assert_eq!(states(&store).len(), 2);
    assert_eq!(signs(rotates(460, None, Some("c"))).as_deref(), Some("b"));
    // A newer one that still waits does not keep an older one from signing.
    let add = |id| AddKey { key: key(id), activate: false, beside: false };
    run(add("c"), Administrator::Machine, inputs(NOON.plus(500), 1), &settings, &store).expect("a key");
    run(add("d"), Administrator::Machine, inputs(NOON.plus(800), 2), &settings, &store).expect("a key");
    assert_eq!(signs(rotates(900, None, None)).as_deref(), Some("c"));
    let now = RotateKey { algorithm: None, at_once: true, beside: false, made: None };
    let now =
        run(now, Administrator::Machine, inputs(NOON.plus(901), 3), &settings, &store).expect("a result");
    assert_eq!(signs(now).as_deref(), Some("d"));
}

#[test]
fn keys_rotate_and_the_one_that_signs_stays() {
    use KeyState::{Published, Signing, VerifyingOnly};
    let store = store();
    let first = |id| AddFirstKey { key: key(id) };
    assert_eq!(does(&store, first("a")).map(|added| added.map(|key| key.state)), Ok(Some(Signing)));
    assert_eq!(does(&store, first("b")), Ok(None), "there is a key");
    let add = |id, activate| AddKey { key: key(id), activate, beside: false };
    does(&store, add("b", false)).expect("a key");
    assert_eq!(does(&store, add("b", true)), Err(AdminError::AlreadyExists(Item::Key("b".into()))));
    let rotate = |made| RotateKey { algorithm: None, at_once: true, beside: false, made };
    let Ok(Rotated::Signs(signs)) = does(&store, rotate(None)) else { panic!("b waits") };
    assert_eq!((signs.id.as_str(), signs.state), ("b", Signing));
    assert_eq!(does(&store, rotate(None)), Ok(Rotated::NeedsKey(Algorithm::Hs256)), "as the one that signs");
    let asked = RotateKey { algorithm: Some(Algorithm::EdDsa), at_once: true, beside: false, made: None };
    assert_eq!(does(&store, asked), Ok(Rotated::NeedsKey(Algorithm::EdDsa)));
    assert!(matches!(does(&store, rotate(Some(key("c")))), Ok(Rotated::Signs(key)) if key.id == "c"));
    let [a, b, c] = ["a", "b", "c"].map(String::from);
    assert_eq!(states(&store), [(a.clone(), VerifyingOnly), (b, VerifyingOnly), (c, Signing)]);
    let retire = |id: &str| RetireKey { id: id.into(), at_once: true };
    assert_eq!(does(&store, retire("c")), Err(AdminError::Refused(Obstacle::KeySigns)));
    assert_eq!(does(&store, retire("x")), Err(AdminError::NotFound(Item::Key("x".into()))));
    does(&store, retire("a")).expect("a change");
    assert!(states(&store).iter().all(|(id, _)| *id != a));
    let generation = store.with(|tables| tables.generation);
    assert_eq!(generation, 5, "each change raises it");
    assert_eq!(
        run(ListKeys, Administrator::Machine, inputs(NOON, 1), &settings(), &store).map(|keys| keys.len()),
        Ok(2)
    );
    // A key that waits is retired and activated at once: whoever is second decides again.
    does(&store, add("d", false)).expect("a key");
    let activates = |tables: &mut Tables| {
        let d = tables.keys.iter_mut().find(|key| key.record.id == "d").expect("d");
        (d.record.state, tables.generation) = (Signing, tables.generation + 1);
    };
    let (commits, refused) = altered(&store, retire("d"), activates);
    assert_eq!((commits, refused), (1, Err(AdminError::Refused(Obstacle::KeySigns))));
    assert_eq!(states(&store).iter().filter(|(_, state)| *state == Published).count(), 0);
}
