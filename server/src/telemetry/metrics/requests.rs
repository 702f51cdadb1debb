//! Requests by route and status, and the time that they took. Routes are those of the table: nothing here is text of a request.

use std::sync::OnceLock;
use std::time::Duration;

use gatepass_core::api::routes::ROUTES;

use super::families::Family;
use super::text::{Labels, Samples};
use crate::measures::{Count, Histogram, TIMES};

/// The statuses that are counted apart. Any other is counted as 0.
const STATUSES: [u16; 27] = [
    0, 200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 411, 412, 413, 414, 415, 417, 421,
    422, 429, 431, 500, 501, 503,
];

/// The measures of every route, each made for its first request.
#[derive(Debug)]
pub(super) struct RequestMeasures {
    routes: Box<[OnceLock<Box<RouteMeasures>>]>,
    /// For what no route takes.
    none: RouteMeasures,
}

#[derive(Debug)]
struct RouteMeasures {
    statuses: [Count; STATUSES.len()],
    time: Histogram,
}

impl Default for RouteMeasures {
    fn default() -> Self {
        Self { statuses: Default::default(), time: Histogram::new(TIMES) }
    }
}

impl Default for RequestMeasures {
    fn default() -> Self {
        let routes = ROUTES.iter().map(|_| OnceLock::new()).collect();
        Self { routes, none: RouteMeasures::default() }
    }
}

impl RequestMeasures {
    /// Takes an answer of the route with this number. `took` is none for what the front itself refused.
    pub(super) fn take(&self, route: Option<usize>, status: u16, took: Option<Duration>) {
        let found = route.and_then(|number| self.routes.get(number));
        let measures = found.map_or(&self.none, |found| found.get_or_init(Box::default));
        let place = STATUSES.iter().position(|known| *known == status).unwrap_or(0);
        if let Some(count) = measures.statuses.get(place) {
            count.add();
        }
        if let Some(took) = took {
            measures.time.take_time(took);
        }
    }

    /// Adds the samples.
    pub(super) fn add_to(&self, samples: &mut Samples) {
        let used = ROUTES.iter().zip(&self.routes);
        let used = used.filter_map(|(route, measures)| Some((Some(route), &**measures.get()?)));
        for (route, measures) in used.chain([(None, &self.none)]) {
            let method = route.map(|route| route.methods.join(" ")).unwrap_or_default();
            let path = route.map_or("", |route| route.path);
            let labels = || -> Labels { vec![("method", method.clone().into()), ("route", path.into())] };
            for (status, count) in STATUSES.iter().zip(&measures.statuses) {
                if count.get() > 0 {
                    let mut labels = labels();
                    labels.push(("status", status.to_string().into()));
                    samples.number(Family::Requests, labels, count.get());
                }
            }
            samples.distribution(Family::RequestTime, labels(), measures.time.read());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_status_and_nothing_else() {
        let measures = RequestMeasures::default();
        let token = ROUTES.iter().position(|route| route.path == "/oauth2/token");
        for (route, status) in [(token, 200), (token, 200), (token, 401), (None, 404), (Some(9_999), 299)] {
            measures.take(route, status, Some(Duration::from_millis(2)));
        }
        measures.take(None, 408, None);
        let mut samples = Samples::default();
        measures.add_to(&mut samples);
        let text = samples.text().unwrap();
        for line in [
            r#"gatepass_requests_total{method="POST",route="/oauth2/token",status="200"} 2.0"#,
            r#"gatepass_requests_total{method="POST",route="/oauth2/token",status="401"} 1.0"#,
            r#"gatepass_requests_total{method="",route="",status="404"} 1.0"#,
            r#"gatepass_requests_total{method="",route="",status="408"} 1.0"#,
            r#"gatepass_requests_total{method="",route="",status="0"} 1.0"#,
            r#"gatepass_request_duration_seconds_count{method="POST",route="/oauth2/token"} 3"#,
            r#"gatepass_request_duration_seconds_sum{method="POST",route="/oauth2/token"} 0.006"#,
            r#"gatepass_request_duration_seconds_count{method="",route=""} 2"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("/auth/login"), "a route without requests takes no room");
    }
}
