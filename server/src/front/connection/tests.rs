//! Tables of bytes and what they mean, each cut into pieces in every way.

use std::fmt::Write;

use super::*;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const T0: Duration = Duration::from_secs(100);

fn bounds() -> Bounds {
    Bounds { authorities: vec!["sso.example".into()], ..Bounds::default() }
}

fn connection(bounds: &Bounds) -> Connection {
    Connection::new(Arc::new(bounds.clone()), PEER, "192.0.2.9:8080".parse().unwrap(), T0)
}

/// A driver that answers everything with 200, takes every byte and writes down what happens.
struct Driver {
    connection: Connection,
    bounds: Bounds,
    log: String,
    wire: Vec<u8>,
}

impl Driver {
    fn new(bounds: &Bounds) -> Self {
        let bounds = bounds.clone();
        Self { connection: connection(&bounds), bounds, log: String::new(), wire: Vec::new() }
    }

    fn settle(&mut self, now: Duration) {
        for _ in 0..100_000 {
            let output = self.connection.output().to_vec();
            if !output.is_empty() {
                self.wire.extend_from_slice(&output);
                self.connection.sent(output.len(), now);
            }
            let most = 4 * (self.bounds.head + CHUNK + self.bounds.body);
            assert!(self.connection.held() <= most, "{} bytes held", self.connection.held());
            match self.connection.turn(now) {
                Turn::Wait if self.connection.output().is_empty() => return,
                Turn::Wait => {}
                Turn::Request(request) => {
                    assert!(request.body.len() <= self.bounds.body);
                    assert_eq!(request.peer, PEER);
                    assert_eq!(self.connection.appetite(), 0, "one request in flight");
                    let body = if request.body.len() > 40 {
                        format!("{} bytes", request.body.len())
                    } else {
                        String::from_utf8_lossy(&request.body).into_owned()
                    };
                    writeln!(self.log, "{} {} {body:?}", request.method, request.target).unwrap();
                    self.connection.answer(&Response::new(200, "text/plain", b"ok".to_vec()), "D", now);
                }
                Turn::Refuse(problem, _) => {
                    writeln!(self.log, "{}", problem.status()).unwrap();
                    let response = problem.response(Language::English, Default::default());
                    self.connection.answer(&response, "D", now);
                }
            }
        }
        panic!("a connection that never comes to rest");
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.connection.appetite() > 0 {
            let taken = self.connection.receive(bytes);
            assert!(taken > 0);
            bytes = &bytes[taken..];
            self.settle(T0);
        }
    }

    /// What happened, and how it stands.
    fn story(mut self) -> String {
        self.log += match self.connection.waiting() {
            Some((Waiting::Idle | Waiting::New, _)) => "idle",
            Some((Waiting::HalfRead, _)) => "half",
            Some((Waiting::Lingering, _)) => "close",
            None if self.connection.is_closed() => "closed",
            None => "busy",
        };
        self.log.replace('\n', "; ")
    }
}

fn told(bounds: &Bounds, pieces: &[&[u8]]) -> String {
    let mut driver = Driver::new(bounds);
    for piece in pieces {
        driver.feed(piece);
    }
    driver.story()
}

/// The story of `bytes`, the same whole, byte by byte and cut in two anywhere (up to a point, where long).
fn story(bounds: &Bounds, bytes: &[u8]) -> String {
    let whole = told(bounds, &[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(told(bounds, &single), whole, "byte by byte: {:?}", String::from_utf8_lossy(bytes));
    let step = (bytes.len() / 600).max(1);
    for at in (1..bytes.len()).step_by(step) {
        let (a, b) = bytes.split_at(at);
        assert_eq!(told(bounds, &[a, b]), whole, "cut at {at}: {:?}", String::from_utf8_lossy(bytes));
    }
    whole
}

fn check(cases: &[(&str, &str)]) {
    for (bytes, expected) in cases {
        assert_eq!(story(&bounds(), bytes.as_bytes()), *expected, "{bytes:?}");
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn request_lines() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    for (bytes, expected) in [
        ("GET / HTTP/1.1", "GET / \"\"; idle"),
        ("get / HTTP/1.1", "get / \"\"; idle"),
        ("!#$%&'*+-.^_`|~09azAZ /x?y HTTP/1.1", "!#$%&'*+-.^_`|~09azAZ /x?y \"\"; idle"),
        ("GET /%00%ff?a=b&c={}|\\^\"<> HTTP/1.1", "GET /%00%ff?a=b&c={}|\\^\"<> \"\"; idle"),
        ("GET //a//b HTTP/1.1", "GET //a//b \"\"; idle"),
        ("HEAD / HTTP/1.1", "HEAD / \"\"; idle"),
        ("GET / HTTP/1.0", "GET / \"\"; close"),
        ("OPTIONS / HTTP/1.1", "OPTIONS / \"\"; idle"),
        ("OPTIONS * HTTP/1.1", "501; close"),
        ("GET * HTTP/1.1", "400; close"),
        ("CONNECT a:80 HTTP/1.1", "501; close"),
        ("CONNECT / HTTP/1.1", "501; close"),
        ("GET a:80 HTTP/1.1", "400; close"),
        ("GET a/b HTTP/1.1", "400; close"),
        ("GET ?x HTTP/1.1", "400; close"),
        ("GET /a#b HTTP/1.1", "400; close"),
        ("GET /\u{e9} HTTP/1.1", "400; close"),
        ("GET  / HTTP/1.1", "400; close"),
        ("GET /  HTTP/1.1", "400; close"),
        ("GET / HTTP/1.1 ", "400; close"),
        (" GET / HTTP/1.1", "400; close"),
        ("GET\t/ HTTP/1.1", "400; close"),
        ("GET /\tHTTP/1.1", "400; close"),
        ("GET / x HTTP/1.1", "400; close"),
        ("GET /", "400; close"),
        ("GET", "400; close"),
        (" ", "400; close"),
        (" / HTTP/1.1", "400; close"),
        ("GET  HTTP/1.1", "400; close"),
        ("G(T / HTTP/1.1", "400; close"),
        ("G\u{e9}T / HTTP/1.1", "400; close"),
        ("GET: / HTTP/1.1", "400; close"),
        ("\"GET\" / HTTP/1.1", "400; close"),
        ("GET / HTTP/2.0", "505; close"),
        ("GET / HTTP/2", "505; close"),
        ("GET / HTTP/3", "505; close"),
        ("GET / HTTP/0.9", "505; close"),
        ("GET / HTTP/1.2", "505; close"),
        ("GET / HTTP/1.10", "505; close"),
        ("GET / HTTP/01.1", "505; close"),
        ("GET / HTTP/1", "505; close"),
        ("GET / HTTP/1.", "505; close"),
        ("GET / HTTP/.", "505; close"),
        ("GET / HTTP/99999999999999999999.1", "505; close"),
        ("GET / HTTP/", "400; close"),
        ("GET / http/1.1", "400; close"),
        ("GET / HTTP/1.1x", "400; close"),
        ("GET / HTTP/-1.1", "400; close"),
        ("GET / HTTPS/1.1", "400; close"),
        ("GET / ICY/1.0", "400; close"),
        ("PRI * HTTP/2.0", "505; close"),
        ("GET /\u{1} HTTP/1.1", "400; close"),
        ("GET /\u{0} HTTP/1.1", "400; close"),
        ("GET /\u{7f} HTTP/1.1", "400; close"),
    ] {
        assert_eq!(story(&bounds(), line(bytes).as_bytes()), expected, "{bytes:?}");
    }
}

#[test]
fn targets_in_absolute_form() {
    for (target, host, expected) in [
        ("http://sso.example/a?b", "sso.example", "GET /a?b \"\"; idle"),
        ("http://SSO.EXAMPLE:80/", "other", "GET / \"\"; idle"),
        ("https://sso.example", "sso.example", "GET / \"\"; idle"),
        ("HTTP://sso.example?x", "sso.example", "GET /?x \"\"; idle"),
        ("http://192.0.2.9:8080/", "x", "GET / \"\"; idle"),
        ("http://192.0.2.9/", "x", "421; close"),
        ("http://evil.example/", "evil.example", "421; close"),
        ("http://evil.example/", "sso.example", "421; close"),
        ("http://sso.example:81/", "sso.example:81", "421; close"),
        ("http://sso.example.evil/", "sso.example", "421; close"),
        ("http://u@sso.example/", "sso.example", "400; close"),
        ("http:///", "sso.example", "400; close"),
        ("ftp://sso.example/", "sso.example", "400; close"),
        ("http:/sso.example/", "sso.example", "400; close"),
        ("http://sso.example\\@evil/", "sso.example", "400; close"),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(story(&bounds(), bytes.as_bytes()), expected, "{target} with {host}");
    }
    // Without a list of names, `Host` is all there is to go by.
    let open = Bounds::default();
    assert_eq!(story(&open, b"GET http://any/ HTTP/1.1\r\nHost: any\r\n\r\n"), "GET / \"\"; idle");
    assert_eq!(story(&open, b"GET http://any/ HTTP/1.1\r\nHost: other\r\n\r\n"), "421; close");
    assert_eq!(story(&open, b"GET http://any/ HTTP/1.0\r\n\r\n"), "421; close");
}

#[test]
fn the_authority_of_the_target_is_the_host() {
    let mut connection = connection(&bounds());
    connection.receive(b"GET http://sso.example/ HTTP/1.1\r\nHost: liar\r\nX-Y: z\r\n\r\n");
    let Turn::Request(request) = connection.turn(T0) else { panic!("a whole request") };
    assert_eq!(request.header("host"), Ok(Some("sso.example")));
    assert_eq!(request.header("x-y"), Ok(Some("z")));
}

#[test]
fn header_fields() {
    let with = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
    let fine = "GET / \"\"; idle";
    for (fields, expected) in [
        ("Host: a", fine),
        ("hOsT:a", fine),
        ("Host: \t a \t", fine),
        ("Host: a\r\nX:", fine),
        ("Host: a\r\nX: \t", fine),
        ("Host: a\r\nX: \u{e9}\t\"", fine),
        ("Host: a\r\nX: 1\r\nX: 2", fine),
        ("Host: [::1]:80", fine),
        ("X: 1", "400; close"),
        ("Host:", "400; close"),
        ("Host: a\r\nHost: a", "400; close"),
        ("Host: a\r\nhost: b", "400; close"),
        ("Host: a b", "400; close"),
        ("Host: a,b", "400; close"),
        ("Host: a/b", "400; close"),
        ("Host: u@a", "400; close"),
        ("Host: a:x", "400; close"),
        ("Host : a", "400; close"),
        ("Host\t: a", "400; close"),
        (" Host: a", "400; close"),
        ("Host: a\r\n X: folded", "400; close"),
        ("Host: a\r\n\tfolded", "400; close"),
        ("Host: a\r\nX: b\r\n c", "400; close"),
        ("Host: a\r\n: x", "400; close"),
        ("Host: a\r\nX", "400; close"),
        ("Host: a\r\nX Y: z", "400; close"),
        ("Host: a\r\nX(: z", "400; close"),
        ("Host: a\r\nX\u{e9}: z", "400; close"),
        ("Host: a\r\nX: a\u{0}b", "400; close"),
        ("Host: a\r\nX: a\u{1b}b", "400; close"),
        ("Host: a\r\nX: a\u{7f}b", "400; close"),
        ("Host: a\r\nX: a\u{b}b", "400; close"),
        ("Host: a\nX: b", "400; close"),
        ("Host: a\rX: b", "400; close"),
        ("Host: a\r\r\nX: b", "400; close"),
        ("Host: a\r\nX: b\n", "400; close"),
        ("Host: a\n\r\nX: b", "400; close"),
    ] {
        assert_eq!(story(&bounds(), with(fields).as_bytes()), expected, "{fields:?}");
    }
}

#[test]
fn line_ends_are_crlf_and_nothing_else() {
    check(&[
        ("GET / HTTP/1.1\nHost: a\n\n", "400; close"),
        ("GET / HTTP/1.1\rHost: a\r\r", "400; close"),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / \"\"; idle"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400; close"),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400; close"),
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400; close"),
        ("", "idle"),
        ("\r", "idle"),
        ("\r\n", "idle"),
        ("\r\n\r", "half"),
        ("G", "half"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r", "half"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}", "400; close"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505; close"),
        ("GET /\r\n", "400; close"),
    ]);
}

#[test]
fn content_lengths() {
    let post = |length: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:{length}\r\n\r\nhello");
    for (length, expected) in [
        (" 5", "POST / \"hello\"; idle"),
        ("5", "POST / \"hello\"; idle"),
        (" 5 \t", "POST / \"hello\"; idle"),
        (" 6", "half"),
        (" 65536", "half"),
        (" 65537", "413; close"),
        (" 4611686018427387904", "413; close"),
        (" 18446744073709551615", "413; close"),
        (" 18446744073709551616", "413; close"),
        (" 99999999999999999999999999999999999999", "413; close"),
        ("", "400; close"),
        (" -1", "400; close"),
        (" -5", "400; close"),
        (" +5", "400; close"),
        (" 05", "400; close"),
        (" 00", "400; close"),
        (" 0x5", "400; close"),
        (" 5,5", "400; close"),
        (" 5, 5", "400; close"),
        (" 5;", "400; close"),
        (" 5.0", "400; close"),
        (" 5e0", "400; close"),
        (" 5 5", "400; close"),
        (" \"5\"", "400; close"),
        (" five", "400; close"),
        (" \u{665}", "400; close"),
        (" 5\r\nContent-Length: 5", "400; close"),
        (" 5\r\ncontent-length: 6", "400; close"),
        (" 5\r\nTransfer-Encoding: chunked", "400; close"),
        (" 5\r\nTransfer-Encoding: gzip", "400; close"),
        (" 5\r\nTransfer-Encoding: identity", "400; close"),
        (" 5\r\nTransfer-Encoding:", "400; close"),
    ] {
        assert_eq!(story(&bounds(), post(length).as_bytes()), expected, "{length:?}");
    }
    // Exactly zero, and what follows is a request of its own.
    check(&[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / \"\"; GET /b \"\"; idle",
        ),
        ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n", "PUT / \"\"; idle"),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\nhello", "POST / \"\"; half"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "GET / \"hi\"; idle"),
    ]);
}

#[test]
fn transfer_codings() {
    for (coding, expected) in [
        ("chunked", "POST / \"hello\"; idle"),
        ("Chunked", "POST / \"hello\"; idle"),
        ("\tchunked ", "POST / \"hello\"; idle"),
        ("gzip", "501; close"),
        ("gzip, chunked", "501; close"),
        ("chunked, gzip", "501; close"),
        ("chunked,", "501; close"),
        (",chunked", "501; close"),
        ("chunked, chunked", "501; close"),
        ("chunked;q=1", "501; close"),
        ("identity", "501; close"),
        ("xchunked", "501; close"),
        ("\"chunked\"", "501; close"),
        ("", "400; close"),
        ("\u{b}chunked", "400; close"),
        ("chunked\r\nTransfer-Encoding: chunked", "400; close"),
        ("chunked\r\nTransfer-Encoding: identity", "400; close"),
        ("chunked\r\nContent-Length: 5", "400; close"),
        ("chunked\r\nContent-Length: 0", "400; close"),
    ] {
        let bytes = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        assert_eq!(story(&bounds(), bytes.as_bytes()), expected, "{coding:?}");
    }
    check(&[
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400; close"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", "400; close"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400; close"),
    ]);
}

#[test]
fn chunks() {
    let long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(4096));
    let too_long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(4097));
    let trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(64));
    let too_many_trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(65));
    let long_trailer = format!("0\r\nA:{}\r\n\r\n", "x".repeat(16 * 1024));
    for (body, expected) in [
        ("0\r\n\r\n", "POST / \"\"; idle"),
        ("5\r\nhello\r\n0\r\n\r\n", "POST / \"hello\"; idle"),
        ("0005\r\nhello\r\n000\r\n\r\n", "POST / \"hello\"; idle"),
        ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "POST / \"hello\"; idle"),
        ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "POST / \"01234567890123456789\"; idle"),
        ("4\r\n\r\n\r\n\r\n0\r\n\r\n", "POST / \"\\r\\n\\r\\n\"; idle"),
        ("5;a\r\nhello\r\n0;b=c;d=\"e f\"\r\n\r\n", "POST / \"hello\"; idle"),
        ("5;\r\nhello\r\n0\r\n\r\n", "POST / \"hello\"; idle"),
        ("0\r\nA: b\r\nC:\r\n\r\n", "POST / \"\"; idle"),
        (&long_extension, "POST / \"hello\"; idle"),
        (&too_long_extension, "413; close"),
        (&trailers, "POST / \"\"; idle"),
        (&too_many_trailers, "431; close"),
        (&long_trailer, "431; close"),
        ("5\r\nhello\r\n0\r\n\r", "half"),
        ("5\r\nhello", "half"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "POST / \"hello\"; idle"),
        ("00000000000000005\r\nhello\r\n0\r\n\r\n", "400; close"),
        ("10001\r\n", "413; close"),
        ("ffffffffffffffff\r\n", "413; close"),
        ("10000000000000000\r\n", "400; close"),
        ("fffffffffffffffff\r\n", "400; close"),
        ("\r\n", "400; close"),
        (";a\r\n", "400; close"),
        ("g\r\n", "400; close"),
        ("0x5\r\nhello\r\n0\r\n\r\n", "400; close"),
        ("-5\r\nhello\r\n0\r\n\r\n", "400; close"),
        ("+5\r\nhello\r\n0\r\n\r\n", "400; close"),
        (" 5\r\nhello\r\n0\r\n\r\n", "400; close"),
        ("5 \r\nhello\r\n0\r\n\r\n", "400; close"),
        ("5 ;a\r\nhello\r\n0\r\n\r\n", "400; close"),
        ("5\nhello\r\n0\r\n\r\n", "400; close"),
        ("5\rhello\r\n0\r\n\r\n", "400; close"),
        ("5;a\nhello\r\n0\r\n\r\n", "400; close"),
        ("5;a\rb\r\nhello\r\n0\r\n\r\n", "400; close"),
        ("5;a\0\r\nhello\r\n0\r\n\r\n", "400; close"),
        ("5\r\nhello0\r\n\r\n", "400; close"),
        ("5\r\nhello\n0\r\n\r\n", "400; close"),
        ("5\r\nhello!\r\n0\r\n\r\n", "400; close"),
        ("4\r\nhello\r\n0\r\n\r\n", "400; close"),
        ("0\r\n\n", "400; close"),
        ("0\r\nA b\r\n\r\n", "400; close"),
        ("0\r\n A: b\r\n\r\n", "400; close"),
        ("0\r\nA : b\r\n\r\n", "400; close"),
        ("0\r\n: b\r\n\r\n", "400; close"),
        ("0\r\nA: b\n\r\n", "400; close"),
        ("0\r\nA: \0\r\n\r\n", "400; close"),
        ("0\r\nA: b\r\n c\r\n\r\n", "400; close"),
        ("0\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", "POST / \"\"; GET /b \"\"; idle"),
        (
            "0\r\nContent-Length: 9\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / \"\"; GET /b \"\"; idle",
        ),
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(story(&bounds(), bytes.as_bytes()), expected, "{body:?}");
    }
}

#[test]
fn the_body_s_bound_holds_for_chunks_together() {
    let small = Bounds { body: 10, ..bounds() };
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, expected) in [
        ("5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", "POST / \"hellohello\"; idle"),
        ("5\r\nhello\r\n6\r\n", "413; close"),
        ("b\r\n", "413; close"),
    ] {
        assert_eq!(story(&small, format!("{head}{body}").as_bytes()), expected, "{body:?}");
    }
    // One byte a chunk: the overhead does not count, the body does.
    let bytes = format!("{head}{}0\r\n\r\n", "1\r\nx\r\n".repeat(10));
    assert_eq!(story(&small, bytes.as_bytes()), "POST / \"xxxxxxxxxx\"; idle");
    let bytes = format!("{head}{}", "1\r\nx\r\n".repeat(11));
    assert_eq!(story(&small, bytes.as_bytes()), "413; close");
}

#[test]
fn the_bounds_of_a_head() {
    let padded = |line: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(line - 14));
    let target = "x".repeat(8192 - 14);
    assert_eq!(story(&bounds(), padded(8192).as_bytes()), format!("GET /{target} \"\"; idle"));
    assert_eq!(story(&bounds(), padded(8193).as_bytes()), "414; close");
    assert_eq!(story(&bounds(), "x".repeat(8192).as_bytes()), "half");
    assert_eq!(story(&bounds(), "x".repeat(8193).as_bytes()), "414; close");
    assert_eq!(story(&bounds(), "x".repeat(100_000).as_bytes()), "414; close");

    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let head = |size: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(size - frame));
    assert_eq!(story(&bounds(), head(16 * 1024).as_bytes()), "GET / \"\"; idle");
    assert_eq!(story(&bounds(), head(16 * 1024 + 1).as_bytes()), "431; close");

    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(story(&bounds(), fields(64).as_bytes()), "GET / \"\"; idle");
    assert_eq!(story(&bounds(), fields(65).as_bytes()), "431; close");
}

#[test]
fn the_longest_body_is_taken() {
    let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n{}", "x".repeat(65536));
    assert_eq!(told(&bounds(), &[bytes.as_bytes()]), "POST / \"65536 bytes\"; idle");
    let half = bytes.len() / 2;
    assert_eq!(
        told(&bounds(), &[&bytes.as_bytes()[..half], &bytes.as_bytes()[half..]]),
        "POST / \"65536 bytes\"; idle"
    );
}

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
        assert_eq!(story(&bounds(), with(version, fields).as_bytes()), expected, "{version} {fields}");
    }
    check(&[
        ("GET / HTTP/1.0\r\n\r\n", "GET / \"\"; close"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400; close"),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", "400; close"),
        ("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "POST / \"hi\"; close"),
    ]);
}

#[test]
fn what_follows_a_refusal_is_never_a_request() {
    let length = |l: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {l}\r\n\r\n{GET}{GET}");
    for bad in ["-1", "0x0", "0,0", "00", "", "99999999", "1e3"] {
        let story = story(&bounds(), length(bad).as_bytes());
        assert!(matches!(story.as_str(), "400; close" | "413; close"), "{bad}: {story}");
    }
}

#[test]
fn expectations() {
    let with = |expect: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: {expect}\r\n\r\n{body}")
    };
    for (expect, body, expected) in [
        ("100-continue", "hi", "POST / \"hi\"; idle"),
        ("100-Continue", "hi", "POST / \"hi\"; idle"),
        ("100-continue", "", "half"),
        ("200-ok", "hi", "417; close"),
        ("", "hi", "417; close"),
        ("100-continue, x", "hi", "417; close"),
        ("100-continue\r\nExpect: 100-continue", "hi", "400; close"),
    ] {
        assert_eq!(story(&bounds(), with(expect, body).as_bytes()), expected, "{expect}");
    }
    check(&[("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: x\r\n\r\nhi", "POST / \"hi\"; close")]);
}

#[test]
fn the_interim_answer_comes_where_a_body_is_still_to_come() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ";
    for (bytes, interim) in [
        (format!("{head}2\r\n\r\n"), true),
        (format!("{head}2\r\n\r\nhi"), false),
        (format!("{head}0\r\n\r\n"), false),
        (format!("{head}65537\r\n\r\n"), false),
        (format!("{head}x\r\n\r\n"), false),
    ] {
        let mut driver = Driver::new(&bounds());
        driver.feed(bytes.as_bytes());
        assert_eq!(driver.wire.starts_with(CONTINUE), interim, "{bytes:?}");
    }
    let mut driver = Driver::new(&bounds());
    driver.feed(format!("{head}2\r\n\r\n").as_bytes());
    driver.feed(b"h");
    driver.feed(b"i");
    let wire = String::from_utf8(driver.wire).unwrap();
    assert_eq!(wire.matches("HTTP/1.1 ").count(), 2, "one interim and one final answer: {wire}");
}

#[test]
fn an_answer_is_one_piece() {
    let mut connection = connection(&bounds());
    connection.receive(GET.as_bytes());
    assert!(matches!(connection.turn(T0), Turn::Request(_)));
    connection.answer(&Response::new(200, "text/plain", vec![b'x'; 5000]), "D", T0);
    let output = connection.output().to_vec();
    assert!(output.starts_with(b"HTTP/1.1 200 OK\r\n") && output.ends_with(&[b'x'; 5000]));
    connection.sent(output.len(), T0);
    assert!(connection.output().is_empty());
    assert_eq!(connection.held(), 0, "an idle connection holds nothing");
}

#[test]
fn head_is_answered_without_a_body() {
    for bytes in [
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "HEAD / HTTP/1.1\r\n bad\r\n",
    ] {
        let mut driver = Driver::new(&bounds());
        driver.feed(bytes.as_bytes());
        assert!(driver.wire.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&driver.wire));
        assert!(!String::from_utf8_lossy(&driver.wire).contains("Content-Length: 0"));
    }
    let mut driver = Driver::new(&bounds());
    driver.feed(format!("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n{GET}").as_bytes());
    assert!(driver.wire.ends_with(b"\r\n\r\nok"), "the next answer has its body");
}

#[test]
fn refusals_are_worded_in_the_language_asked_for() {
    let mut connection = connection(&bounds());
    connection.receive(b"POST / HTTP/1.1\r\nHost: a\r\nAccept-Language: zh\r\nContent-Length: x\r\n\r\n");
    assert!(matches!(connection.turn(T0), Turn::Refuse(Problem::BadHttp, Language::Chinese)));
}

#[test]
fn one_request_is_in_flight_and_the_rest_waits() {
    let mut connection = connection(&bounds());
    connection.receive(format!("{GET}{GET}").as_bytes());
    assert!(matches!(connection.turn(T0), Turn::Request(_)));
    assert!(matches!(connection.turn(T0), Turn::Wait));
    assert_eq!((connection.appetite(), connection.receive(b"more")), (0, 0));
    connection.answer(&Response::new(200, "text/plain", Vec::new()), "D", T0);
    assert_eq!(connection.appetite(), 0, "nor while the answer is being sent");
    assert!(matches!(connection.turn(T0), Turn::Wait));
    let length = connection.output().len();
    connection.sent(length - 1, T0);
    assert!(matches!(connection.turn(T0), Turn::Wait));
    connection.sent(1, T0);
    assert!(matches!(connection.turn(T0), Turn::Request(_)));
}

const S: Duration = Duration::from_secs(1);

#[test]
fn a_request_has_ten_seconds_however_it_trickles() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyy",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n0123456789",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1\r\nx\r\n",
    ] {
        let mut connection = connection(&bounds());
        assert_eq!(connection.deadline(), Some(T0 + 15 * S), "idle");
        let mut now = T0 + S;
        for byte in request.bytes() {
            connection.receive(&[byte]);
            assert!(matches!(connection.turn(now), Turn::Wait));
            assert_eq!(connection.deadline(), Some(T0 + 11 * S), "from the first byte");
            now += S / 100;
        }
        connection.expire(T0 + 11 * S - S / 1000);
        assert!(matches!(connection.turn(now), Turn::Wait), "not yet");
        connection.expire(T0 + 11 * S);
        assert!(matches!(connection.turn(now), Turn::Refuse(Problem::RequestTimeout, _)));
        connection.answer(&Response::new(408, "text/plain", Vec::new()), "D", now);
        assert!(String::from_utf8_lossy(connection.output()).contains("Connection: close"));
    }
}

#[test]
fn idle_ends_in_silence() {
    for before in ["", "\r", "\r\n"] {
        let mut connection = connection(&bounds());
        connection.receive(before.as_bytes());
        assert!(matches!(connection.turn(T0 + 9 * S), Turn::Wait));
        connection.expire(T0 + 14 * S);
        assert!(!connection.is_closed());
        connection.expire(T0 + 15 * S);
        assert!(connection.is_closed() && connection.output().is_empty());
    }
}

#[test]
fn an_answer_is_taken_in_ten_seconds_however_it_trickles() {
    let mut connection = connection(&bounds());
    connection.receive(GET.as_bytes());
    assert!(matches!(connection.turn(T0), Turn::Request(_)));
    assert_eq!(connection.deadline(), None, "the service takes its time");
    connection.expire(T0 + 1000 * S);
    connection.answer(&Response::new(200, "text/plain", vec![0; 1000]), "D", T0 + 20 * S);
    for tick in 0..9 {
        connection.sent(1, T0 + (20 + tick) * S);
        assert_eq!(connection.deadline(), Some(T0 + 30 * S));
    }
    connection.expire(T0 + 30 * S);
    assert!(connection.is_closed());
}

#[test]
fn the_idle_time_begins_anew_with_every_answer() {
    let mut driver = Driver::new(&bounds());
    driver.connection.receive(GET.as_bytes());
    driver.settle(T0 + 14 * S);
    assert_eq!(driver.connection.deadline(), Some(T0 + 29 * S));
    // What was pipelined begins when it can be looked at.
    driver.connection.receive(format!("{GET}G").as_bytes());
    driver.settle(T0 + 20 * S);
    assert_eq!(driver.connection.deadline(), Some(T0 + 30 * S));
}

#[test]
fn lingering_is_bounded_in_bytes_and_time() {
    let small = Bounds { linger_bytes: 20_000, ..bounds() };
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
    driver.connection.expire(T0 + 2 * S);
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
        let mut driver = Driver::new(&bounds());
        driver.feed(bytes.as_bytes());
        driver.connection.end();
        driver.settle(T0);
        assert_eq!(driver.story(), expected, "{bytes:?}");
    }
    // A peer that has closed its own side still gets the answers to what it has sent.
    let mut driver = Driver::new(&bounds());
    driver.connection.receive(format!("{GET}{GET}").as_bytes());
    driver.connection.end();
    driver.settle(T0);
    assert_eq!(driver.story(), "GET / \"\"; GET / \"\"; closed");
}

#[test]
fn draining() {
    let mut idle = Driver::new(&bounds());
    idle.connection.drain();
    assert!(idle.connection.is_closed());

    let mut half = Driver::new(&bounds());
    half.feed(b"GET / HTTP/1.1\r\n");
    half.connection.drain();
    half.feed(b"Host: a\r\n\r\n");
    assert!(String::from_utf8_lossy(&half.wire).contains("Connection: close\r\n"));
    assert_eq!(half.story(), "GET / \"\"; close");

    let mut busy = connection(&bounds());
    busy.receive(GET.as_bytes());
    assert!(matches!(busy.turn(T0), Turn::Request(_)));
    busy.drain();
    busy.answer(&Response::new(200, "text/plain", Vec::new()), "D", T0);
    assert!(String::from_utf8_lossy(busy.output()).contains("Connection: close\r\n"));
}

#[test]
fn an_answer_that_nobody_asked_for_is_ignored() {
    let mut connection = connection(&bounds());
    let response = Response::new(200, "text/plain", Vec::new());
    connection.answer(&response, "D", T0);
    assert!(connection.output().is_empty());
    connection.close();
    connection.answer(&response, "D", T0);
    assert!(connection.output().is_empty() && connection.is_closed());
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that look enough like HTTP to get somewhere.
    fn http() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "GET / HTTP/1.1\r\n",
                "POST /x?y HTTP/1.1\r\n",
                "HEAD / HTTP/1.0\r\n",
                "Host: a\r\n",
                "Content-Length: 5\r\n",
                "Content-Length: 0\r\n",
                "Transfer-Encoding: chunked\r\n",
                "Expect: 100-continue\r\n",
                "Connection: close\r\n",
                "Content-Length: 70000\r\n",
                "\r\n",
                "\r\n",
                "5\r\nhello\r\n",
                "0\r\n\r\n",
                "hello",
                "\r",
                "\n",
                " ",
                ":",
                ";",
                "PRI * HTTP/2.0\r\n\r\n",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn mean_one_thing_however_they_are_cut(bytes in http(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let whole = told(&bounds(), &[&bytes]);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(told(&bounds(), &single), whole.clone());
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(told(&bounds(), &pieces), whole);
        }

        #[test]
        fn never_panic_and_stay_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..2000), small in 1_usize..200) {
            let tight = Bounds { head: small, request_line: small, body: small, linger_bytes: small, ..bounds() };
            for limits in [&tight, &bounds()] {
                let mut driver = Driver::new(limits);
                driver.feed(&bytes);
                driver.connection.end();
                driver.settle(T0);
                prop_assert!(driver.connection.is_closed());
            }
        }
    }
}
