//! `/admin/v1/keys`: the keys that sign tokens. None is imported here: whoever imported one could sign whatever they like.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::admin::keys::{ActivateKey, GenerateKey, ListKeys, ListedKey, RetireKey, ShowKey, StopKey};
use crate::api::admin::answer::{all, created, no_content, shown};
use crate::api::admin::call::AdminCall;
use crate::api::admin::{AdminEndpoint, OFFICER};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::crypto::algorithm::Algorithm;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer, body};
use crate::records::role::Roles;
use crate::records::signing_key::KeyRecord;

answer! {
    /// A key that signs tokens, signed some, or waits to. Its private part is never shown.
    struct ShownSigningKey<'a> {
        /// The key id.
        kid: &'a str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        /// The algorithm.
        alg: &'a str = "RS256",
        /// `published`: it waits to sign; `signing`; or `verifying-only`.
        state: &'a str = "signing",
        /// True for the key that signs for every client that chooses no algorithm.
        default: bool = true,
        /// The time when the key was added.
        created_at: String [format("date-time")],
        /// The time from which every copy of the key set holds the key, for one that waits.
        signs_from: Nullable<String> [format("date-time")],
        /// The time from which no token that the key signed is good, for one that signs no more.
        retire_from: Nullable<String> [format("date-time")],
    }
}

body! {
    /// A key to be made.
    struct GenerateKeyBody {
        /// The algorithm.
        alg: Algorithm = "ES256",
        /// True for a key that is to be the default key; false, which is the default, for one that is to sign for the clients alone that
        /// choose its algorithm.
        default: Option<bool> = false,
    }
}

body! {
    /// The way in which a key is to sign.
    struct ActivateKeyBody {
        /// True to make it the default key, false to have it sign for the clients alone that choose its algorithm. Without it, the key
        /// becomes what it was made for.
        default: Option<bool>,
        /// True to have it sign at once. Verifiers with an older copy of the key set refuse its tokens meanwhile.
        now: Option<bool> = true,
    }
}

body! {
    /// The way in which a key is to be removed.
    struct RetireKeyQuery {
        /// True to remove it at once. Tokens that it signed are refused from then on.
        now: Option<bool> = true,
    }
}

impl<'a> ShownSigningKey<'a> {
    fn of(ListedKey { key, signs_from }: &'a ListedKey) -> Self {
        Self {
            kid: &key.id,
            alg: key.algorithm.as_str(),
            state: key.state.as_str(),
            default: key.is_default(),
            created_at: key.created_at.rfc3339(),
            signs_from: Nullable(signs_from.map(|from| from.rfc3339())),
            retire_from: Nullable(key.retire_from.map(|from| from.rfc3339())),
        }
    }
}

impl AdminEndpoint for ListKeys {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Lists the keys").answers_page::<ShownSigningKey<'_>>();

    fn parse(_: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self)
    }

    fn respond(_: &Context, items: Vec<ListedKey>) -> Response {
        all(&items, ShownSigningKey::of)
    }
}

impl AdminEndpoint for ShowKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Shows a key").answers::<ShownSigningKey<'_>>(200);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { id: call.text(0).into() })
    }

    fn respond(_: &Context, key: ListedKey) -> Response {
        shown(&ShownSigningKey::of(&key))
    }
}

impl AdminEndpoint for GenerateKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Makes a key and publishes it")
        .takes::<GenerateKeyBody>()
        .answers::<ShownSigningKey<'_>>(201);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let body: GenerateKeyBody = call.json()?;
        Ok(Self::new(body.alg, !body.default.unwrap_or_default()))
    }

    fn respond(_: &Context, key: ListedKey) -> Response {
        created(format!("/admin/v1/keys/{}", key.key.id), &ShownSigningKey::of(&key))
    }

    fn task(&self) -> Option<TaskRequest> {
        Some(TaskRequest::MakeKey(self.algorithm()))
    }

    fn take_answer(&mut self, answer: TaskAnswer) {
        if let TaskAnswer::Key(key) = answer {
            self.take(*key);
        }
    }
}

impl AdminEndpoint for ActivateKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Has a key sign")
        .takes::<ActivateKeyBody>()
        .answers::<ShownSigningKey<'_>>(200)
        .refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let body: ActivateKeyBody = call.json()?;
        let beside = body.default.map(|default| !default);
        Ok(Self { id: call.text(0).into(), at_once: body.now.unwrap_or_default(), beside })
    }

    fn respond(_: &Context, key: KeyRecord) -> Response {
        shown(&ShownSigningKey::of(&ListedKey { key, signs_from: None }))
    }
}

impl AdminEndpoint for StopKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Has a key sign no more")
        .answers::<ShownSigningKey<'_>>(200)
        .refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { id: call.text(0).into() })
    }

    fn respond(_: &Context, key: KeyRecord) -> Response {
        shown(&ShownSigningKey::of(&ListedKey { key, signs_from: None }))
    }
}

impl AdminEndpoint for RetireKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Removes a key")
        .queries::<RetireKeyQuery>()
        .answers_nothing(204)
        .refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let query: RetireKeyQuery = call.query()?;
        Ok(Self { id: call.text(0).into(), at_once: query.now.unwrap_or_default() })
    }

    fn respond(_: &Context, _: KeyRecord) -> Response {
        no_content()
    }
}
