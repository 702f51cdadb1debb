//! The beginning and end of requests on the wire.

use gatepass::http::Limits;

use super::harness::{Harness, get, post};

#[test]
fn no_content_length_stops_or_misleads_it() {
    let harness = Harness::open(Limits::default());
    for (length, status) in [
        ("4611686018427387904", 413),
        ("9223372036854775807", 413),
        ("18446744073709551615", 413),
        ("18446744073709551616", 413),
        ("65537", 413),
        ("-1", 400),
        ("+5", 400),
        ("0x10", 400),
        ("5, 5", 400),
        ("5,6", 400),
        ("", 400),
        ("05", 400),
        ("1e1", 400),
    ] {
        let mut client = harness.connect();
        client.send(post(&format!("Content-Length: {length}"), &get("/smuggled")));
        let answer = client.receive().expect("an answer");
        assert_eq!((answer.status, answer.closes()), (status, true), "{length}");
        assert!(client.receive().is_none(), "the body is never a request: {length}");
    }
    harness.serves();
    assert_eq!(harness.echo.answered.load(std::sync::atomic::Ordering::SeqCst), 1, "the honest one alone");
}

#[test]
fn the_id_that_was_sent_comes_back_with_whatever_is_refused_once_the_head_is_read() {
    let harness = Harness::open(Limits::default());
    let id = "X-Request-Id: portal-1\r\n";
    for (bytes, status) in [
        (post(&format!("{id}Content-Length: 65537"), ""), 413),
        (post(&format!("{id}Transfer-Encoding: chunked"), "z\r\n"), 400),
        (post(&format!("{id}Transfer-Encoding: gzip"), ""), 501),
        (post(&format!("{id}Expect: more"), ""), 417),
        (format!("GET http://elsewhere/ HTTP/1.1\r\nHost: a\r\n{id}\r\n"), 421),
        (format!("GET /panic HTTP/1.1\r\nHost: a\r\n{id}\r\n"), 500),
        (format!("GET /unprintable HTTP/1.1\r\nHost: a\r\n{id}\r\n"), 500),
        (format!("GET /later/dropped HTTP/1.1\r\nHost: a\r\n{id}\r\n"), 500),
        (format!("GET /a HTTP/1.1\r\nHost: a\r\n{id}\r\n"), 200),
    ] {
        let mut client = harness.connect();
        client.send(&bytes);
        let answer = client.receive().expect("an answer");
        assert_eq!(answer.status, status, "{bytes:?}");
        assert!(answer.head.contains("\r\nx-request-id: portal-1\r\n"), "{bytes:?}: {}", answer.head);
    }
}

#[test]
fn every_refusal_is_seen_and_closes() {
    let harness = Harness::open(Limits::default());
    let long_line = format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000));
    let long_head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(17_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(64));
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}", 400),
        (&post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"), 400),
        (&post("Transfer-Encoding: chunked", "z\r\n"), 400),
        (&post("Transfer-Encoding: gzip", ""), 501),
        (&post("Transfer-Encoding: chunked", "10001\r\n"), 413),
        (&post("Expect: the-unexpected", ""), 417),
        ("GET http://elsewhere/ HTTP/1.1\r\nHost: a\r\n\r\n", 421),
        ("POST * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET / HTTP/1.7\r\n\r\n", 505),
        (&long_line, 414),
        (&long_head, 431),
        (&many, 431),
    ] {
        let mut client = harness.connect();
        client.send(bytes);
        let answer = client.receive().unwrap_or_else(|| panic!("an answer to {bytes:?}"));
        assert_eq!((answer.status, answer.closes()), (status, true), "{bytes:?}");
        assert!(client.is_closed());
    }
    harness.serves();
}

#[test]
fn a_refusal_reaches_a_client_that_goes_on_sending() {
    let harness = Harness::open(Limits::default());
    let mut client = harness.connect();
    client.send(post("Content-Length: 500000", ""));
    client.send(vec![b'x'; 500_000]);
    let answer = client.receive().expect("the answer and no reset");
    assert_eq!((answer.status, answer.closes()), (413, true));
    assert!(client.is_closed());
}

#[test]
fn bodies_in_either_framing() {
    let harness = Harness::open(Limits::default());
    let mut client = harness.connect();
    for (request, body) in [
        (post("Content-Length: 5", "hello"), "POST /p hello"),
        (post("Transfer-Encoding: chunked", "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: u\r\n\r\n"), "POST /p hello"),
        (post("X: no length", ""), "POST /p "),
        (get("/a?b"), "GET /a?b "),
        (format!("GET http://{0}/c HTTP/1.1\r\nHost: {0}\r\n\r\n", harness.address), "GET /c "),
        ("DELETE /d HTTP/1.1\r\nHost: a\r\n\r\n".into(), "DELETE /d "),
    ] {
        client.send(&request);
        let answer = client.receive().expect("an answer on the same connection");
        assert_eq!(String::from_utf8_lossy(&answer.body), body, "{request:?}");
        assert!(!answer.closes());
    }
    client.send("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.receive_with(false).expect("an answer");
    assert!(answer.head.contains("Content-Length: 8\r\n"));
    assert_eq!(client.get_body("/after"), "GET /after ", "no body came with HEAD");
}

#[test]
fn continue_is_said_when_it_is_waited_for() {
    let harness = Harness::open(Limits::default());
    let mut client = harness.connect();
    // On a connection that waits already, so that only the head itself wakes it.
    client.get_body("/first");
    client.send(post("Content-Length: 5\r\nExpect: 100-continue", ""));
    assert_eq!(client.receive().unwrap().status, 100);
    client.send("hello");
    assert_eq!(client.receive().unwrap().body, b"POST /p hello");
    client.send(post("Content-Length: 70000\r\nExpect: 100-continue", ""));
    assert_eq!(client.receive().unwrap().status, 413);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let harness = Harness::open(Limits::default());
    let mut client = harness.connect();
    let requests: String = (0..500).map(|n| get(&format!("/{n}"))).collect();
    client.send(requests);
    for n in 0..500 {
        assert_eq!(client.receive().unwrap().body, format!("GET /{n} ").into_bytes());
    }
}

#[test]
fn a_te_header_that_cannot_be_sorted_is_nothing_special() {
    let harness = Harness::open(Limits::default());
    let mut client = harness.connect();
    for te in ["gzip;q=NaN, deflate;q=NaN, chunked;q=nan", "trailers;q=inf, a;q=-nan", "a;q=0.5, a;q=NaN"] {
        client.send(format!("GET /te HTTP/1.1\r\nHost: a\r\nTE: {te}\r\n\r\n"));
        assert_eq!(client.receive().expect("an answer").status, 200);
    }
}

#[test]
fn long_answers_on_one_connection() {
    let harness = Harness::open(Limits::default());
    let mut client = harness.connect();
    for size in [0, 1, 1023, 1024, 1025, 5000, 100_000, 3_000_000].into_iter().cycle().take(64) {
        assert_eq!(client.get_body(&format!("/bytes/{size}")).len(), size);
    }
}
