//! `gatepass token verify`: checks an access token, and prints its claims.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Subcommand;
use gatepass_core::api::step::drive;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::settings::Issuer;
use serde_json::{Map, Value};

use crate::store::AdminSession;

use super::context::Context;
use super::edit::stdin;
use crate::config::{ConfigLayer, Source};
use crate::error::ProgramError;
use crate::output::Record;
use crate::secrets::random::request_inputs;
use crate::store::load_engine;

/// The longest token that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Verify an access token as the server does, revocation included; exit code 1 if it is invalid
    Verify {
        /// The token; - or nothing means standard input
        token: Option<String>,
        /// The issuer it must name [default: the configured issuer, or else any]
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
    },
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    let Verb::Verify { token, issuer } = verb;
    let token = match token.as_deref() {
        None | Some("-") => stdin("a token", MAX_BYTES)?,
        Some(token) => token.to_owned().into(),
    };
    let token = token.trim();
    let mut flags = ConfigLayer::default();
    if let Some(issuer) = issuer
        && let Some(Err(wrong)) = flags.set("issuer", &issuer, Source::Flag)
    {
        return Err(ProgramError::usage(format!("--issuer: {wrong}")));
    }
    let config = context.config(flags)?;
    let unnamed = || ProgramError::failed("no issuer to verify for: name it with --issuer");
    let issuer = match &config.issuer {
        Some(issuer) => issuer.clone(),
        None => issuer_of(token).or_else(|| Issuer::parse("http://localhost").ok()).ok_or_else(unnamed)?,
    };
    let admin = context.reading()?;
    let engine = load_engine(&*admin.store, config.core_settings(issuer))?;
    match verify(&engine, &admin, token)? {
        Ok(claims) => {
            let record = Record::new().with("valid", true);
            let record = claims.into_iter().fold(record, |record, (claim, value)| record.with(claim, value));
            Ok(context.out.one(&record)?)
        }
        Err(reason) => {
            context.out.one(&Record::new().with("valid", false).with("reason", reason))?;
            Err(ProgramError::Answered)
        }
    }
}

/// Returns the issuer that a token claims. It proves nothing until a key of this server has verified the token.
fn issuer_of(token: &str) -> Option<Issuer> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    Issuer::parse(claims.get("iss")?.as_str()?).ok()
}

/// Returns the claims of `token`, or the reason why it is invalid.
fn verify(
    engine: &Engine,
    admin: &AdminSession,
    token: &str,
) -> Result<Result<Map<String, Value>, String>, ProgramError> {
    let claims = match engine.verify(token, admin.now) {
        Ok(claims) => claims,
        Err(wrong) => return Ok(Err(wrong.to_string())),
    };
    // Whether anything it rests on was ended is asked the way everybody asks: at /userinfo.
    let request = Request {
        method: "GET".into(),
        target: "/userinfo".into(),
        headers: vec![("authorization".into(), format!("Bearer {token}").into_bytes())],
        body: Vec::new(),
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
    };
    let response = drive(engine, &admin.store, request, request_inputs(&admin.clock)?);
    if let Some(refusal) = response.refusal() {
        return Ok(Err(refusal.as_str().replace('-', " ")));
    }
    if response.status() >= 500 {
        return Err(ProgramError::failed("the store cannot be read now: run `gatepass check`"));
    }
    let claims = serde_json::from_slice(&claims.to_json());
    Ok(Ok(claims.map_err(|error| ProgramError::failed(format!("the claims cannot be shown: {error}")))?))
}
