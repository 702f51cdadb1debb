//! Rows from before clients had epochs, in the current schema.

use gatepass_core::base::time::Time;
use gatepass_core::records::challenge::{Challenge, ChallengeDigest, SignIn};
use gatepass_core::records::client::{Client, ClientRef};
use gatepass_core::records::id::ClientId;
use gatepass_core::records::session::{RefreshDigest, Session};
use gatepass_core::records::sign_in_history::{DeviceMark, DeviceOnNetwork as Whereabouts, Network};
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Query, Records, TokenQuery};
use gatepass_tests::fixtures;

use crate::fixture::*;

fn client_id(id: &str) -> ClientId {
    ClientId::parse(id).unwrap()
}

/// A client of the test data under another id, added at `created_at`.
fn client(id: &str, created_at: Time, enabled: bool) -> Change {
    let like = fixtures::tables().clients.remove(&portal()).unwrap();
    Change::InsertClient(Client { id: client_id(id), created_at, enabled, ..like })
}

/// The clients that a row names.
#[derive(Clone, Copy)]
struct RowClients {
    client: &'static str,
    /// The issuer of a ticket. A session of an earlier schema has none.
    issuer: Option<&'static str>,
    audience: bool,
    bind: bool,
}

const PLAIN: RowClients = RowClients { client: "old", issuer: None, audience: true, bind: false };

impl RowClients {
    fn ticket(self, number: u64) -> Ticket {
        let issuer = self.issuer.map(|id| ClientRef { id: client_id(id), epoch: 0 });
        let (client_id, for_audience) = (client_id(self.client), self.audience);
        Ticket { client_id, issuer, for_audience, bind: self.bind, ..ticket(number) }
    }

    fn session(self, number: u64) -> Session {
        let (client_id, for_audience) = (client_id(self.client), self.audience);
        Session { client_id, for_audience, bind: self.bind, ..session(number) }
    }

    fn challenge(self, number: u64) -> Challenge {
        let device = DeviceMark::of_user_agent(b"");
        let place = Whereabouts { device, network: Network::of([192, 0, 2, 1].into()) };
        Challenge {
            digest: ChallengeDigest(digest(number)),
            sign_in: SignIn::by_ticket(&self.ticket(number), place),
            user_epoch: 0,
            actor_epoch: None,
            expires_at: NOW.plus(300),
            wrong: 0,
            answered: None,
            state_epoch: 0,
            issued_at: NOW,
        }
    }
}

/// Long before anything was issued.
const BEFORE: Time = Time::from_unix(1_700_000_000);

/// The state of a row: the epoch of its client, and true if it is live.
type RowState = Option<(Option<u64>, bool)>;

#[test]
fn rows_from_before_there_were_epochs_name_those_of_the_clients_that_are_there() {
    let (own, admin) = (RowClients { client: "gatepass", audience: false, ..PLAIN }, "admin");
    let by_http = RowClients { client: admin, issuer: Some(admin), audience: false, bind: false };
    let by_command = RowClients { issuer: None, ..by_http };
    let lives = Some((Some(0), true));
    // The clients of a row, and the states of a ticket, a session and a challenge.
    let table: [(&str, RowClients, [RowState; 3]); 11] = [
        ("of a client that is there", PLAIN, [lives; 3]),
        ("bound", RowClients { bind: true, ..PLAIN }, [lives; 3]),
        ("issued by another", RowClients { issuer: Some("old"), ..PLAIN }, [lives; 3]),
        // The record may be enabled again later, but was disabled since.
        ("of a client that is disabled", RowClients { client: "off", ..PLAIN }, [lives; 3]),
        ("of a client that is gone", RowClients { client: "none", ..PLAIN }, [lives; 3]),
        (
            "of a namesake",
            RowClients { client: "young", ..PLAIN },
            [Some((Some(0), false)), Some((Some(0), false)), None],
        ),
        (
            "of a namesake of the same second",
            RowClients { client: "now", ..PLAIN },
            [Some((Some(0), false)), Some((Some(0), false)), None],
        ),
        (
            "issued by a namesake",
            RowClients { issuer: Some("young"), ..PLAIN },
            [Some((Some(0), false)), lives, lives],
        ),
        ("for the server itself", own, [Some((None, true)); 3]),
        ("of a client called admin", by_http, [lives; 3]),
        // A session does not say whether it is the client's. It depends on the record, which is the safe choice.
        ("of the command line", by_command, [Some((None, true)), lives, lives]),
    ];
    let fixture = Fixture::new();
    let clients = [
        client("old", BEFORE, true),
        client("off", BEFORE, false),
        client("young", NOW.plus(100), true),
        client("now", NOW, true),
        client(admin, BEFORE, true),
    ];
    assert_eq!(commit(&fixture.store(), clients), Outcome::Applied);
    for (number, (what, of, _)) in (1u64..).zip(&table) {
        let changes = [
            Change::InsertTicket(of.ticket(number)),
            begin_session(of.session(number), number),
            Change::InsertChallenge(of.challenge(number)),
        ];
        assert_eq!(commit(&fixture.store(), changes), Outcome::Applied, "{what}");
    }
    fixture.downgrade(6, "");
    let store = fixture.serve().unwrap();
    for (number, (what, of, [of_ticket, of_session, of_challenge])) in (1u64..).zip(&table) {
        let Records::Ticket(found) = store.read(&Query::Ticket(ticket(number).digest)).records else {
            panic!()
        };
        let found = found.map(|records| records.ticket);
        let told = found.as_ref().map(|t| (t.client_epoch, t.state == TicketState::Live));
        assert_eq!(told, *of_ticket, "a ticket {what}");
        assert_eq!(found.and_then(|t| t.issuer), of.ticket(number).issuer, "a ticket {what}");
        let query = TokenQuery {
            caller: None,
            access: None,
            refresh: Some(RefreshDigest(digest(number))),
            assertion: None,
        };
        let Records::Token(found) = store.read(&Query::Token(query)).records else { panic!() };
        let found = found.family.map(|family| family.session);
        let told = found.as_ref().map(|s| (s.client_epoch, s.ended_at.is_none()));
        assert_eq!(told, *of_session, "a session {what}");
        assert_eq!(found.unwrap().issuer, None, "a session {what}");
        let query = Query::Challenge(ChallengeDigest(digest(number)));
        let Records::Challenge(found) = store.read(&query).records else { panic!() };
        let told = found.map(|c| (c.challenge.sign_in.client_epoch, c.challenge.is_open(NOW)));
        assert_eq!(told, *of_challenge, "a challenge {what}");
    }
    for (id, epoch) in [("old", 0), ("young", 0), ("off", 1), ("closed", 1), (admin, 0)] {
        assert_eq!(store.client(&client_id(id)).unwrap().unwrap().epoch, epoch, "{id}");
    }
    assert!(store.check().unwrap().is_sound());
}
