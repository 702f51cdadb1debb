//! The reports, a file for each.

pub(crate) mod curve;
pub(crate) mod flows;
pub(crate) mod footprint;
pub(crate) mod scale;
pub(crate) mod slow_disk;

use crate::flows::{Flow, IssuedCredentials};
use crate::generator::{Load, Outcome};
use crate::measured_server::MeasuredServer;

/// The default number of connections.
pub(crate) const CONNECTIONS: usize = 64;

/// Sends `requests` in turn to `served` until `count` are answered.
pub(crate) fn load(
    served: &MeasuredServer,
    requests: &[Vec<u8>],
    count: usize,
    connections: usize,
) -> Outcome {
    Load { address: served.address(), requests, count, connections, keep: false }.run()
}

/// Sends each of `requests` once, and returns the bodies of the answers.
pub(crate) fn kept(served: &MeasuredServer, requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (address, count) = (served.address(), requests.len());
    Load { address, requests, count, connections: CONNECTIONS, keep: true }.run().bodies
}

/// Returns requests that redeem `count` fresh tickets.
pub(crate) fn sign_ins(served: &MeasuredServer, count: usize) -> Vec<Vec<u8>> {
    let mut credentials = IssuedCredentials::default();
    let requests = credentials.requests(Flow::GenerateTicket, served, count);
    credentials.keep(Flow::GenerateTicket, &kept(served, &requests));
    credentials.requests(Flow::SignIn, served, count)
}
