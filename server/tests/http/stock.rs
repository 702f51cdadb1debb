//! The stock server: its listeners, and the addresses that it refuses.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use gatepass::http::Limits;
use gatepass::http::stock::{ListenAddress, Stock};

use super::harness::{Client, Echo, LATER, get, post};

fn bounds() -> Limits {
    Limits { workers: 4, ..Limits::default() }
}

#[test]
fn it_binds_to_loopback_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:10.0.0.1]:0"] {
        let error =
            Stock::bind(ListenAddress::Tcp(address.parse().unwrap()), bounds()).err().expect("refused");
        assert!(error.to_string().contains("--front guarded"), "{error}");
    }
}

#[test]
fn it_serves_over_tcp() {
    let front = Stock::bind(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()), bounds()).unwrap();
    let (address, stop) = (front.local_addr().unwrap(), front.stopper());
    let thread = std::thread::spawn(move || front.run(Arc::new(Echo::default())));

    let mut client = Client::connect(address);
    assert_eq!(client.get_body("/a?b"), "GET /a?b ");
    for (request, status, body) in [
        (post("Content-Length: 5", "hello"), 200, "POST /p hello"),
        (post("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"), 200, "POST /p hello"),
        (get("/panic"), 500, ""),
        (get("/unprintable"), 500, ""),
        (get("/after"), 200, "GET /after "),
    ]
    .into_iter()
    .chain(LATER.map(|(path, status, body)| (get(path), status, body)))
    {
        client.send(&request);
        let answer = client.receive().expect("an answer");
        assert_eq!(answer.status, status, "{request:?}");
        assert!(status != 200 || answer.body == body.as_bytes(), "{request:?}");
    }
    for (fields, status) in [
        ("Content-Length: 4611686018427387904", 413),
        ("Content-Length: 2000000", 413),
        ("Content-Length: -1", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", 400),
    ] {
        let mut client = Client::connect(address);
        client.send(post(fields, ""));
        if !fields.contains("Transfer") {
            assert_eq!(client.receive().expect("an answer").status, status, "{fields}");
        }
    }
    assert_eq!(Client::connect(address).get_body("/still"), "GET /still ");
    drop(client);
    stop.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn it_serves_over_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("gatepass-front-{}.sock", std::process::id()));
    // The socket of a dead server is replaced; that of a running one is not.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let limits = bounds();
    limits.hosts.set(vec!["id.example.com".into()]);
    let front = Stock::bind(ListenAddress::Unix(path.clone(), 0o640), limits).unwrap();
    assert!(front.local_addr().is_none());
    assert!(Stock::bind(ListenAddress::Unix(path.clone(), 0o640), bounds()).is_err());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let stop = front.stopper();
    let thread = std::thread::spawn(move || front.run(Arc::new(Echo::default())));
    let mut client = UnixStream::connect(&path).unwrap();
    let request = |host: &str| format!("GET /unix HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    client.write_all(request("localhost").as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("GET /unix "), "{answer}");
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(request("evil.example").as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    stop.stop();
    thread.join().unwrap().unwrap();
    assert!(!path.exists());
}
