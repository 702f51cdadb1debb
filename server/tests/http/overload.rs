//! Many connections, stalled ones, and disconnects.

use std::io::Read;
use std::time::Duration;

use gatepass::http::{Exempt, Limits};
use socket2::SockRef;

use super::harness::{Client, Harness, eventually, get, post};

#[test]
fn a_request_followed_by_a_reset_harms_no_other() {
    let harness = Harness::open(Limits { workers: 2, ..Limits::default() });
    for request in [get("/"), post("Content-Length: 5", "he"), get("/bytes/3000000"), "G".into()] {
        for _ in 0..50 {
            let mut client = harness.connect();
            client.send(&request);
            SockRef::from(&client.0).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
    harness.serves();
}

#[test]
fn bodies_that_never_come_hold_no_worker() {
    let harness = Harness::open(Limits { workers: 2, ..Limits::default() });
    let stalled: Vec<Client> = (0..300)
        .map(|n| {
            let mut client = harness.connect();
            client.send(match n % 3 {
                0 => post("Content-Length: 60000", "x"),
                1 => post("Transfer-Encoding: chunked", "5\r\nhe"),
                _ => "GET / HTTP/1.1\r\nHost: a".into(),
            });
            client
        })
        .collect();
    for _ in 0..10 {
        harness.serves();
    }
    drop(stalled);
}

#[test]
fn answers_that_are_not_read_hold_no_worker() {
    let harness = Harness::open(Limits { workers: 2, ..Limits::default() });
    let greedy: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = harness.connect();
            client.send(get("/bytes/16000000"));
            client
        })
        .collect();
    for _ in 0..10 {
        harness.serves();
    }
    drop(greedy);
}

#[test]
fn a_burst_is_served_while_some_are_idle() {
    let harness = Harness::open(Limits::default());
    let idle: Vec<Client> = (0..5).map(|_| harness.connect()).collect();
    for _ in 0..5 {
        let mut burst: Vec<Client> = (0..150).map(|_| harness.connect()).collect();
        for client in &mut burst {
            client.send(get("/burst"));
        }
        for client in &mut burst {
            assert_eq!(client.receive().expect("every one is served").status, 200);
        }
    }
    for mut client in idle {
        assert_eq!(client.get_body("/idle"), "GET /idle ");
    }
}

#[test]
fn the_oldest_idle_connection_makes_room() {
    let harness = Harness::open(Limits { connections: 4, ..Limits::default() });
    let mut clients: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = harness.connect();
            client.get_body("/");
            client
        })
        .collect();
    // The second oldest becomes the newest.
    clients[0].get_body("/");
    harness.serves();
    assert!(clients[1].is_closed());
    assert_eq!(clients[0].get_body("/still"), "GET /still ");
    assert_eq!(clients[3].get_body("/still"), "GET /still ");
}

#[test]
fn connections_far_past_the_cap_do_not_block_new_ones() {
    let harness = Harness::open(Limits { connections: 64, ..Limits::default() });
    let crowd: Vec<Client> = (0..400)
        .map(|n| {
            let mut client = harness.connect();
            let _ = n % 2 == 0 && client.try_send(b"POST / HTTP/1.1\r\n");
            client
        })
        .collect();
    harness.serves();
    drop(crowd);
}

#[test]
fn busy_connections_are_not_closed_for_new_ones() {
    let harness = Harness::open(Limits { connections: 3, workers: 8, ..Limits::default() });
    let mut busy: Vec<Client> = (0..3).map(|_| harness.connect()).collect();
    for client in &mut busy {
        client.send(get("/gate"));
    }
    eventually("three at the gate", || harness.echo.at_gate() == 3);
    let mut newcomer = harness.connect();
    newcomer.send(get("/new"));
    harness.echo.open_gate();
    for client in &mut busy {
        assert_eq!(client.receive().expect("an answer").body, b"through");
    }
    assert_eq!(newcomer.receive().expect("its turn comes").body, b"GET /new ");
}

#[test]
fn connections_of_one_address_are_limited() {
    let bounds = Limits { connections_per_address: 3, exempt: Exempt::new(|_| false), ..Limits::default() };
    let harness = Harness::open(bounds.clone());
    let mut busy: Vec<Client> = (0..3).map(|_| harness.connect()).collect();
    for client in &mut busy {
        client.send(get("/gate"));
    }
    eventually("three at the gate", || harness.echo.at_gate() == 3);
    assert!(harness.connect().is_closed(), "a fourth is turned away");
    harness.echo.open_gate();
    for client in &mut busy {
        assert_eq!(client.receive().expect("an answer").body, b"through");
    }
    harness.serves();
    assert!(busy[0].is_closed(), "the oldest idle one of that address made room");

    for free in [
        Limits { connections_per_address: 0, ..bounds.clone() },
        Limits { exempt: Exempt::default(), ..bounds },
    ] {
        let harness = Harness::open(free);
        let mut many: Vec<Client> = (0..20).map(|_| harness.connect()).collect();
        for client in &mut many {
            assert_eq!(client.get_body("/"), "GET / ");
        }
    }
}

#[test]
fn slow_requests_delay_only_their_clients() {
    let harness = Harness::open(Limits { workers: 2, ..Limits::default() });
    let mut slow: Vec<Client> = (0..2).map(|_| harness.connect()).collect();
    for client in &mut slow {
        client.send(get("/gate"));
    }
    eventually("both workers are taken", || harness.echo.at_gate() == 2);
    // The event loop still accepts, reads, refuses and keeps the other connections.
    let mut queued = harness.connect();
    queued.send(get("/queued"));
    let mut bad = harness.connect();
    bad.send("\0");
    assert_eq!(bad.receive().expect("a refusal").status, 400);
    harness.echo.open_gate();
    assert_eq!(queued.receive().expect("an answer").body, b"GET /queued ");
    for client in &mut slow {
        assert_eq!(client.receive().expect("an answer").body, b"through");
    }
}

#[test]
fn a_closed_half_still_gets_its_answer() {
    let harness = Harness::open(Limits::default());
    let mut client = harness.connect();
    client.send(get("/half"));
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.receive().expect("an answer").body, b"GET /half ");
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0, "and then the end");
}
