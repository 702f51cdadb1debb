//! Keeping alive, deadlines, lingering, draining.

use super::*;

const S: Duration = Duration::from_secs(1);

#[test]
fn keeping_alive_and_closing() {
    let with = |version: &str, fields: &str| format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n{GET}");
    let (both, first) = ("GET / \"\"; GET / \"\"; idle", "GET / \"\"; close");
    for (version, fields, expected) in [
        ("1.1", "", both),
        ("1.1", "Connection: keep-alive\r\n", both),
        ("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", both),
        ("1.1", "Connection: disclose\r\n", both),
        ("1.1", "Connection: close\r\n", first),
        ("1.1", "connection: Close\r\n", first),
        ("1.1", "Connection: te, close\r\n", first),
        ("1.1", "Connection: te\r\nConnection: close\r\n", first),
        ("1.1", "Connection: keep-alive,close\r\n", first),
        ("1.0", "", first),
        ("1.0", "Connection: keep-alive\r\n", first),
    ] {
        assert_eq!(story(&limits(), with(version, fields).as_bytes()), expected, "{version} {fields}");
    }
    check(&[
        ("GET / HTTP/1.0\r\n\r\n", "GET / \"\"; close"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400; close"),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", "400; close"),
        ("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "POST / \"hi\"; close"),
    ]);
}

#[test]
fn an_answer_is_one_piece() {
    let mut connection = connection(&limits());
    connection.receive(GET.as_bytes());
    assert!(matches!(connection.next_action(T0), Action::Request(_)));
    connection.answer(&Response::new(200, "text/plain", vec![b'x'; 5000]), "D", T0);
    let output = connection.output().to_vec();
    assert!(output.starts_with(b"HTTP/1.1 200 OK\r\n") && output.ends_with(&[b'x'; 5000]));
    connection.sent(output.len(), T0);
    assert!(connection.output().is_empty());
    assert_eq!(connection.held(), 0, "an idle connection holds nothing");
}

#[test]
fn one_request_is_in_flight_and_the_rest_waits() {
    let mut connection = connection(&limits());
    connection.receive(format!("{GET}{GET}").as_bytes());
    assert!(matches!(connection.next_action(T0), Action::Request(_)));
    assert!(matches!(connection.next_action(T0), Action::Wait));
    assert_eq!((connection.read_capacity(), connection.receive(b"more")), (0, 0));
    connection.answer(&Response::new(200, "text/plain", Vec::new()), "D", T0);
    assert_eq!(connection.read_capacity(), 0, "nor while the answer is being sent");
    assert!(matches!(connection.next_action(T0), Action::Wait));
    let length = connection.output().len();
    connection.sent(length - 1, T0);
    assert!(matches!(connection.next_action(T0), Action::Wait));
    connection.sent(1, T0);
    assert!(matches!(connection.next_action(T0), Action::Request(_)));
}

#[test]
fn a_request_has_ten_seconds_however_it_trickles() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyy",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n0123456789",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1\r\nx\r\n",
    ] {
        let mut connection = connection(&limits());
        assert_eq!(connection.deadline(), Some(T0 + 75 * S), "idle");
        let mut now = T0 + S;
        for byte in request.bytes() {
            connection.receive(&[byte]);
            assert!(matches!(connection.next_action(now), Action::Wait));
            assert_eq!(connection.deadline(), Some(T0 + 11 * S), "from the first byte");
            now += S / 100;
        }
        connection.handle_timeout(T0 + 11 * S - S / 1000);
        assert!(matches!(connection.next_action(now), Action::Wait), "not yet");
        connection.handle_timeout(T0 + 11 * S);
        assert!(matches!(connection.next_action(now), Action::Refuse(Problem::RequestTimeout, _)));
        connection.answer(&Response::new(408, "text/plain", Vec::new()), "D", now);
        assert!(String::from_utf8_lossy(connection.output()).contains("Connection: close"));
    }
}

#[test]
fn idle_ends_in_silence() {
    for before in ["", "\r", "\r\n"] {
        let mut connection = connection(&limits());
        connection.receive(before.as_bytes());
        assert!(matches!(connection.next_action(T0 + 9 * S), Action::Wait));
        connection.handle_timeout(T0 + 74 * S);
        assert!(!connection.is_closed());
        connection.handle_timeout(T0 + 75 * S);
        assert!(connection.is_closed() && connection.output().is_empty());
    }
}

#[test]
fn an_answer_is_taken_in_ten_seconds_however_it_trickles() {
    let mut connection = connection(&limits());
    connection.receive(GET.as_bytes());
    assert!(matches!(connection.next_action(T0), Action::Request(_)));
    assert_eq!(connection.deadline(), None, "the service takes its time");
    connection.handle_timeout(T0 + 1000 * S);
    connection.answer(&Response::new(200, "text/plain", vec![0; 1000]), "D", T0 + 20 * S);
    for tick in 0..9 {
        connection.sent(1, T0 + (20 + tick) * S);
        assert_eq!(connection.deadline(), Some(T0 + 30 * S));
    }
    connection.handle_timeout(T0 + 30 * S);
    assert!(connection.is_closed());
}

#[test]
fn the_idle_time_begins_anew_with_every_answer() {
    let mut driver = Driver::new(&limits());
    driver.connection.receive(GET.as_bytes());
    driver.settle(T0 + 14 * S);
    assert_eq!(driver.connection.deadline(), Some(T0 + 89 * S));
    // What was pipelined begins when it can be looked at.
    driver.connection.receive(format!("{GET}G").as_bytes());
    driver.settle(T0 + 20 * S);
    assert_eq!(driver.connection.deadline(), Some(T0 + 30 * S));
}

#[test]
fn lingering_is_bounded_in_bytes_and_time() {
    let small = Limits { linger_bytes: 20_000, ..limits() };
    let mut driver = Driver::new(&small);
    driver.feed(b"\0");
    assert!(driver.connection.is_shut() && !driver.connection.is_closed());
    assert_eq!(driver.connection.deadline(), Some(T0 + 2 * S));
    assert_eq!(driver.connection.receive(&[b'x'; CHUNK]), CHUNK);
    assert_eq!(driver.connection.held(), 0);
    assert_eq!(driver.connection.receive(&[b'x'; CHUNK]), 20_000 - CHUNK);
    assert!(driver.connection.is_closed());

    let mut driver = Driver::new(&small);
    driver.feed(b"\0");
    driver.connection.handle_timeout(T0 + 2 * S);
    assert!(driver.connection.is_closed());
}

#[test]
fn the_end_of_input() {
    for (bytes, expected) in [
        ("", "closed"),
        ("\r\n", "closed"),
        ("GET", "400; closed"),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "400; closed"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh", "400; closed"),
        (GET, "GET / \"\"; closed"),
        ("\0", "400; closed"),
    ] {
        let mut driver = Driver::new(&limits());
        driver.feed(bytes.as_bytes());
        driver.connection.end();
        driver.settle(T0);
        assert_eq!(driver.story(), expected, "{bytes:?}");
    }
    // A peer that has closed its own side still gets the answers to what it has sent.
    let mut driver = Driver::new(&limits());
    driver.connection.receive(format!("{GET}{GET}").as_bytes());
    driver.connection.end();
    driver.settle(T0);
    assert_eq!(driver.story(), "GET / \"\"; GET / \"\"; closed");
}

#[test]
fn draining() {
    let mut idle = Driver::new(&limits());
    idle.connection.drain();
    assert!(idle.connection.is_closed());

    let mut half = Driver::new(&limits());
    half.feed(b"GET / HTTP/1.1\r\n");
    half.connection.drain();
    half.feed(b"Host: a\r\n\r\n");
    assert!(String::from_utf8_lossy(&half.wire).contains("Connection: close\r\n"));
    assert_eq!(half.story(), "GET / \"\"; close");

    let mut busy = connection(&limits());
    busy.receive(GET.as_bytes());
    assert!(matches!(busy.next_action(T0), Action::Request(_)));
    busy.drain();
    busy.answer(&Response::new(200, "text/plain", Vec::new()), "D", T0);
    assert!(String::from_utf8_lossy(busy.output()).contains("Connection: close\r\n"));
}

#[test]
fn an_answer_that_nobody_asked_for_is_ignored() {
    let mut connection = connection(&limits());
    let response = Response::new(200, "text/plain", Vec::new());
    connection.answer(&response, "D", T0);
    assert!(connection.output().is_empty());
    connection.close();
    connection.answer(&response, "D", T0);
    assert!(connection.output().is_empty() && connection.is_closed());
}
