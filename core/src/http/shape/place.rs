//! The place of a value in a body: `keys[0].kty`.

use core::fmt;

/// The place of a value, from the outside in.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    around: Option<&'a Self>,
    last: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    /// The body itself.
    Whole,
    Member(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    /// The body itself.
    pub(crate) const WHOLE: Place<'static> = Place { around: None, last: Segment::Whole };

    /// Returns the place of a member of what stands here.
    pub(crate) const fn member(&'a self, name: &'a str) -> Self {
        Self { around: Some(self), last: Segment::Member(name) }
    }

    /// Returns the place of an item, counted from 0, of the list that stands here.
    pub(crate) const fn item(&'a self, index: usize) -> Self {
        Self { around: Some(self), last: Segment::Item(index) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(around) = self.around {
            around.fmt(f)?;
        }
        match (self.last, self.around.map(|around| around.last)) {
            (Segment::Whole, _) => Ok(()),
            (Segment::Member(name), None | Some(Segment::Whole)) => f.write_str(name),
            (Segment::Member(name), Some(_)) => write!(f, ".{name}"),
            (Segment::Item(index), _) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_place_is_named_from_the_outside_in() {
        let whole = Place::WHOLE;
        let (keys, first) = (whole.member("keys"), 0);
        let first = keys.item(first);
        assert_eq!((whole.to_string(), keys.to_string()), ("".into(), "keys".into()));
        assert_eq!(
            (first.to_string(), first.member("kty").to_string()),
            ("keys[0]".into(), "keys[0].kty".into())
        );
    }
}
