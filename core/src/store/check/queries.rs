//! Every query about the records of one case, and how two answers are compared.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::records::factor::Factors;
use crate::records::id::UserRef;
use crate::store::check::sample::Sample;
use crate::store::query::{
    AdministeredQuery, BearerQuery, ExplainQuery, Found, Identity, IssueQuery, Named, PersonQuery, Query,
    Records, TokenQuery, UserQuery,
};

/// Returns every query that could find something of the case.
pub(super) fn about(sample: &Sample) -> Vec<Query> {
    let mut queries = vec![Query::Generation];
    queries.extend(["portal", "backend", "nobody"].map(|name| Query::Client(sample.client_id(name))));
    queries.extend((1..=5).map(|number| Query::Ticket(sample.ticket(number).digest)));
    queries.extend((1..=5).map(|number| Query::TicketById(sample.ticket(number).id)));
    queries.push(Query::Keys);
    queries.extend((1..=3).map(|number| Query::Challenge(sample.challenge_digest(number))));
    queries.extend((1..=16).map(|number| {
        Query::Token(TokenQuery {
            caller: None,
            access: None,
            refresh: Some(sample.refresh_digest(number)),
            assertion: None,
        })
    }));
    queries.extend((1..=3).map(|number| {
        let (caller, assertion) = (Some(sample.client_id("portal")), Some(sample.assertion(number)));
        Query::Token(TokenQuery { caller, access: None, refresh: None, assertion })
    }));
    let client_alone = BearerQuery { person: None, ..bearer(sample, "alice", 1, None) };
    for bearer in [
        bearer(sample, "alice", 1, None),
        bearer(sample, "alice", 2, Some("boss")),
        bearer(sample, "bob", 3, None),
        bearer(sample, "boss", 1, Some("nobody")),
        bearer(sample, "nobody", 4, None),
        client_alone,
    ] {
        queries.push(Query::Bearer(bearer.clone()));
        queries.push(Query::Sessions(bearer.clone()));
        queries.push(Query::Factors(bearer.clone()));
        queries.push(Query::Password(bearer.clone()));
        let caller = Some(sample.client_id("backend"));
        queries.push(Query::Token(TokenQuery {
            caller,
            access: Some(bearer),
            refresh: None,
            assertion: None,
        }));
    }
    queries.extend(issues(sample));
    queries.extend(accounts(sample));
    queries.extend((1..=4).map(|number| Query::Session(sample.session_id(number))));
    queries.push(Query::Owners(identities(sample)));
    queries.extend(identities(sample).into_iter().map(|text| Query::Login(Identity(text))));
    let mut imported = Vec::new();
    for text in identities(sample) {
        for user in [UserRef::Any(text.clone()), UserRef::Username(text.clone())] {
            queries.push(Query::Account(user.clone()));
            imported.push(UserQuery { user, identifiers: vec![text.clone()] });
        }
    }
    queries.push(Query::Import(imported));
    queries.extend(by_clients(sample));
    queries.extend(administered(sample));
    queries.extend(explained(sample));
    queries
}

/// Asks for a client that is there, and for one that is not, with a ticket, a challenge and a login of each kind.
fn by_clients(sample: &Sample) -> Vec<Query> {
    let mut queries = Vec::new();
    for caller in ["portal", "backend", "nobody"] {
        for query in [
            Query::Ticket(sample.ticket(1).digest),
            Query::Ticket(sample.ticket(5).digest),
            Query::Challenge(sample.challenge_digest(1)),
            Query::Login(Identity(sample.user("alice").username.as_str().to_string())),
            Query::Login(Identity("nobody".into())),
        ] {
            queries.push(query.by(Some(&sample.client_id(caller))));
        }
    }
    queries
}

/// Asks about sign-ins by one user or by another who acts, for a client that is there or not.
fn explained(sample: &Sample) -> Vec<Query> {
    let who = |name: &str| UserRef::from(&sample.user_id(name));
    let asked = [
        ("alice", None, None),
        ("alice", Some("bob"), Some("portal")),
        ("alice", Some("nobody"), None),
        ("nobody", None, Some("nobody")),
    ];
    let explain = |(user, actor, client): (&str, Option<&str>, Option<&str>)| ExplainQuery {
        user: who(user),
        actor: actor.map(who),
        client: client.map(|name| sample.client_id(name)),
    };
    asked.into_iter().map(explain).map(Query::Explain).collect()
}

/// Asks as the bearer of a token, who may be unknown.
fn administered(sample: &Sample) -> Vec<Query> {
    let service =
        BearerQuery { client: sample.client_id("portal"), token_id: sample.token_id(9), person: None };
    let asked = [
        (service, Query::Keys),
        (bearer(sample, "alice", 1, None), Query::Account(UserRef::from(&sample.user_id("alice")))),
        (bearer(sample, "nobody", 9, None), Query::Client(sample.client_id("portal"))),
    ];
    let ask = |(bearer, query)| Query::Administered(AdministeredQuery { bearer, query: Box::new(query) });
    asked.into_iter().map(ask).collect()
}

fn bearer(sample: &Sample, user: &str, session: u64, actor: Option<&str>) -> BearerQuery {
    let person = PersonQuery {
        user: sample.user_id(user),
        session: sample.session_id(session),
        actor: actor.map(|name| sample.user_id(name)),
    };
    BearerQuery {
        client: sample.client_id("portal"),
        token_id: sample.token_id(session),
        person: Some(person),
    }
}

/// Asks by id and by user name, for users who are there and who are not.
fn issues(sample: &Sample) -> Vec<Query> {
    let (id, username) =
        (sample.user_id("alice").to_string(), sample.user("alice").username.as_str().to_string());
    let user = |user| Query::Issue(IssueQuery { bearer: None, user, actor: None, audience: None });
    vec![
        user(None),
        user(Some(UserRef::Any(id.clone()))),
        user(Some(UserRef::Any(username.clone()))),
        user(Some(UserRef::Username(username.clone()))),
        user(Some(UserRef::Username(id))),
        user(Some(UserRef::Any(username.to_uppercase()))),
        Query::Issue(IssueQuery {
            bearer: Some(bearer(sample, "alice", 1, None)),
            user: Some(UserRef::Username(username)),
            actor: Some((&sample.user_id("boss")).into()),
            audience: Some(sample.client_id("portal")),
        }),
    ]
}

/// Asks as an administrator does, by id and by user name.
fn accounts(sample: &Sample) -> Vec<Query> {
    let mut queries = Vec::new();
    for name in ["alice", "bob", "nobody"] {
        let user = sample.user(name);
        let by_name = UserRef::Any(user.username.as_str().to_string());
        for who in [UserRef::from(&user.id), by_name] {
            queries.push(Query::Account(who.clone()));
            let names = ["bob", "nobody"].map(|name| sample.user(name).username.as_str().to_string());
            for identifiers in [Vec::new(), names.to_vec(), identities(sample)] {
                queries.push(Query::User(UserQuery { user: who.clone(), identifiers }));
            }
        }
    }
    queries
}

/// Returns every text that alice or bob could sign in with: user name, address, number, each in its own and in other spellings, and
/// texts that are none of theirs.
fn identities(sample: &Sample) -> Vec<String> {
    let mut texts = Vec::new();
    for user in [sample.user("alice"), sample.alice_in_full(), sample.user("bob")] {
        texts.extend([user.username.as_str().to_string(), user.username.as_str().to_uppercase()]);
        texts.push(format!(" {}\t", user.username.as_str()));
        let email = user.email.into_iter();
        texts.extend(email.flat_map(|email| {
            let decomposed = email.replace('É', "E\u{301}");
            [email.to_uppercase(), email.to_lowercase(), email.replace('É', "E"), decomposed, email]
        }));
        let phone = user.phone.into_iter();
        texts.extend(phone.flat_map(|phone| {
            let compact = phone.replace(' ', "");
            [
                compact.replace('+', "00"),
                compact.replace('+', ""),
                compact.replace('+', "\u{ff0b}"),
                compact,
                phone,
            ]
        }));
    }
    texts
}

/// Puts in order what a store may answer in any order: backup codes.
pub(super) fn in_order(mut found: Found) -> Found {
    put_in_order(&mut found.records);
    found
}

fn put_in_order(records: &mut Records) {
    let sort = |factors: &mut Factors| factors.backup_codes.sort_unstable();
    match records {
        Records::Ticket(Some(records)) => sort(&mut records.factors),
        Records::Challenge(Some(records)) => sort(&mut records.factors),
        Records::Factors(records) => sort(&mut records.factors),
        Records::Login(Named::One(records)) => sort(&mut records.factors),
        Records::Account(Named::One(records)) => sort(&mut records.factors),
        Records::ByClient(found) => put_in_order(&mut found.records),
        Records::Explain(found) => sort(&mut found.factors),
        Records::Administered(found) => put_in_order(&mut found.records),
        Records::Generation
        | Records::Client(_)
        | Records::Ticket(None)
        | Records::Bearer(_)
        | Records::Issue(_)
        | Records::Token(_)
        | Records::Sessions(_)
        | Records::Challenge(None)
        | Records::Login(_)
        | Records::Password(_)
        | Records::User(_)
        | Records::Owners(_)
        | Records::Import(_)
        | Records::Account(_)
        | Records::Session(_)
        | Records::TicketById(_)
        | Records::Keys(_)
        | Records::UserPage(_)
        | Records::ClientPage(_)
        | Records::RoleHolderPage(_)
        | Records::TicketPage(_)
        | Records::SessionPage(_)
        | Records::Unreadable => {}
    }
}

/// Tells where two answers differ: the first line that does, of what is shown of each.
pub(super) fn difference(expected: &Found, found: &Found) -> String {
    if found.records == Records::Unreadable {
        return "nothing: the store could not be read".to_string();
    }
    let (expected, found) = (format!("{expected:#?}"), format!("{found:#?}"));
    let mut path: Vec<&str> = Vec::new();
    let mut lines = found.lines();
    for right in expected.lines() {
        let wrong = lines.next().unwrap_or_default();
        if wrong != right {
            let place: Vec<&str> =
                path.iter().map(|line| line.trim().trim_end_matches([' ', '{', '(', '['])).collect();
            let (right, wrong) = (right.trim().trim_end_matches(','), wrong.trim().trim_end_matches(','));
            return format!("`{wrong}` where `{right}` is right, in {}", place.join(" › "));
        }
        let depth = |line: &str| line.len() - line.trim_start().len();
        while path.last().is_some_and(|open| depth(open) >= depth(right)) {
            path.pop();
        }
        if right.ends_with(['{', '(', '[']) {
            path.push(right);
        }
    }
    "another value of something that is not shown: a digest, a secret or personal data".to_string()
}
