//! Request lines, header fields, targets, and their bounds.

use super::*;

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
        ("OPTIONS * HTTP/1.1", "OPTIONS * \"\"; idle"),
        ("options * HTTP/1.1", "400; close"),
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
        assert_eq!(story(&limits(), line(bytes).as_bytes()), expected, "{bytes:?}");
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
        assert_eq!(story(&limits(), bytes.as_bytes()), expected, "{target} with {host}");
    }
    // Without a list of names, `Host` is all there is to go by.
    let open = Limits::default();
    assert_eq!(story(&open, b"GET http://any/ HTTP/1.1\r\nHost: any\r\n\r\n"), "GET / \"\"; idle");
    assert_eq!(story(&open, b"GET http://any/ HTTP/1.1\r\nHost: other\r\n\r\n"), "421; close");
    assert_eq!(story(&open, b"GET http://any/ HTTP/1.0\r\n\r\n"), "421; close");
}

#[test]
fn hosts_in_origin_form() {
    for (host, expected) in [
        ("sso.example", "GET / \"\"; idle"),
        ("SSO.example:443", "GET / \"\"; idle"),
        ("192.0.2.9:8080", "GET / \"\"; idle"),
        ("192.0.2.9", "GET / \"\"; idle"),
        ("192.0.2.9:80", "421; close"),
        ("192.0.2.8:8080", "421; close"),
        ("localhost:8080", "421; close"),
        ("evil.example", "421; close"),
        ("sso.example.", "421; close"),
        ("sso.example.evil", "421; close"),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(story(&limits(), bytes.as_bytes()), expected, "{host}");
    }
    let closed = limits();
    closed.hosts.set(Vec::new());
    assert_eq!(story(&closed, GET.as_bytes()), "421; close");
    assert_eq!(story(&Limits::default(), GET.as_bytes()), "GET / \"\"; idle", "no hosts are set");
}

#[test]
fn the_authority_of_the_target_is_the_host() {
    let mut connection = connection(&limits());
    connection.receive(b"GET http://sso.example/ HTTP/1.1\r\nHost: liar\r\nX-Y: z\r\n\r\n");
    let Action::Request(request) = connection.next_action(T0) else { panic!("a whole request") };
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
        assert_eq!(story(&limits(), with(fields).as_bytes()), expected, "{fields:?}");
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
fn the_bounds_of_a_head() {
    let padded = |line: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(line - 14));
    let target = "x".repeat(8192 - 14);
    assert_eq!(story(&limits(), padded(8192).as_bytes()), format!("GET /{target} \"\"; idle"));
    assert_eq!(story(&limits(), padded(8193).as_bytes()), "414; close");
    assert_eq!(story(&limits(), "x".repeat(8192).as_bytes()), "half");
    assert_eq!(story(&limits(), "x".repeat(8193).as_bytes()), "414; close");
    assert_eq!(story(&limits(), "x".repeat(100_000).as_bytes()), "414; close");

    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let head = |size: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(size - frame));
    assert_eq!(story(&limits(), head(16 * 1024).as_bytes()), "GET / \"\"; idle");
    assert_eq!(story(&limits(), head(16 * 1024 + 1).as_bytes()), "431; close");

    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(story(&limits(), fields(64).as_bytes()), "GET / \"\"; idle");
    assert_eq!(story(&limits(), fields(65).as_bytes()), "431; close");
}

#[test]
fn head_is_answered_without_a_body() {
    for bytes in [
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "HEAD / HTTP/1.1\r\n bad\r\n",
    ] {
        let mut driver = Driver::new(&limits());
        driver.feed(bytes.as_bytes());
        assert!(driver.wire.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&driver.wire));
        assert!(!String::from_utf8_lossy(&driver.wire).contains("Content-Length: 0"));
    }
    let mut driver = Driver::new(&limits());
    driver.feed(format!("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n{GET}").as_bytes());
    assert!(driver.wire.ends_with(b"\r\n\r\nok"), "the next answer has its body");
}

#[test]
fn refusals_are_worded_in_the_language_asked_for() {
    let mut connection = connection(&limits());
    connection.receive(
        b"POST / HTTP/1.1\r\nHost: a\r\nAccept-Language: zh\r\nX-Request-Id: a-1\r\nContent-Length: x\r\n\r\n",
    );
    let Action::Refuse(Problem::BadHttp, caller) = connection.next_action(T0) else { panic!("not refused") };
    assert_eq!(caller.language, Language::Chinese);
    assert_eq!(caller.id.unwrap().as_str(), "a-1");
}
