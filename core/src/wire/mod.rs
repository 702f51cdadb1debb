//! What crosses the wire: requests and responses, forms, Basic, JSON, and the shapes of the answers.

pub(crate) mod body;
pub mod credentials;
pub mod enrolment;
pub mod form;
pub mod idempotency;
pub mod json;
pub mod language;
pub mod media;
pub mod oauth;
pub mod problem;
pub mod request;
pub mod response;
pub(crate) mod shapes;
