//! What is measured and printed, a file for each report.

pub(crate) mod curve;
pub(crate) mod flows;
pub(crate) mod footprint;
pub(crate) mod scale;
pub(crate) mod slow_disk;

use crate::flows::{Flow, Pocket};
use crate::generator::{Load, Outcome};
use crate::site::Served;

/// Connections at once, where nothing else is said.
pub(crate) const CONNECTIONS: usize = 64;

/// Sends `requests` in turn to `served` until `count` are answered.
pub(crate) fn load(served: &Served, requests: &[Vec<u8>], count: usize, connections: usize) -> Outcome {
    Load { address: served.address(), requests, count, connections, keep: false }.run()
}

/// The bodies that each of `requests`, sent once, is answered with.
pub(crate) fn kept(served: &Served, requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (address, count) = (served.address(), requests.len());
    Load { address, requests, count, connections: CONNECTIONS, keep: true }.run().bodies
}

/// Fresh tickets, `count` of them, as the requests that redeem them.
pub(crate) fn sign_ins(served: &Served, count: usize) -> Vec<Vec<u8>> {
    let mut pocket = Pocket::default();
    let requests = pocket.requests(Flow::GenerateTicket, served, count);
    pocket.keep(Flow::GenerateTicket, &kept(served, &requests));
    pocket.requests(Flow::SignIn, served, count)
}
