//! Passwords that come together wait for their hash in fair turns.

use super::installation::{Server, TestInstallation};

const PASSWORD: &str = "correct horse battery";

/// Serves behind a trusted proxy, with this many places for passwords that wait.
fn serve(places: &str) -> (TestInstallation, Server) {
    let installation = TestInstallation::with_key();
    installation.run_with(&["user", "add", "alice", "--password-stdin"], PASSWORD);
    let server = installation.serve(&["--trusted-proxies", "127.0.0.1", "--password-queue", places]);
    (installation, server)
}

/// Signs alice in from `address`, behind guesses at a name that nobody has, from these addresses.
fn alice_behind(server: &Server, guessing: impl Iterator<Item = String>, address: &str) -> (Vec<u16>, u16) {
    let guesses = guessing.map(|address| (address, "nobody", "a guess"));
    let people: Vec<_> = guesses.chain([(address.to_owned(), "alice", PASSWORD)]).collect();
    let mut answers = server.log_in_together(&people);
    let alice = answers.pop().unwrap();
    (answers, alice)
}

fn same(address: &str, times: usize) -> impl Iterator<Item = String> {
    std::iter::repeat_n(address.to_owned(), times)
}

/// On two cores one password might wait: two connections that posted unknown names left everybody else 503.
#[test]
fn some_guesses_shut_nobody_out() {
    let (_installation, server) = serve("32");
    assert_eq!(alice_behind(&server, same("192.0.2.1", 4), "192.0.2.1"), (vec![400; 4], 200));
}

#[test]
fn a_flood_from_one_address_or_for_one_account_takes_its_own_places() {
    let (_installation, server) = serve("4");
    for address in ["192.0.2.2", "192.0.2.1"] {
        let (guesses, alice) = alice_behind(&server, same("192.0.2.1", 20), address);
        assert_eq!(alice, 200, "from {address}: {guesses:?}");
        assert!(guesses.iter().all(|status| [400, 503].contains(status)), "{guesses:?}");
    }
}

#[test]
fn who_succeeded_lately_has_a_place_whatever_comes_from_fresh_addresses() {
    let (_installation, server) = serve("4");
    assert_eq!(alice_behind(&server, same("", 0), "192.0.2.1").1, 200);
    for round in 0..3 {
        let fresh = (0..40).map(|number| format!("198.51.{round}.{number}"));
        let (guesses, alice) = alice_behind(&server, fresh, "192.0.2.1");
        assert_eq!(alice, 200, "{guesses:?}");
        assert!(guesses.contains(&503), "there was no room for all: {guesses:?}");
    }
}
