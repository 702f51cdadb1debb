//! What somebody asks for who asks for a ticket: the same rules for the endpoint and for the command line.

use alloc::string::{String, ToString};
use core::net::IpAddr;

use crate::model::id::{ClientId, UserRef};
use crate::model::scope::Scope;
use crate::model::ticket::{Impersonation, MAX_LIFETIME};
use crate::settings::Settings;
use crate::wire::body::Body;
use crate::wire::problem::Problem;

/// A request for a ticket, read but not yet granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketRequest {
    /// Who is to be signed in.
    pub user: UserRef,
    /// Its life in seconds, 1–3600.
    pub(crate) ttl: Option<u32>,
    /// The client that the sign-in is for.
    pub audience: Option<ClientId>,
    /// Whether the redeemer must authenticate as that client.
    pub bind: bool,
    /// What the sign-in is granted.
    pub scope: Option<Scope>,
    /// The only address that may redeem it.
    pub client_ip: Option<IpAddr>,
    pub(crate) impersonation: Option<AskedImpersonation>,
}

/// Who is to act as the user, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AskedImpersonation {
    pub(crate) actor: UserRef,
    pub(crate) reason: String,
}

impl TicketRequest {
    /// A plain request for `user`.
    pub const fn new(user: UserRef) -> Self {
        Self {
            user,
            ttl: None,
            audience: None,
            bind: false,
            scope: None,
            client_ip: None,
            impersonation: None,
        }
    }

    /// With a life of `seconds`.
    ///
    /// # Errors
    /// [`Problem::BadTtl`] unless it is 1–3600.
    pub fn lasting(self, seconds: u64) -> Result<Self, Problem> {
        match u32::try_from(seconds) {
            Ok(ttl @ 1..=MAX_LIFETIME) => Ok(Self { ttl: Some(ttl), ..self }),
            Ok(_) | Err(_) => Err(Problem::BadTtl),
        }
    }

    /// With `actor` acting as the user, for `reason`. The two go together.
    ///
    /// # Errors
    /// [`Problem::ReasonRequired`] where one is missing, or the reason is not 1–500 plain characters.
    pub fn impersonated(self, actor: Option<UserRef>, reason: Option<&str>) -> Result<Self, Problem> {
        let impersonation = match (actor, reason) {
            (None, None) => None,
            (Some(actor), Some(reason)) if Impersonation::is_reason(reason) => {
                Some(AskedImpersonation { actor, reason: reason.to_string() })
            }
            (Some(_), Some(_) | None) | (None, Some(_)) => return Err(Problem::ReasonRequired),
        };
        Ok(Self { impersonation, ..self })
    }

    /// Reads the body of `generate-ticket`.
    pub(crate) fn read(body: &Body, settings: &Settings) -> Result<Self, Problem> {
        let user = match (body.text("user_id")?, body.text("username")?) {
            (Some(text), None) => UserRef::IdOrUsername(text.into()),
            (None, Some(text)) => UserRef::Username(text.into()),
            (Some(_), Some(_)) | (None, None) => return Err(Problem::BadJson),
        };
        let mut asked = Self::new(user);
        if let Some(ttl) = body.value("ttl") {
            asked = asked.lasting(ttl.as_u64().ok_or(Problem::BadTtl)?)?;
        }
        if let Some(audience) = body.text("audience")? {
            asked.audience = Some(ClientId::parse(audience).map_err(|_| Problem::AudienceRefused)?);
        }
        asked.bind = body.flag("bind")?;
        if let Some(scope) = body.text("scope")? {
            asked.scope = Some(Scope::parse(scope).map_err(|_| Problem::ScopeRefused)?);
        }
        if let Some(ip) = body.text("client_ip")? {
            asked.client_ip = Some(ip.parse().map_err(|_| Problem::BadClientIp)?);
        }
        if body.text("tenant_id")?.is_some_and(|tenant| settings.tenant.as_deref() != Some(tenant)) {
            return Err(Problem::TenantRefused);
        }
        let actor = body.text("actor")?.map(|actor| UserRef::IdOrUsername(actor.into()));
        asked.impersonated(actor, body.text("reason")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Issuer;
    use crate::wire::request::Request;
    use alloc::{format, vec};

    #[test]
    fn the_one_tenant_is_accepted_and_any_other_refused() {
        let issuer = Issuer::parse("http://gate.example").unwrap();
        let read = |tenant: Option<&str>, member: &str| {
            let settings = Settings { tenant: tenant.map(String::from), ..Settings::new(issuer.clone()) };
            let request = Request {
                method: "POST".into(),
                target: "/auth/generate-ticket".into(),
                headers: vec![("content-type".into(), b"application/json".to_vec())],
                body: format!("{{\"user_id\":\"alice\"{member}}}").into_bytes(),
                peer: [127, 0, 0, 1].into(),
            };
            TicketRequest::read(&Body::of(&request).unwrap(), &settings).err()
        };
        let named = |name: &str| format!(",\"tenant_id\":\"{name}\"");
        for (tenant, member, refused) in [
            (None, "", None),
            (Some("acme"), "", None),
            (Some("acme"), &*named("acme"), None),
            (Some("acme"), &named("ACME"), Some(Problem::TenantRefused)),
            (Some("acme"), &named(""), Some(Problem::TenantRefused)),
            (None, &named("acme"), Some(Problem::TenantRefused)),
            (Some("acme"), ",\"tenant_id\":null", Some(Problem::BadJson)),
        ] {
            assert_eq!(read(tenant, member), refused, "{tenant:?} {member}");
        }
    }
}
