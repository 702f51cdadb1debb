//! One refresh family: two hold the same token, one goes on with the first one's successor, one retries after a lost
//! answer, and the session or all sessions are ended.

use gatepass_core::admin::sessions::EndSession;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::session::{MAX_USED, Session};
use gatepass_core::store::audit::Refusal;
use gatepass_core::store::change::Change;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{self, NOON, inputs, presents, refreshes, request};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use serde_json::Value;

use super::commands::operates;
use super::explorer::{ActorResult, Explorer, Promises, Transition, Verdict, promised};

/// The default grace in seconds, in which a used token returns its successor again.
const GRACE: u64 = 10;

/// A session of alice: its tables, its access token and its first refresh token.
pub(crate) fn signed_in(engine: &Engine, unguarded: &[Guard]) -> (Tables, String, String) {
    let store = Memory::new(fixtures::tables());
    let ticket = fixtures::issue(engine, &store, "alice", inputs(NOON, 1));
    let body = drive(engine, &store, presents(&ticket), inputs(NOON, 2)).into_response().into_body();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let tables = store.with(|tables| Tables { unguarded: unguarded.to_vec(), ..tables.clone() });
    let text = |member: &str| body[member].as_str().expect("a token").to_owned();
    (tables, text("access_token"), text("refresh_token"))
}

fn refreshing(token: &str) -> impl Fn() -> Request + use<> {
    let token = token.to_owned();
    move || refreshes(&token)
}

/// Ends sessions of the bearer of `access`.
fn ending(access: &str, what: &str) -> impl Fn() -> Request + use<> {
    let (bearer, path) = (format!("Bearer {access}"), format!("/auth/me/sessions{what}"));
    move || Request { method: "DELETE".into(), ..request(&path, &bearer, &Value::Null) }
}

fn successor<'a>(told: &[ActorResult<'a>], of: usize) -> Option<&'a str> {
    told[of].welcome()?.body["refresh_token"].as_str()
}

const PROMISES: fn() -> Promises = || Promises { check_transition, check_state: Box::new(check_state) };

/// The whole scenario.
pub(crate) fn explorer<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let (tables, access, first) = signed_in(engine, unguarded);
    let again = first.clone();
    // Within the grace of ten seconds, after it, and back.
    let clock = [NOON.plus(5), NOON.plus(15), NOON.plus(5)];
    let explorer = Explorer::new(engine, tables, &clock, PROMISES())
        .with_faults(faults)
        .sends("one holder", refreshing(&first))
        .sends("another", refreshing(&first))
        .asks("the next", |told| successor(told, 0).map(refreshes))
        .sends("an end of all", ending(&access, ""));
    if super::large() {
        explorer.asks("one who lost an answer", move |told| {
            matches!(told[0], ActorResult::Lost).then(|| refreshes(&again))
        })
    } else {
        explorer
    }
}

/// Two sessions of alice: the second ends the first, and so does the operator, while it is refreshed.
pub(crate) fn ends<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let (tables, _, refresh) = signed_in(engine, unguarded);
    let first = tables.sessions.keys().next().expect("a session").clone();
    let store = Memory::new(tables);
    let ticket = fixtures::issue(engine, &store, "alice", inputs(NOON, 3));
    let body = drive(engine, &store, presents(&ticket), inputs(NOON, 4)).into_response().into_body();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let access = body["access_token"].as_str().expect("a token");
    let path = format!("/{}", first.as_str());
    let tables = store.with(|tables| tables.clone());
    Explorer::new(engine, tables, &[NOON.plus(5), NOON.plus(15)], PROMISES())
        .sends("a holder", refreshing(&refresh))
        .sends("an end of it", ending(access, &path))
        .sends("an end of all", ending(access, ""))
        .commands_at_once(
            "the operator",
            operates(1, move || EndSession { session: first.clone(), user: None }),
        )
}

/// Two requests of one session, each of which ends all sessions.
pub(crate) fn ends_of_all<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let (tables, access, _) = signed_in(engine, unguarded);
    Explorer::new(engine, tables, &[NOON.plus(5)], PROMISES())
        .sends("an end of all", ending(&access, ""))
        .sends("another end of all", ending(&access, ""))
}

/// A family that has lost its oldest token: one presents that token, one the oldest that is kept, and the holder goes on.
pub(crate) fn long<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let (tables, _, first) = signed_in(engine, unguarded);
    let store = Memory::new(tables);
    let mut tokens = vec![first];
    for seed in 0..=MAX_USED {
        let body =
            drive(engine, &store, refreshes(tokens.last().expect("a token")), inputs(NOON, 100 + seed));
        let body: Value = serde_json::from_slice(body.body()).expect("JSON");
        tokens.push(body["refresh_token"].as_str().expect("a token").to_owned());
    }
    let tables = store.with(|tables| tables.clone());
    let promises = Promises {
        check_transition,
        check_state: Box::new(|tables, told| {
            check_state(tables, told)?;
            promised(
                tables.refresh_tokens.len() as u64 <= MAX_USED + 1,
                "a session keeps its last used tokens",
            )?;
            let ended = tables.sessions.values().any(|session| session.ended_at.is_some());
            let reused = told[1].refusal() == Some(Refusal::RefreshReused);
            promised(!reused || ended, "a token that is kept ends its family when it comes again")?;
            let unknown = told[0].refusal().is_none_or(|refusal| refusal == Refusal::RefreshUnknown);
            promised(unknown && told[0].welcome().is_none(), "a token that is not kept is unknown")
        }),
    };
    Explorer::new(engine, tables, &[NOON.plus(20)], promises)
        .sends("one with an older token", refreshing(&tokens[0]))
        .sends("one with the oldest that is kept", refreshing(&tokens[1]))
        .sends("the holder", refreshing(&tokens[9]))
}

fn check_transition(transition: &Transition<'_>) -> Verdict {
    let at = transition.answer.and_then(|answer| answer.issued_at);
    let again = transition.applied.iter().find_map(|change| {
        let Change::RequireUnusedRefresh(successor) = change else { return None };
        let tokens = transition.before.refresh_tokens.values();
        tokens.filter_map(|token| token.rotation.as_ref()).find(|rotation| rotation.successor == *successor)
    });
    // If the answer of a commit is lost, its time is unknown.
    let lately = again.zip(at).is_none_or(|(rotation, now)| rotation.at.until(now) < GRACE);
    promised(lately, "a used token brings its successor again within the grace alone")?;
    let reused = transition.answer.is_some_and(|answer| answer.refusal == Some(Refusal::RefreshReused));
    let over = |session: &Session| {
        let epoch = transition.after.users.get(&session.user_id).map(|user| user.epoch);
        session.ended_at.is_some() || epoch != Some(session.user_epoch)
    };
    let answered = transition.answer.is_some_and(|answer| answer.status == 400);
    promised(
        !(reused && answered) || transition.after.sessions.values().all(over),
        "a family whose token was used twice is ended",
    )?;
    // Only the first request to end all sessions came from a live session.
    promised(transition.after.users.values().all(|user| user.epoch <= 1), "nobody acts whose session is over")
}

fn check_state(tables: &Tables, told: &[ActorResult<'_>]) -> Verdict {
    let live = |id| tables.sessions.get(id).is_some_and(|session| session.ended_at.is_none());
    let unused = tables.refresh_tokens.values().filter(|token| token.rotation.is_none());
    let mut branches: Vec<&str> =
        unused.map(|token| &token.session_id).filter(|id| live(id)).map(|id| id.as_str()).collect();
    branches.sort_unstable();
    promised(branches.windows(2).all(|pair| pair[0] != pair[1]), "a family has one branch")?;
    let same = match (successor(told, 0), successor(told, 1)) {
        (Some(one), Some(other)) => one == other,
        (Some(_), None) | (None, _) => true,
    };
    promised(same, "a refresh token has one successor")
}
