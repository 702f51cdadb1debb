//! What crosses the wire: requests and responses, forms, Basic, JSON, and the shapes of the answers.

pub mod language;
pub mod problem;
pub mod request;
pub mod response;
