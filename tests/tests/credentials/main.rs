//! Every credential after every event for anyone it depends on, at each endpoint that takes it: this test writes
//! `docs/credentials.md` with `GATEPASS_WRITE=1`.
//!
//! [`Event::ends`] says what must hold, whatever the page says: a cell that breaks it cannot be accepted.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod actions;
mod events;
mod kinds;

use std::fmt::Write as _;

use events::Event;
use kinds::{CREDENTIALS, Credential};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/credentials.md");

const HEAD: &str = "# What ends what

This page is written by a test (`tests/tests/credentials`): it makes each credential, lets something happen, and shows the credential at
each endpoint that takes it. The rules behind it:

1. A client is its registration, not its name. What is issued names the epoch of the client it is for and of the client that issued it.
   Disabling a client raises the epoch, and deleting it and adding it anew draws another. Either way everything that names the old one is
   refused at once, on every path, and stays refused when the client is enabled again.
2. A user's sessions, and with them challenges and tokens, end when the user is disabled or deleted, when the password is set, when the second
   factor is reset, and when the sessions are ended. The same holds for somebody who acts as the user.
3. A ticket is a sign-in that is yet to come. It is refused while its user or actor is disabled, and for ever once one is deleted. Ending
   sessions does not cancel it; `gatepass ticket revoke` does. Disabling a user and enabling them again within a ticket's life does not either.
4. A scope that is taken from a client is taken from its tokens at once, and from the sessions that it issued; the configured user scope
   stays. A ticket or a challenge that asks for more than its issuer may grant now is refused.
5. To a client that stands, `/oauth2/revoke` answers 200 whatever the token is, and introspection calls a token that has ended inactive. A restricted token opens
   one thing alone, says so in its type (`restricted+jwt`), and is no token for `/userinfo` or introspection.

A cell is the status, with the code or the error behind it, or with the scope that was granted. At `/auth/me/password` 200 stands for
whoever would be let in with the right old password. What happened to whom a credential does not rest on is not listed.
";

/// Runs `event` on everyone whom `credential` depends on, and presents the credential.
fn cell(credential: &Credential, event: Event, (_, shows): &(&str, kinds::Present)) -> String {
    let server = actions::server(credential.set);
    let made = (credential.make)(&server);
    event.happens(&server, credential);
    shows(&server, &made)
}

fn is_good(cell: &str) -> bool {
    cell.starts_with("200") || cell.starts_with("active")
}

/// Checks the rules for one row, whatever the page says.
fn holds(credential: &Credential, event: Event, cells: &[String], before: &[String]) {
    for (((endpoint, _), cell), good) in credential.shown.iter().zip(cells).zip(before) {
        let what = format!("{} at {endpoint} after {event:?}: {cell}", credential.name);
        let revokes = *endpoint == "revoke";
        if event.ends(credential) {
            assert!(!is_good(cell) || revokes && cell == "200", "{what}");
        } else if matches!(event, Event::ClientNarrowed | Event::IssuerNarrowed) {
            let granting = credential.issuer.or(credential.client) == Some("backend");
            let by_issuer = credential.issuer.is_none() || event == Event::IssuerNarrowed;
            assert!(!(granting && by_issuer && cell.contains("email")), "{what}");
        } else {
            assert_eq!(cell, good, "{what}: nothing ended");
        }
    }
}

fn table(credential: &Credential) -> String {
    let row = |event| -> Vec<String> {
        credential.shown.iter().map(|shown| cell(credential, event, shown)).collect()
    };
    let before = row(Event::Nothing);
    assert!(before.iter().any(|cell| is_good(cell)), "{} opens nothing: {before:?}", credential.name);
    // Events with the same answers share a row.
    let mut rows: Vec<(Vec<&str>, Vec<String>)> = vec![];
    for (event, name) in Event::ALL.into_iter().filter(|(event, _)| event.concerns(credential)) {
        let cells = row(event);
        holds(credential, event, &cells, &before);
        match rows.iter_mut().find(|(_, known)| *known == cells) {
            Some((names, _)) => names.push(name),
            None => rows.push((vec![name], cells)),
        }
    }
    let mut page = format!("\n## {}\n\n| what happened |", credential.name);
    credential.shown.iter().for_each(|(endpoint, _)| write!(page, " {endpoint} |").expect("a text"));
    page.push_str("\n|---|");
    credential.shown.iter().for_each(|_| page.push_str("---|"));
    for (names, cells) in rows {
        write!(page, "\n| {} | {} |", names.join("; "), cells.join(" | ")).expect("a text");
    }
    page.push('\n');
    page
}

#[test]
fn every_credential_ends_with_whom_it_rests_on() {
    let tables: Vec<String> = CREDENTIALS.iter().map(table).collect();
    let page = format!("{HEAD}{}", tables.concat());
    if std::env::var_os("GATEPASS_WRITE").is_some() {
        std::fs::write(PAGE, &page).expect("the page is written");
    }
    let told = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(told == page, "docs/credentials.md is not what was found: GATEPASS_WRITE=1 writes it\n{page}");
}
