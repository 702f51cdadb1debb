//! The resources that a token is asked for (RFC 8707 §2): which of the audiences it is good for.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::base::form::Form;
use crate::base::plain_name::plain_name;

/// The longest resource that an error repeats, in bytes.
const LONGEST: usize = 128;

/// The resources that a request names. One that names none asks for every audience there is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Resources(Vec<String>);

/// A resource that is no audience of what is asked for. It is told where it is plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownResource(Option<String>);

impl fmt::Display for UnknownResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(resource) => write!(f, "the resource {resource} is not an audience of this client"),
            None => f.write_str("a resource is not an audience of this client"),
        }
    }
}

impl Resources {
    /// Reads the resources of a form.
    pub(crate) fn of(form: &Form<'_>) -> Self {
        Self(form.resources().map(String::from).collect())
    }

    /// Checks that each of them is one that `is_audience` knows.
    pub(crate) fn check(&self, is_audience: impl Fn(&str) -> bool) -> Result<(), UnknownResource> {
        match self.0.iter().find(|resource| !is_audience(resource)) {
            None => Ok(()),
            Some(unknown) => Err(UnknownResource(repeatable(unknown))),
        }
    }

    /// Returns true if a token for them is good for `audience`.
    pub(crate) fn include(&self, audience: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|resource| resource == audience)
    }
}

/// Returns `resource` where an `error_description` (RFC 6749 §5.2) may repeat it: a name, or a URL without a user and a query, in
/// which a secret could be.
fn repeatable(resource: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte);
    let is_url = resource.contains("://") && resource.len() <= LONGEST && resource.bytes().all(is_plain);
    if is_url { Some(resource.into()) } else { plain_name(resource) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn each_resource_has_to_be_an_audience_and_none_is_all() {
        for (form, include, unknown) in [
            ("", &["a", "https://b.example"][..], None),
            ("resource=", &["a", "https://b.example"], None),
            ("resource=a", &["a"], None),
            ("resource=a&resource=a", &["a"], None),
            ("resource=a&resource=https://b.example", &["a", "https://b.example"], None),
            ("resource=c", &[], Some("the resource c is not an audience of this client")),
            ("resource=a&resource=c", &["a"], Some("the resource c is not an audience of this client")),
            ("resource=A", &[], Some("the resource A is not an audience of this client")),
            (
                "resource=https://b.example/",
                &[],
                Some("the resource https://b.example/ is not an audience of this client"),
            ),
            (
                "resource=https://b.example?secret=1",
                &[],
                Some("a resource is not an audience of this client"),
            ),
            ("resource=a%22b", &[], Some("a resource is not an audience of this client")),
        ] {
            let resources = Resources::of(&Form::parse(form.as_bytes()).unwrap());
            let known = ["a", "https://b.example"];
            let refused = resources.check(|resource| known.contains(&resource)).err();
            assert_eq!(refused.map(|refused| refused.to_string()).as_deref(), unknown, "{form}");
            let included: Vec<_> = known.into_iter().filter(|audience| resources.include(audience)).collect();
            assert_eq!(included, include, "{form}");
        }
    }
}
