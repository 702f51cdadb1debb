//! Published JOSE vectors. They live beside the checkout; without them, this says so and passes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::fs;
use std::path::PathBuf;

use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::jose::jwk::Jwk;
use gatepass_core::jose::jws::Compact;
use gatepass_core::jose::key::{KeySet, VerifyingKey};
use serde_json::Value;

fn vectors(name: &str) -> Option<Value> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "shared", "vectors", name].iter().collect();
    match fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("the vectors are JSON")),
        Err(error) => {
            println!("skipped: {}: {error}", path.display());
            None
        }
    }
}

/// Returns true if the keys of `case`, bound to its algorithm unless they name one, verify its token.
fn accepts(case: &Value) -> bool {
    let Ok(jws) = Compact::parse(case["jws"].as_str().expect("a token")) else { return false };
    let wanted = case["alg"].as_str().and_then(Algorithm::parse);
    let keys: Vec<VerifyingKey> = if case["jwks"].is_null() {
        VerifyingKey::from_jwk(case["jwk"].to_string().as_bytes(), wanted).into_iter().collect()
    } else {
        let Ok(set) = Jwk::parse_set(case["jwks"].to_string().as_bytes()) else { return false };
        set.iter().filter_map(|jwk| VerifyingKey::new(jwk, None).ok()).collect()
    };
    match keys.as_slice() {
        [key] => key.verify(&jws).is_ok(),
        _ => KeySet::new(keys).verify(&jws).is_ok(),
    }
}

#[test]
fn no_false_accept_and_no_false_reject() {
    let Some(flat) = vectors("jws_flat.json") else { return };
    let (mut unsupported, mut wrong) = (vec![], vec![]);
    let mut counts = [0; 2];
    for case in flat["cases"].as_array().expect("cases") {
        let (id, expected) =
            (case["id"].as_str().expect("an id"), case["expect"].as_str().expect("a verdict"));
        let accepted = accepts(case);
        match expected {
            "valid" if case["alg"] == "ES512" && !accepted => unsupported.push(id),
            "valid" | "invalid" if accepted != (expected == "valid") => wrong.push((id, expected)),
            "valid" | "invalid" => counts[usize::from(accepted)] += 1,
            _ => {}
        }
    }
    println!("{} accepted, {} refused, unsupported: {unsupported:?}", counts[1], counts[0]);
    assert_eq!(wrong, []);
    assert_eq!(unsupported, ["rfc7515-A.4", "rfc7520-4_3"]);
    for case in flat["json_serialization_or_detached"].as_array().expect("cases") {
        let text = case["jws"].as_str().map_or_else(|| case["jws"].to_string(), String::from);
        assert!(Compact::parse(&text).is_err(), "{}", case["id"]);
    }
}
