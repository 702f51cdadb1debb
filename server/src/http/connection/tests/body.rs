//! Lengths, codings, chunks, expectations.

use super::*;

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
        assert_eq!(story(&limits(), post(length).as_bytes()), expected, "{length:?}");
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
        assert_eq!(story(&limits(), bytes.as_bytes()), expected, "{coding:?}");
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
        ("5\r\nhello\r!0\r\n\r\n", "400; close"),
        ("5\r!hello\r\n0\r\n\r\n", "400; close"),
        ("0\r!\r\n", "400; close"),
        ("0\r\nA: b\r!\r\n", "400; close"),
        ("0\r\n\r!", "400; close"),
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
        assert_eq!(story(&limits(), bytes.as_bytes()), expected, "{body:?}");
    }
}

#[test]
fn the_body_s_bound_holds_for_chunks_together() {
    let small = Limits { body: 10, ..limits() };
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
fn the_longest_body_is_taken() {
    let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n{}", "x".repeat(65536));
    assert_eq!(told(&limits(), &[bytes.as_bytes()]), "POST / \"65536 bytes\"; idle");
    let half = bytes.len() / 2;
    assert_eq!(
        told(&limits(), &[&bytes.as_bytes()[..half], &bytes.as_bytes()[half..]]),
        "POST / \"65536 bytes\"; idle"
    );
}

#[test]
fn what_follows_a_refusal_is_never_a_request() {
    let length = |l: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {l}\r\n\r\n{GET}{GET}");
    for bad in ["-1", "0x0", "0,0", "00", "", "99999999", "1e3"] {
        let story = story(&limits(), length(bad).as_bytes());
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
        assert_eq!(story(&limits(), with(expect, body).as_bytes()), expected, "{expect}");
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
        let mut driver = Driver::new(&limits());
        driver.feed(bytes.as_bytes());
        assert_eq!(driver.wire.starts_with(CONTINUE), interim, "{bytes:?}");
    }
    let mut driver = Driver::new(&limits());
    driver.feed(format!("{head}2\r\n\r\n").as_bytes());
    driver.feed(b"h");
    driver.feed(b"i");
    let wire = String::from_utf8(driver.wire).unwrap();
    assert_eq!(wire.matches("HTTP/1.1 ").count(), 2, "one interim and one final answer: {wire}");
}
