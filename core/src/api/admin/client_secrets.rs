//! `/admin/v1/clients/{id}/secrets`: the secrets of a client.

use alloc::format;
use alloc::string::String;

use crate::admin::AdminError;
use crate::admin::client_secrets::{
    AddSecret, AddedSecret, EndSecrets, FormerSecrets, ImportedSecret, SecretsToEnd,
};
use crate::admin::clients::ShowClient;
use crate::api::admin::answer::{all, created, no_content};
use crate::api::admin::call::AdminCall;
use crate::api::admin::variant::Variant;
use crate::api::admin::{AdminEndpoint, OFFICER};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::base::secret::SecretText;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer, body};
use crate::records::client::{Client, ClientSecret};
use crate::records::id::SecretId;
use crate::records::role::Roles;

answer! {
    /// A secret of a client. The secret itself is not kept.
    pub(super) struct ShownSecret<'a> {
        /// The id.
        id: &'a str = "sec_3V5cS0dJX2kq8oPZb7yM1w",
        /// The time when it was made.
        created_at: String [format("date-time")],
        /// The time from which it is refused; null: never.
        expires_at: Nullable<String> [format("date-time")],
        /// The time when it was last used, to the hour; null where it was not.
        last_used_at: Nullable<String> [format("date-time")],
    }
}

answer! {
    /// A secret that was added. It is shown this once.
    struct ShownAddedSecret<'a> {
        /// The secret; null where it was sent along.
        client_secret: Nullable<&'a str> = "gps_2yQw0nHk5cVZ1r8sT3uX6bA9dE4fG7hJ0kL2mN5pQ8r",
        ..secret: ShownSecret<'a>,
    }
}

body! {
    /// A secret to be added.
    struct AddSecretBody {
        /// The seconds after which the former secrets end; absent: they stay as they are.
        overlap: Option<u32> = 3600,
        /// The seconds that the new one is good for; absent: until it is ended.
        lifetime: Option<u32> [within(1, 0xffff_ffff)],
        /// The secret, if it was made elsewhere: 32 characters at least. Otherwise one is made.
        client_secret: Option<SecretText>,
    }
}

body! {
    /// The way in which a secret ends.
    struct EndSecretQuery {
        /// The seconds that it is still good for.
        overlap: Option<u32> = 3600,
    }
}

impl<'a> ShownSecret<'a> {
    pub(super) fn of(secret: &'a ClientSecret) -> Self {
        Self {
            id: secret.id.as_str(),
            created_at: secret.created_at.rfc3339(),
            expires_at: Nullable(secret.expires_at.map(|at| at.rfc3339())),
            last_used_at: Nullable(secret.last_used_at.map(|at| at.rfc3339())),
        }
    }
}

/// Takes a secret over that was made elsewhere.
pub(super) fn imported(secret: Option<SecretText>) -> Result<Option<ImportedSecret>, AdminError> {
    secret.map(ImportedSecret::new).transpose()
}

/// The routes of a client's secrets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Secrets;

/// Lists the secrets of a client: they are those of the record.
pub(crate) type ListSecrets = Variant<ShowClient, Secrets>;

impl AdminEndpoint for ListSecrets {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description =
        Description::new("Lists the secrets of a client").answers_page::<ShownSecret<'_>>();

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(ShowClient { client: call.client()? }.into())
    }

    fn respond(_: &Context, client: Client) -> Response {
        all(&client.secrets, ShownSecret::of)
    }
}

impl AdminEndpoint for AddSecret {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Adds a secret to a client")
        .takes::<AddSecretBody>()
        .answers::<ShownAddedSecret<'_>>(201)
        .refuses(&[Problem::RecordRefuses, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let AddSecretBody { overlap, lifetime, client_secret } = call.json()?;
        let secret = imported(client_secret)?;
        let former = overlap.map_or(FormerSecrets::Stay, FormerSecrets::EndAfter);
        Ok(Self { client: call.client()?, former, lifetime, secret })
    }

    fn respond(_: &Context, AddedSecret { client, kept, secret }: AddedSecret) -> Response {
        let client_secret = Nullable(secret.as_ref().map(SecretText::expose));
        let body = ShownAddedSecret { client_secret, secret: ShownSecret::of(&kept) };
        created(format!("/admin/v1/clients/{}/secrets/{}", client.id, kept.id), &body)
    }
}

impl AdminEndpoint for EndSecrets {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description =
        Description::new("Ends a secret of a client").queries::<EndSecretQuery>().answers_nothing(204);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let EndSecretQuery { overlap } = call.query()?;
        let secrets = SecretsToEnd::One(call.id(1, SecretId::parse)?);
        Ok(Self { client: call.client()?, secrets, overlap: overlap.unwrap_or(0) })
    }

    fn respond(_: &Context, _: Client) -> Response {
        no_content()
    }
}
