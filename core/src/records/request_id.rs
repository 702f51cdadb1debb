//! The ids of one request: ours, and the one that its caller gave to it.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

/// A request's id, in its answer, in log lines and in the audit table. Neither needs quoting for it.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

/// A request's id that is not 1–64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestIdError;

impl fmt::Display for RequestIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request's id is 1 to 64 characters of A-Z a-z 0-9 . _ -")
    }
}

impl core::error::Error for RequestIdError {}

impl RequestId {
    /// Reads an id of 1–64 characters of `A-Z a-z 0-9 . _ -`.
    ///
    /// # Errors
    /// [`RequestIdError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.into()))
        } else {
            Err(RequestIdError)
        }
    }

    /// Takes a text that was drawn, in base64url.
    pub(crate) fn drawn(text: String) -> Self {
        Self(text.into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.0)
    }
}

/// The ids of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestIds {
    /// The id that was drawn for it.
    pub own: RequestId,
    /// The id that its caller gave to it.
    pub sent: Option<RequestId>,
}

impl RequestIds {
    /// Returns the id that the answer tells: the caller's, if there is one.
    pub fn answered(&self) -> &RequestId {
        self.sent.as_ref().unwrap_or(&self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Time;
    use crate::crypto::seed::Seed;
    use crate::records::request_inputs::RequestInputs;

    #[test]
    fn a_drawn_id_is_one_that_is_read() {
        for seed in 0..=255 {
            let id = RequestInputs::new(Time::from_unix(u64::from(seed) << 32), Seed::new([seed; 32]))
                .request_id();
            assert_eq!(RequestId::parse(id.as_str()), Ok(id.clone()), "{id}");
        }
    }

    #[test]
    fn an_id_needs_no_quoting_anywhere() {
        for good in ["a", "01J.x_y-Z", "4bf92f3577b34da6a3ce929d0e0e4736"] {
            assert!(RequestId::parse(good).is_ok(), "{good}");
        }
        let too_long = "x".repeat(65);
        for bad in ["", "a~b", "a b", "a\n", "{a}", "a/b", "é", &too_long] {
            assert_eq!(RequestId::parse(bad), Err(RequestIdError), "{bad}");
        }
    }
}
