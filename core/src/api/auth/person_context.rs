//! The context of the person who signs in: their address and their device. The connection shows it, except where a client stands
//! between: a client with `trusted_context` may state it in the body.

use alloc::string::String;
use core::net::IpAddr;

use crate::api::context::{Context, place};
use crate::api::reply::Reply;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::request_error::RequestError;
use crate::http::shape::body;
use crate::policy::ticket_redemption::Redeemer;
use crate::records::client::AuthenticatedClient;
use crate::records::sign_in_history::{DeviceMark, DeviceOnNetwork, Network};
use crate::store::audit::Refusal;

body! {
    /// The context of the person who signs in. An authenticated client with `trusted_context` may state it, and nobody else.
    pub(crate) struct PersonContextBody {
        /// The person's address, IPv4 or IPv6, in place of the address that the request comes from.
        client_ip: Option<String> => BadClientIp,
        /// The person's user agent, in place of the `User-Agent` header.
        user_agent: Option<String> => BadUserAgent,
        /// The id of the person's device, at most 256 visible ASCII characters, in place of the `X-Device-Id` header.
        device_id: Option<String> => BadDeviceId,
    }
}

/// The address and the place of the person who signs in.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct PersonContext {
    address: IpAddr,
    place: DeviceOnNetwork,
    stated: bool,
}

impl PersonContext {
    /// Reads the context. A member that is stated takes the place of what the request itself shows.
    ///
    /// # Errors
    /// [`Problem::ContextRefused`] where something is stated by nobody who could be trusted; the problem of a member or a header
    /// that cannot be read.
    pub(crate) fn of(
        request: &Request,
        body: &PersonContextBody,
        redeemer: &Redeemer,
    ) -> Result<Self, RequestError> {
        let shown = place(request)?;
        let PersonContextBody { client_ip, user_agent, device_id } = body;
        let stated = [client_ip, user_agent, device_id].iter().any(|member| member.is_some());
        if !stated {
            return Ok(Self { address: request.peer, place: shown, stated });
        }
        if matches!(redeemer, Redeemer::Anybody) {
            return Err(Problem::ContextRefused.into());
        }
        let malformed = |_| RequestError::from(Problem::BadClientIp).about("client_ip");
        let address = client_ip.as_deref().map_or(Ok(request.peer), |ip| ip.parse().map_err(malformed))?;
        let device = device(request, body)?.unwrap_or(shown.device);
        Ok(Self { address, place: DeviceOnNetwork { device, network: Network::of(address) }, stated })
    }

    /// Returns true if a client states it.
    pub(crate) const fn is_stated(&self) -> bool {
        self.stated
    }

    pub(crate) const fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) const fn place(&self) -> DeviceOnNetwork {
        self.place
    }

    /// Returns the context of a flow about this person: with their address in place of the client's.
    ///
    /// # Errors
    /// 403 where it is stated, and `client` is not trusted to.
    pub(crate) fn accept(
        &self,
        ctx: &Context,
        client: Option<&AuthenticatedClient<'_>>,
    ) -> Result<Context, Reply> {
        let client = client.map(AuthenticatedClient::client).filter(|client| client.trusted_context);
        match client.filter(|_| self.stated) {
            None if self.stated => Err(ctx.refuse(Problem::ContextRefused, Refusal::ContextUntrusted)),
            client => Ok(ctx.of_person(self.address, client.map(|client| &client.id))),
        }
    }
}

/// Returns the device that the body states; none where it states neither an id nor a user agent. As with the headers, an id goes
/// before a user agent, and an empty id is none.
fn device(request: &Request, body: &PersonContextBody) -> Result<Option<DeviceMark>, RequestError> {
    let (id, agent) = (body.device_id.as_deref(), body.user_agent.as_deref());
    if id.is_some_and(|id| !DeviceMark::is_device_id(id)) {
        return Err(RequestError::from(Problem::BadDeviceId).about("device_id"));
    }
    if agent.is_some_and(|agent| agent.chars().any(|c| c.is_control() && c != '\t')) {
        return Err(RequestError::from(Problem::BadUserAgent).about("user_agent"));
    }
    let sent = request.header("x-device-id")?;
    Ok(match (id.or(sent).filter(|id| !id.is_empty()), agent) {
        (Some(id), _) => Some(DeviceMark::of_device_id(id)),
        (None, Some(agent)) => Some(DeviceMark::of_user_agent(agent.as_bytes())),
        (None, None) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::shape::ReadBody;
    use crate::records::client_credentials::ClientCredentials;
    use alloc::vec;
    use alloc::vec::Vec;

    fn request(body: &str, headers: &[(&str, &str)]) -> Request {
        let mut all: Vec<_> = headers.iter().map(|(n, v)| ((*n).into(), v.as_bytes().to_vec())).collect();
        all.push(("content-type".into(), b"application/json".to_vec()));
        Request {
            method: "POST".into(),
            target: "/auth/login".into(),
            headers: all,
            body: body.as_bytes().to_vec(),
            peer: [192, 0, 2, 1].into(),
        }
    }

    fn read(body: &str, headers: &[(&str, &str)], redeemer: &Redeemer) -> Result<PersonContext, Problem> {
        let request = request(body, headers);
        let body = PersonContextBody::of_json(&request).map_err(|error| error.problem)?;
        PersonContext::of(&request, &body, redeemer).map_err(|error| error.problem)
    }

    fn portal() -> Redeemer {
        Redeemer::Claimed(ClientCredentials::read("portal", vec![]).unwrap())
    }

    #[test]
    fn what_is_stated_takes_the_place_of_what_is_shown() {
        let agent = |text: &str| DeviceMark::of_user_agent(text.as_bytes());
        let id = DeviceMark::of_device_id;
        let sent: &[(&str, &str)] = &[("user-agent", "portal/1"), ("x-device-id", "phone")];
        let bare: &[(&str, &str)] = &[("user-agent", "portal/1")];
        for (body, headers, address, device) in [
            ("{}", bare, "192.0.2.1", agent("portal/1")),
            ("{}", sent, "192.0.2.1", id("phone")),
            (r#"{"client_ip":"2001:db8::1"}"#, bare, "2001:db8::1", agent("portal/1")),
            (r#"{"client_ip":"198.51.100.7"}"#, sent, "198.51.100.7", id("phone")),
            (r#"{"user_agent":"Mozilla/5.0"}"#, bare, "192.0.2.1", agent("Mozilla/5.0")),
            (r#"{"user_agent":""}"#, bare, "192.0.2.1", agent("")),
            (r#"{"user_agent":"Mozilla/5.0"}"#, sent, "192.0.2.1", id("phone")),
            (r#"{"user_agent":"Mozilla/5.0","device_id":"d1"}"#, bare, "192.0.2.1", id("d1")),
            (r#"{"user_agent":"Mozilla/5.0","device_id":""}"#, sent, "192.0.2.1", agent("Mozilla/5.0")),
            (r#"{"client_ip":"198.51.100.7","device_id":"d1"}"#, sent, "198.51.100.7", id("d1")),
        ] {
            let found = read(body, headers, &portal()).unwrap();
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(found.address(), address, "{body}");
            assert_eq!(found.place(), DeviceOnNetwork { device, network: Network::of(address) }, "{body}");
            assert_eq!(found.is_stated(), body != "{}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused_and_so_is_what_nobody_vouches_for() {
        for (body, problem) in [
            (r#"{"client_ip":""}"#, Problem::BadClientIp),
            (r#"{"client_ip":"198.51.100.7:443"}"#, Problem::BadClientIp),
            (r#"{"client_ip":"fe80::1%eth0"}"#, Problem::BadClientIp),
            (r#"{"client_ip":"unknown"}"#, Problem::BadClientIp),
            (r#"{"user_agent":"a\nb"}"#, Problem::BadUserAgent),
            (r#"{"user_agent":"a\u0000"}"#, Problem::BadUserAgent),
            (r#"{"device_id":"é"}"#, Problem::BadDeviceId),
            (r#"{"device_id":"a\nb"}"#, Problem::BadDeviceId),
        ] {
            assert_eq!(read(body, &[], &portal()).err(), Some(problem), "{body}");
            assert_eq!(read(body, &[], &Redeemer::Anybody).err(), Some(Problem::ContextRefused), "{body}");
        }
        let long = alloc::format!(r#"{{"device_id":"{}"}}"#, "d".repeat(257));
        assert_eq!(read(&long, &[], &portal()).err(), Some(Problem::BadDeviceId));
        let longest = long.replacen("dd", "d", 1);
        assert!(read(&longest, &[], &portal()).is_ok());
    }
}
