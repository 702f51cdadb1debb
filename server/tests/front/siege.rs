//! Connections that come in numbers, stall, or go away.

use std::io::Read;
use std::time::Duration;

use gatepass::front::{Bounds, Exempt};
use socket2::SockRef;

use super::house::{Client, House, eventually, get, post};

#[test]
fn a_request_followed_by_a_reset_harms_nobody() {
    let house = House::open(Bounds { workers: 2, ..Bounds::default() });
    for request in [get("/"), post("Content-Length: 5", "he"), get("/bytes/3000000"), "G".into()] {
        for _ in 0..50 {
            let mut client = house.knock();
            client.send(&request);
            SockRef::from(&client.0).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
    house.serves();
}

#[test]
fn bodies_that_never_come_hold_no_worker() {
    let house = House::open(Bounds { workers: 2, ..Bounds::default() });
    let stalled: Vec<Client> = (0..300)
        .map(|n| {
            let mut client = house.knock();
            client.send(match n % 3 {
                0 => post("Content-Length: 60000", "x"),
                1 => post("Transfer-Encoding: chunked", "5\r\nhe"),
                _ => "GET / HTTP/1.1\r\nHost: a".into(),
            });
            client
        })
        .collect();
    for _ in 0..10 {
        house.serves();
    }
    drop(stalled);
}

#[test]
fn answers_that_are_not_taken_hold_no_worker() {
    let house = House::open(Bounds { workers: 2, ..Bounds::default() });
    let greedy: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = house.knock();
            client.send(get("/bytes/16000000"));
            client
        })
        .collect();
    for _ in 0..10 {
        house.serves();
    }
    drop(greedy);
}

#[test]
fn a_burst_is_served_while_some_are_idle() {
    let house = House::open(Bounds::default());
    let idle: Vec<Client> = (0..5).map(|_| house.knock()).collect();
    for _ in 0..5 {
        let mut burst: Vec<Client> = (0..150).map(|_| house.knock()).collect();
        for client in &mut burst {
            client.send(get("/burst"));
        }
        for client in &mut burst {
            assert_eq!(client.hear().expect("every one is served").status, 200);
        }
    }
    for mut client in idle {
        assert_eq!(client.asks("/idle"), "GET /idle ");
    }
}

#[test]
fn the_oldest_idle_connection_makes_room() {
    let house = House::open(Bounds { connections: 4, ..Bounds::default() });
    let mut clients: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = house.knock();
            client.asks("/");
            client
        })
        .collect();
    // The second oldest becomes the youngest.
    clients[0].asks("/");
    house.serves();
    assert!(clients[1].is_closed());
    assert_eq!(clients[0].asks("/still"), "GET /still ");
    assert_eq!(clients[3].asks("/still"), "GET /still ");
}

#[test]
fn connections_far_past_the_cap_keep_nobody_out() {
    let house = House::open(Bounds { connections: 64, ..Bounds::default() });
    let crowd: Vec<Client> = (0..400)
        .map(|n| {
            let mut client = house.knock();
            let _ = n % 2 == 0 && client.pour(b"POST / HTTP/1.1\r\n");
            client
        })
        .collect();
    house.serves();
    drop(crowd);
}

#[test]
fn busy_connections_are_not_cut_for_newcomers() {
    let house = House::open(Bounds { connections: 3, workers: 8, ..Bounds::default() });
    let mut busy: Vec<Client> = (0..3).map(|_| house.knock()).collect();
    for client in &mut busy {
        client.send(get("/gate"));
    }
    eventually("three at the gate", || house.echo.at_gate() == 3);
    let mut newcomer = house.knock();
    newcomer.send(get("/new"));
    house.echo.open_gate();
    for client in &mut busy {
        assert_eq!(client.hear().expect("an answer").body, b"through");
    }
    assert_eq!(newcomer.hear().expect("its turn comes").body, b"GET /new ");
}

#[test]
fn one_address_has_so_many_and_no_more() {
    let bounds = Bounds { connections_per_address: 3, exempt: Exempt::new(|_| false), ..Bounds::default() };
    let house = House::open(bounds.clone());
    let mut busy: Vec<Client> = (0..3).map(|_| house.knock()).collect();
    for client in &mut busy {
        client.send(get("/gate"));
    }
    eventually("three at the gate", || house.echo.at_gate() == 3);
    assert!(house.knock().is_closed(), "a fourth is turned away");
    house.echo.open_gate();
    for client in &mut busy {
        assert_eq!(client.hear().expect("an answer").body, b"through");
    }
    house.serves();
    assert!(busy[0].is_closed(), "the oldest idle one of that address made room");

    for free in [
        Bounds { connections_per_address: 0, ..bounds.clone() },
        Bounds { exempt: Exempt::default(), ..bounds },
    ] {
        let house = House::open(free);
        let mut many: Vec<Client> = (0..20).map(|_| house.knock()).collect();
        for client in &mut many {
            assert_eq!(client.asks("/"), "GET / ");
        }
    }
}

#[test]
fn slow_calls_block_nobody_but_their_callers() {
    let house = House::open(Bounds { workers: 2, ..Bounds::default() });
    let mut slow: Vec<Client> = (0..2).map(|_| house.knock()).collect();
    for client in &mut slow {
        client.send(get("/gate"));
    }
    eventually("both workers are taken", || house.echo.at_gate() == 2);
    // The watching thread still accepts, reads, refuses and keeps the connections of others.
    let mut queued = house.knock();
    queued.send(get("/queued"));
    let mut bad = house.knock();
    bad.send("\0");
    assert_eq!(bad.hear().expect("a refusal").status, 400);
    house.echo.open_gate();
    assert_eq!(queued.hear().expect("an answer").body, b"GET /queued ");
    for client in &mut slow {
        assert_eq!(client.hear().expect("an answer").body, b"through");
    }
}

#[test]
fn a_closed_half_still_gets_its_answer() {
    let house = House::open(Bounds::default());
    let mut client = house.knock();
    client.send(get("/half"));
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.hear().expect("an answer").body, b"GET /half ");
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0, "and then the end");
}
