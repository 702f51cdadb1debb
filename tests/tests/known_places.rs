//! The places that somebody lately signed in from count wrong passwords and codes of their own: whoever guesses from elsewhere locks
//! nobody out there, and who guesses from there locks out nobody elsewhere.
#![allow(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::cell::Cell;

use gatepass_core::admin::users::{SetPassword, UnlockUser};
use gatepass_core::admin::{self, Administrator, Operation};
use gatepass_core::base::secret::SecretText;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::id::UserRef;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{self, NOON, PAM_PASSWORD, body, inputs, request, text, user_id};
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::totp;
use serde_json::{Value, json};

/// A device, and the last byte but one of its address.
type Place = (&'static str, u8);

const LAPTOP: Place = ("laptop", 0);
const PHONE: Place = ("phone", 1);
/// The stranger's place.
const ELSEWHERE: Place = ("scanner", 99);

struct World {
    engine: Engine,
    store: Memory,
    seed: Cell<u64>,
    /// Milliseconds since noon.
    now: Cell<u64>,
}

impl World {
    fn new(engine: Engine, tables: Tables) -> Self {
        Self { engine, store: Memory::new(tables), seed: Cell::new(0), now: Cell::new(0) }
    }

    fn inputs(&self) -> gatepass_core::RequestInputs {
        self.seed.set(self.seed.get() + 1);
        inputs(NOON.plus(self.now.get() / 1_000), self.seed.get())
    }

    fn pass(&self, seconds: u64) {
        self.now.set(self.now.get() + 1_000 * seconds);
    }

    fn send(&self, (device, network): Place, mut request: Request) -> (u16, Value) {
        request.headers.push(("x-device-id".into(), device.into()));
        request.peer = [10, 0, network, 1].into();
        let answer = drive(&self.engine, &self.store, request, self.inputs());
        (answer.status(), body(&answer))
    }

    fn login(&self, place: Place, password: &str) -> (u16, Value) {
        self.send(place, request("/auth/login", "", &json!({"identity": "pam", "password": password})))
    }

    fn answer(&self, place: Place, challenge: &str, code: &str) -> u16 {
        let answer = json!({"challenge_token": challenge, "code": code});
        self.send(place, request("/auth/mfa/verify-challenge", "", &answer)).0
    }

    fn change_password(&self, place: Place, token: &str, old: &str) -> u16 {
        let body = json!({"old_password": old, "new_password": "correct mule battery"});
        let asked = request("/auth/me/password", &format!("Bearer {token}"), &body);
        self.send(place, Request { method: "PUT".into(), ..asked }).0
    }

    fn run<O: Operation>(&self, operation: O) {
        let done =
            admin::run(operation, Administrator::Machine, self.inputs(), self.engine.settings(), &self.store);
        assert!(done.is_ok());
    }

    fn code(&self) -> String {
        totp::code(totp::SECRET, NOON.unix() + self.now.get() / 1_000)
    }
}

fn world() -> World {
    World::new(fixtures::engine("http://gate.example"), fixtures::tables())
}

fn pam() -> UserRef {
    UserRef::from(&user_id("pam"))
}

/// A wrong password every 2.2 s, for an hour.
#[test]
fn a_stranger_who_guesses_all_the_time_keeps_nobody_out_of_the_place_that_they_always_use() {
    let world = world();
    assert_eq!(world.login(LAPTOP, PAM_PASSWORD).0, 200);
    let mut elsewhere = 0;
    for guess in 1..=1_636u64 {
        world.now.set(2_200 * guess);
        assert_eq!(world.login(ELSEWHERE, "wrong").0, 400);
        if guess.is_multiple_of(50) {
            assert_eq!(world.login(LAPTOP, PAM_PASSWORD).0, 200, "after {guess} guesses");
            elsewhere += u32::from(world.login(PHONE, PAM_PASSWORD).0 == 200);
        }
    }
    assert_eq!(elsewhere, 0, "the account is locked everywhere else");
    world.run(UnlockUser { user: pam() });
    assert_eq!(world.login(PHONE, PAM_PASSWORD).0, 200);
}

#[test]
fn who_guesses_at_a_known_place_locks_it_alone() {
    let world = world();
    assert_eq!([LAPTOP, PHONE].map(|place| world.login(place, PAM_PASSWORD).0), [200, 200]);
    for _ in 0..10 {
        assert_eq!(world.login(LAPTOP, "wrong").0, 400);
        world.pass(30);
    }
    let tried = || [LAPTOP, PHONE, ELSEWHERE].map(|place| world.login(place, PAM_PASSWORD).0);
    assert_eq!(tried(), [400, 200, 200]);
    world.pass(60);
    assert_eq!(tried(), [200, 200, 200]);
}

#[test]
fn wrong_passwords_at_one_place_are_not_forgiven_by_a_right_one_at_another() {
    let world = world();
    assert_eq!(world.login(LAPTOP, PAM_PASSWORD).0, 200);
    for _ in 0..9 {
        assert_eq!(world.login(ELSEWHERE, "wrong").0, 400);
        world.pass(30);
        assert_eq!(world.login(LAPTOP, PAM_PASSWORD).0, 200);
    }
    assert_eq!(world.login(ELSEWHERE, "wrong").0, 400);
    world.pass(59);
    assert_eq!(world.login(ELSEWHERE, PAM_PASSWORD).0, 400, "ten lock for a minute");
    world.pass(1);
    assert_eq!(world.login(ELSEWHERE, PAM_PASSWORD).0, 200);
}

#[test]
fn the_four_latest_places_count_on_their_own() {
    let places: [Place; 5] = [("a", 0), ("b", 0), ("a", 1), ("c", 2), ("d", 3)];
    let world = world();
    for place in places {
        assert_eq!(world.login(place, PAM_PASSWORD).0, 200);
        world.pass(1);
    }
    for _ in 0..4 {
        assert_eq!(world.login(ELSEWHERE, "wrong").0, 400);
        world.pass(1);
    }
    assert_eq!(places.map(|place| world.login(place, PAM_PASSWORD).0), [400, 200, 200, 200, 200]);
}

#[test]
fn wrong_codes_elsewhere_lock_nobody_out_of_a_known_place() {
    let mut tables = fixtures::tables();
    totp::enrol(&mut tables, &user_id("pam"));
    let world = World::new(fixtures::asking(), tables);
    let challenge = |place| text(&world.login(place, PAM_PASSWORD).1, "challenge_token");
    assert_eq!(world.answer(LAPTOP, &challenge(LAPTOP), &world.code()), 200);
    // Somebody who knows the password.
    for _ in 0..4 {
        let challenge = challenge(ELSEWHERE);
        for _ in 0..5 {
            assert_eq!(world.answer(ELSEWHERE, &challenge, "000000"), 400);
        }
        world.pass(10);
    }
    world.pass(10);
    assert_eq!(
        world.answer(PHONE, &challenge(PHONE), &world.code()),
        400,
        "the factors are locked elsewhere"
    );
    assert_eq!(world.answer(LAPTOP, &challenge(LAPTOP), &world.code()), 200);
    // Where a challenge was opened is what counts, not where it is answered.
    assert_eq!(world.answer(LAPTOP, &challenge(PHONE), &world.code()), 400);
    world.run(UnlockUser { user: pam() });
    world.pass(30);
    assert_eq!(world.answer(PHONE, &challenge(PHONE), &world.code()), 200);
}

#[test]
fn an_old_password_counts_where_it_is_typed() {
    let world = world();
    let token = text(&world.login(LAPTOP, PAM_PASSWORD).1, "access_token");
    for _ in 0..3 {
        assert_eq!(world.login(ELSEWHERE, "wrong").0, 400);
    }
    assert_eq!(world.change_password(PHONE, &token, PAM_PASSWORD), 400);
    assert_eq!(world.change_password(LAPTOP, &token, "wrong"), 400);
    assert_eq!(world.change_password(LAPTOP, &token, PAM_PASSWORD), 200);
}

#[test]
fn a_new_password_and_an_unlocked_account_begin_anew_everywhere() {
    let world = world();
    let lock = |place| {
        for _ in 0..3 {
            assert_eq!(world.login(place, "wrong").0, 400);
        }
        assert_eq!(world.login(place, PAM_PASSWORD).0, 400);
    };
    assert_eq!(world.login(LAPTOP, PAM_PASSWORD).0, 200);
    [LAPTOP, ELSEWHERE].into_iter().for_each(lock);
    world.run(UnlockUser { user: pam() });
    assert_eq!([LAPTOP, PHONE].map(|place| world.login(place, PAM_PASSWORD).0), [200, 200]);

    [LAPTOP, ELSEWHERE].into_iter().for_each(lock);
    let password = SecretText::new(PAM_PASSWORD.into());
    world.run(SetPassword { user: pam(), password, must_change: false });
    assert_eq!([LAPTOP, PHONE].map(|place| world.login(place, PAM_PASSWORD).0), [200, 200]);

    let token = text(&world.login(PHONE, PAM_PASSWORD).1, "access_token");
    [LAPTOP, ELSEWHERE].into_iter().for_each(lock);
    assert_eq!(world.change_password(PHONE, &token, PAM_PASSWORD), 200);
    assert_eq!(world.login(LAPTOP, "correct mule battery").0, 200);
    assert_eq!(world.login(ELSEWHERE, "correct mule battery").0, 200);
}
