//! Attributes, and which of them a caller notices.

use quote::ToTokens;
use syn::{Attribute, Visibility};

/// Tests are no interface, and what the documentation hides promises nothing.
pub(crate) fn is_left_out(attributes: &[Attribute]) -> bool {
    is_marked(attributes, "#[cfg(test)]") || is_marked(attributes, "#[doc(hidden)]")
}

pub(crate) fn is_marked(attributes: &[Attribute], mark: &str) -> bool {
    attributes.iter().any(|attribute| attribute.to_token_stream().to_string().replace(' ', "") == mark)
}

/// Keeps the attributes that a caller notices.
pub(crate) fn keep_noticed(attributes: &mut Vec<Attribute>) {
    const NOTICED: [&str; 7] =
        ["derive", "non_exhaustive", "must_use", "cfg", "cfg_attr", "deprecated", "macro_export"];
    attributes.retain(|attribute| NOTICED.iter().any(|name| attribute.path().is_ident(name)));
}

pub(crate) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}
