//! The roles of administration, held by users and clients.

use core::fmt;

/// A role: what its holder may administer over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Administers people and their tickets.
    Operator,
    /// Administers clients, keys and roles.
    Officer,
    /// Reads and verifies the audit log.
    Auditor,
}

impl Role {
    /// Every role, in order.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Officer, Self::Auditor];

    /// `operator`, `officer` or `auditor`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Officer => "officer",
            Self::Auditor => "auditor",
        }
    }

    /// Reads `operator`, `officer` or `auditor`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Operator => 1,
            Self::Officer => 2,
            Self::Auditor => 4,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of roles. Its holder has one at most, unless roles need not be separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// No role.
    pub const NONE: Self = Self(0);
    /// Every role.
    pub const ALL: Self = Self(7);

    /// Returns the set of these roles.
    pub const fn of(roles: &[Role]) -> Self {
        let mut bits = 0;
        let mut rest = roles;
        while let [role, others @ ..] = rest {
            bits |= role.bit();
            rest = others;
        }
        Self(bits)
    }

    /// Returns the set as a number, as a store keeps it: 1 for the operator, 2 for the officer, 4 for the auditor, added up.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Reads a set as a number; none if a bit is of no role.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits <= Self::ALL.0 { Some(Self(bits)) } else { None }
    }

    /// Reads what [`Display`](fmt::Display) writes: words with a comma between, or nothing for no role.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::NONE);
        }
        text.split(',').try_fold(Self::NONE, |roles, word| Some(roles.with(Role::parse(word)?)))
    }

    /// Returns the set with `role` in it.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    /// Returns the set without `role`.
    #[must_use]
    pub const fn without(self, role: Role) -> Self {
        Self(self.0 & !role.bit())
    }

    /// Returns true if there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the number of roles.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Returns true if `role` is one of them.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Returns true if the sets have a role in common.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the roles, in order.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

impl fmt::Display for Roles {
    /// The roles with a comma between: `operator,auditor`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, role) in self.iter().enumerate() {
            write!(f, "{}{role}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_set_of_roles() {
        assert_eq!(Roles::of(&Role::ALL), Roles::ALL);
        assert_eq!(Roles::of(&[]), Roles::NONE);
        let two = Roles::of(&[Role::Auditor, Role::Operator]);
        assert_eq!((two.to_string(), two.bits(), two.len()), ("operator,auditor".into(), 5, 2));
        assert!(two.contains(Role::Auditor) && !two.contains(Role::Officer));
        assert!(two.intersects(Roles::ALL) && !two.intersects(Roles::of(&[Role::Officer])));
        assert_eq!((Roles::from_bits(5), Roles::from_bits(8)), (Some(two), None));
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("admin"), None);
        for roles in (0..8).filter_map(Roles::from_bits) {
            assert_eq!(Roles::parse(&roles.to_string()), Some(roles));
        }
        for other in ["admin", "operator,", ",", "operator auditor"] {
            assert_eq!(Roles::parse(other), None, "{other}");
        }
        assert_eq!(two.with(Role::Officer).without(Role::Operator).to_string(), "officer,auditor");
    }
}
