//! The `otpauth` URI that tells an authenticator its secret, also as a picture.

use alloc::{format, string::String, vec};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use data_encoding::BASE32_NOPAD;
use qrcodegen_no_heap::{QrCode, QrCodeEcc, Version};
use zeroize::Zeroizing;

use crate::policy::totp::STEP;
use crate::records::factor::TotpDevice;
use crate::settings::TotpIssuer;

/// The secret in base32, as people type it.
pub fn secret_text(device: &TotpDevice) -> Zeroizing<String> {
    Zeroizing::new(BASE32_NOPAD.encode(device.secret.expose()))
}

/// `otpauth://totp/ISSUER:ACCOUNT?…` (the Key URI format that authenticators share). The label has exactly one colon, escaped ones
/// included: an authenticator splits it there, so a colon of the account is written as `_`.
pub fn otpauth_uri(device: &TotpDevice, issuer: &TotpIssuer, account: &str) -> Zeroizing<String> {
    let (issuer, account) = (escaped(issuer.as_str()), escaped(&account.replace(':', "_")));
    let (hash, digits) = (device.parameters.hash.as_str(), device.parameters.digits);
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm={hash}&digits={digits}&period={STEP}",
        *secret_text(device)
    ))
}

/// Everything but unreserved characters as `%XX` (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// A QR code's modules, row by row, dark ones true, without its quiet zone; none for a text longer than 2.3 KB or so.
pub fn qr_modules(text: &str) -> Option<vec::Vec<vec::Vec<bool>>> {
    // An account has up to 128 characters, of up to twelve bytes each in a URI. A small code stays a small version.
    let largest = Version::MAX;
    let (mut work, mut out) = (vec![0; largest.buffer_len()], vec![0; largest.buffer_len()]);
    let code =
        QrCode::encode_text(text, &mut work, &mut out, QrCodeEcc::Medium, Version::MIN, largest, None, true)
            .ok()?;
    let side = 0..code.size();
    Some(side.clone().map(|y| side.clone().map(|x| code.get_module(x, y)).collect()).collect())
}

/// The QR code of `text` for a terminal: two modules to a character, with its quiet zone; none where it is too long.
/// The light modules are drawn, so it reads on a dark ground; on a light one, most readers take the negative too.
pub fn qr_blocks(text: &str) -> Option<Zeroizing<String>> {
    const QUIET: usize = 2;
    let modules = qr_modules(text)?;
    let side = modules.len() + 2 * QUIET;
    let is_dark = |x: usize, y: usize| {
        let row = y.checked_sub(QUIET).and_then(|y| modules.get(y));
        row.zip(x.checked_sub(QUIET)).and_then(|(row, x)| row.get(x)).copied().unwrap_or(false)
    };
    let mut blocks = Zeroizing::new(String::new());
    for y in (0..side).step_by(2) {
        blocks.extend((0..side).map(|x| match (is_dark(x, y), y + 1 < side && !is_dark(x, y + 1)) {
            (false, true) => '█',
            (false, false) => '▀',
            (true, true) => '▄',
            (true, false) => ' ',
        }));
        blocks.push('\n');
    }
    Some(blocks)
}

/// The QR code of `text` as an SVG image in a data URI; none where it is too long.
pub(crate) fn qr_data_uri(text: &str) -> Option<Zeroizing<String>> {
    const QUIET: usize = 4;
    let modules = qr_modules(text)?;
    let side = modules.len() + 2 * QUIET;
    let mut path = Zeroizing::new(String::new());
    for (y, row) in modules.iter().enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, dark)| **dark) {
            path.push_str(&format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    let svg = Zeroizing::new(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d="{}"/></svg>"##,
        *path
    ));
    Some(Zeroizing::new(format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::factor::tests::device;
    use crate::settings::Issuer;

    #[test]
    fn an_authenticator_gets_everything() {
        let device = device();
        let issuer = TotpIssuer::parse("Gate & Sons").unwrap();
        let uri = otpauth_uri(&device, &issuer, "张 伟");
        assert_eq!(
            *uri,
            "otpauth://totp/Gate%20%26%20Sons:%E5%BC%A0%20%E4%BC%9F?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&\
             issuer=Gate%20%26%20Sons&algorithm=SHA1&digits=6&period=30"
        );
        let modules = qr_modules(&uri).unwrap();
        // A finder pattern in three corners: seven dark modules on their outer edges.
        let last = modules.len() - 7;
        for (x, y) in [(0, 0), (last, 0), (0, last)] {
            assert!((0..7).all(|i| modules[y][x + i] && modules[y + i][x]), "{x} {y}");
        }
        assert!(qr_data_uri(&uri).unwrap().starts_with("data:image/svg+xml;base64,"));
        assert!(qr_data_uri(&"x".repeat(3_000)).is_none());
        let blocks = qr_blocks(&uri).unwrap();
        let rows: vec::Vec<&str> = blocks.lines().collect();
        assert_eq!(rows.len(), (modules.len() + 5) / 2);
        assert!(rows.iter().all(|row| row.chars().count() == modules.len() + 4));
        // The quiet zone, then the finder pattern's edge and what is in it.
        assert!(rows[0].chars().all(|c| c == '█') && rows[1].starts_with("██ ▄▄▄▄▄ █"), "{}", *blocks);
    }

    /// An authenticator splits the label at its first colon, whether that is escaped or not.
    #[test]
    fn a_label_has_one_colon() {
        for (issuer, account, label) in [
            ("https://gate.example:8443", "alice", "gate.example:alice"),
            ("http://127.0.0.1:8080", "alice", "Gatepass:alice"),
            ("http://[::1]:8080/gate", "alice", "Gatepass:alice"),
            ("https://gate.example", "corp:alice", "gate.example:corp_alice"),
            ("https://gate.example", "a+b@c.example", "gate.example:a%2Bb%40c.example"),
            ("https://gate.example", "a%3Ab/c?d#e", "gate.example:a%253Ab%2Fc%3Fd%23e"),
        ] {
            let issuer = TotpIssuer::of(&Issuer::parse(issuer).unwrap());
            let uri = otpauth_uri(&device(), &issuer, account);
            let (shown, query) = uri.strip_prefix("otpauth://totp/").unwrap().split_once('?').unwrap();
            assert_eq!(shown, label);
            assert_eq!(
                label.split_once(':').unwrap().0,
                query_value(query, "issuer"),
                "one issuer, told twice"
            );
        }
    }

    fn query_value<'a>(query: &'a str, name: &str) -> &'a str {
        query.split('&').find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name)).unwrap().1
    }
}
