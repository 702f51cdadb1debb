//! Arbitrary bytes.

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
        let whole = told(&limits(), &[&bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(told(&limits(), &single), whole.clone());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(told(&limits(), &pieces), whole);
    }

    #[test]
    fn never_panic_and_stay_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..2000), small in 1_usize..200) {
        let tight = Limits { head: small, request_line: small, body: small, linger_bytes: small, ..limits() };
        for limits in [&tight, &limits()] {
            let mut driver = Driver::new(limits);
            driver.feed(&bytes);
            driver.connection.end();
            driver.settle(T0);
            prop_assert!(driver.connection.is_closed());
        }
    }
}
