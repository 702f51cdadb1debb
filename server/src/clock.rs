//! The clock (stub).
