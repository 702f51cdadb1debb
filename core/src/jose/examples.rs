//! The examples of RFC 7515, 7520, 7638 and 8037, and properties of every algorithm.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use proptest::prelude::*;
use serde_json::Value;

use crate::crypto::algorithm::Algorithm;
use crate::jose::import::import;
use crate::jose::jwk::Jwk;
use crate::jose::jws::{Compact, JwsError};
use crate::jose::key::{KeySet, SigningKey, VerifyingKey};

fn examples() -> Value {
    serde_json::from_str(include_str!("testdata/rfc_examples.json")).unwrap()
}

#[test]
fn signatures_of_the_rfcs() {
    for case in examples()["jws"].as_array().unwrap() {
        let (id, name) = (case["id"].as_str().unwrap(), case["alg"].as_str().unwrap());
        let token = case["jws"].as_str().unwrap();
        let Some(algorithm) = Algorithm::parse(name) else {
            assert_eq!(Compact::parse(token).err(), Some(JwsError::UnsupportedAlgorithm), "{id}");
            assert!(["none", "ES512"].contains(&name), "{id}");
            continue;
        };
        let jws = Compact::parse(token).unwrap();
        let key = SigningKey::from_jwk(case["jwk"].to_string().as_bytes(), Some(algorithm)).unwrap();
        assert!(key.verifying_key().unwrap().verify(&jws).is_ok(), "{id}");
        let deterministic = ["HS", "RS", "Ed"].iter().any(|family| name.starts_with(family));
        if deterministic {
            assert_eq!(key.signature(jws.signing_input().as_bytes()).unwrap(), jws.signature(), "{id}");
        }
    }
}

#[test]
fn thumbprints_of_the_rfcs() {
    for case in examples()["thumbprints"].as_array().unwrap() {
        let jwk = Jwk::parse(case["jwk"].to_string().as_bytes()).unwrap();
        assert_eq!(jwk.thumbprint(), case["thumbprint"].as_str().unwrap(), "{}", case["id"]);
    }
}

/// One key for each algorithm; RSA keys are the same pair throughout.
fn keys() -> Vec<SigningKey> {
    let file = |algorithm: Algorithm| match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => &[7; 64][..],
        Algorithm::Es256 => include_bytes!("testdata/p256.pkcs8.pem"),
        Algorithm::Es384 => include_bytes!("testdata/p384.pkcs8.pem"),
        Algorithm::EdDsa | Algorithm::Ed25519 => include_bytes!("testdata/ed25519.v1.pem"),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => include_bytes!("testdata/rsa2048.pkcs8.pem"),
    };
    Algorithm::ALL.iter().map(|&algorithm| import(file(algorithm), Some(algorithm)).unwrap()).collect()
}

#[test]
fn a_key_verifies_by_its_own_algorithm_alone() {
    let keys = keys();
    for signer in &keys {
        let token = signer.sign("JWT", b"{}").unwrap();
        let jws = Compact::parse(&token).unwrap();
        for verifier in &keys {
            let verified = verifier.verifying_key().unwrap().verify(&jws).is_ok();
            assert_eq!(verified, signer.algorithm() == verifier.algorithm());
        }
    }
}

/// RFC 9864 gives `EdDSA` on Ed25519 a name of its own. A key has one of the two names, and signs and verifies under that.
#[test]
fn an_ed25519_key_has_one_name() {
    let jwk = |members: &str| {
        format!(
            r#"{{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"{members}}}"#
        )
    };
    use Algorithm::{Ed25519, EdDsa};
    for (members, asked, bound) in [
        ("", None, Some(EdDsa)),
        ("", Some(Ed25519), Some(Ed25519)),
        (r#","alg":"Ed25519""#, None, Some(Ed25519)),
        (r#","alg":"Ed25519""#, Some(Ed25519), Some(Ed25519)),
        (r#","alg":"Ed25519""#, Some(EdDsa), None),
        (r#","alg":"EdDSA""#, Some(Ed25519), None),
    ] {
        let key = SigningKey::from_jwk(jwk(members).as_bytes(), asked).ok();
        assert_eq!(key.as_ref().map(SigningKey::algorithm), bound, "{members} {asked:?}");
        let Some(key) = key else { continue };
        let again = SigningKey::from_jwk(&key.to_private_jwk(), None).unwrap();
        let jws = again.sign("JWT", b"{}").unwrap();
        let jws = Compact::parse(&jws).unwrap();
        assert_eq!(jws.algorithm(), key.algorithm());
        for name in [EdDsa, Ed25519] {
            let verifier = VerifyingKey::from_jwk(jwk("").as_bytes(), Some(name)).unwrap();
            assert_eq!(verifier.verify(&jws).is_ok(), Some(name) == bound, "{members} {name}");
            let published = KeySet::new(alloc::vec![verifier]);
            assert_eq!(published.public_algorithms(), [name.as_str()]);
        }
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    // RS256's public key as the HMAC secret: the header chooses HS256, and there is no such key.
    let rsa = import(include_bytes!("testdata/rsa2048.pkcs8.pem"), None).unwrap();
    let public =
        serde_json::to_vec(&KeySet::new(alloc::vec![rsa.verifying_key().unwrap()]).public_jwk_set()).unwrap();
    let forger = SigningKey::new(Jwk::from_octets(&public), Some(Algorithm::Hs256)).unwrap();
    let forged = forger.sign("at+jwt", b"{}").unwrap();
    let set = KeySet::new(alloc::vec![rsa.verifying_key().unwrap()]);
    assert_eq!(set.verify(&Compact::parse(&forged).unwrap()).err(), Some(JwsError::NoKey));
}

#[test]
fn a_shared_secret_is_never_published() {
    let set = KeySet::new(keys().iter().map(|key| key.verifying_key().unwrap()).collect());
    assert!(!set.public_jwk_set().contains("oct"));
    assert!(!set.public_algorithms().iter().any(|name| name.starts_with("HS")));
}

#[test]
fn headers_that_are_refused() {
    use crate::base::base64url::encode;
    let token = |header: &str| format!("{}.{}.AA", encode(header.as_bytes()), encode(b"{}"));
    for (header, error) in [
        (r#"{"alg":"none"}"#, JwsError::UnsupportedAlgorithm),
        (r#"{"alg":"nOnE"}"#, JwsError::UnsupportedAlgorithm),
        (r#"{"alg":""}"#, JwsError::UnsupportedAlgorithm),
        (r#"{"typ":"JWT"}"#, JwsError::UnsupportedAlgorithm),
        (r#"{"alg":256}"#, JwsError::Malformed),
        (r#"{"alg":"HS256","kid":1}"#, JwsError::Malformed),
        (r#"{"alg":"HS256","alg":"HS256"}"#, JwsError::Malformed),
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, JwsError::ForbiddenHeader),
        (r#"{"alg":"HS256","crit":[]}"#, JwsError::ForbiddenHeader),
        (r#"{"alg":"HS256","b64":false}"#, JwsError::ForbiddenHeader),
        (r#"{"alg":"HS256","b64":true}"#, JwsError::ForbiddenHeader),
        (r#"{"alg":"HS256","jku":"https://evil.example"}"#, JwsError::ForbiddenHeader),
        (r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#, JwsError::ForbiddenHeader),
        (r#"{"alg":"HS256","x5u":"https://evil.example"}"#, JwsError::ForbiddenHeader),
        (r#"{"alg":"HS256","x5c":[]}"#, JwsError::ForbiddenHeader),
        ("[]", JwsError::Malformed),
        ("", JwsError::Malformed),
    ] {
        assert_eq!(Compact::parse(&token(header)).err(), Some(error), "{header}");
    }
    let long = "A".repeat(1024 * 1024);
    for (text, error) in [
        ("", JwsError::Malformed),
        (".", JwsError::Malformed),
        ("..", JwsError::Malformed),
        ("a.b.c.d", JwsError::Malformed),
        ("eyJhbGciOiJIUzI1NiJ9.e30.AA==", JwsError::Malformed),
        ("eyJhbGciOiJIUzI1NiJ9.e30.AB", JwsError::Malformed),
        ("eyJhbGciOiJIUzI1NiJ9 .e30.AA", JwsError::Malformed),
        ("eyJhbGciOiJIUzI1NiJ9.e30\n.AA", JwsError::Malformed),
        (&long, JwsError::TooLong),
    ] {
        assert_eq!(Compact::parse(text).err(), Some(error), "{:?}", text.get(..40));
    }
}

#[test]
fn a_kid_selects_and_nothing_else() {
    let key = import(include_bytes!("testdata/ed25519.v1.pem"), None).unwrap();
    let sign = |kid: &str| {
        let header = crate::base::base64url::encode(format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#).as_bytes());
        let input = format!("{header}.e30");
        format!("{input}.{}", crate::base::base64url::encode(&key.signature(input.as_bytes()).unwrap()))
    };
    let set = KeySet::new(alloc::vec![key.verifying_key().unwrap()]);
    assert!(set.verify(&Compact::parse(&sign(key.key_id())).unwrap()).is_ok());
    for kid in ["../../etc/passwd", "' OR 1=1 --", "", "x"] {
        let token = sign(kid);
        assert_eq!(set.verify(&Compact::parse(&token).unwrap()).err(), Some(JwsError::NoKey), "{kid}");
    }
}

#[test]
fn sets_with_one_kid_twice_are_refused() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}"#;
    let set =
        |keys: &str| Jwk::parse_set(format!(r#"{{"keys":[{keys}]}}"#).as_bytes()).map(|keys| keys.len());
    assert_eq!(set(jwk), Ok(1));
    assert_eq!(set(&format!(r#"{jwk},{{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}}"#)), Ok(1));
    assert!(set(&format!("{jwk},{jwk}")).is_err());
    assert!(set("1").is_err());
}

#[test]
fn a_key_says_what_it_is_for() {
    let with = |members: &str| {
        let jwk = format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"{members}}}"#
        );
        VerifyingKey::from_jwk(jwk.as_bytes(), None).is_ok()
    };
    for (members, good) in [
        ("", true),
        (r#","use":"sig","key_ops":["verify"],"alg":"EdDSA""#, true),
        (r#","alg":"Ed25519""#, true),
        (r#","use":"enc""#, false),
        (r#","use":1"#, false),
        (r#","key_ops":["sign"]"#, false),
        (r#","key_ops":[]"#, false),
        (r#","key_ops":"verify""#, false),
        (r#","alg":"ES256""#, false),
        (r#","alg":"Ed448""#, false),
    ] {
        assert_eq!(with(members), good, "{members}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,200}") {
        let _ = Compact::parse(&text);
        let _ = Jwk::parse(text.as_bytes());
    }

    #[test]
    fn what_is_signed_verifies_and_what_is_bent_does_not(
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        algorithm in 0usize..13,
        bit in any::<proptest::sample::Index>(),
    ) {
        let key = keys().remove(algorithm);
        let token = key.sign("JWT", &payload).unwrap();
        let verifying = key.verifying_key().unwrap();
        let jws = Compact::parse(&token).unwrap();
        let verified = verifying.verify(&jws).unwrap();
        prop_assert_eq!(verified.payload(), &payload[..]);
        let mut bent = token.clone().into_bytes();
        let at = bit.index(bent.len() * 7);
        bent[at / 7] ^= 1 << (at % 7);
        let bent = String::from_utf8(bent).unwrap();
        if let Ok(jws) = Compact::parse(&bent) {
            prop_assert!(verifying.verify(&jws).is_err());
        }
    }
}
