//! The user of the operating system who runs a command.

use std::env;

use nix::unistd::{Uid, User, getuid};

/// The longest name that is believed.
const LONGEST: usize = 64;

/// Returns who runs this process, as `name(uid)`, and who became that user by sudo, as sudo says.
pub(super) fn current() -> String {
    let sudo = env::var("SUDO_USER").ok().zip(env::var("SUDO_UID").ok());
    described(getuid(), sudo.as_ref().map(|(name, uid)| (name.as_str(), uid.as_str())))
}

fn described(uid: Uid, sudo: Option<(&str, &str)>) -> String {
    let user = User::from_uid(uid).ok().flatten();
    let user = match user.filter(|user| is_name(&user.name)) {
        Some(user) => format!("{}({uid})", user.name),
        None => format!("({uid})"),
    };
    let caller =
        sudo.and_then(|(name, id)| Some((Some(name).filter(|name| is_name(name))?, id.parse::<u32>().ok()?)));
    match caller {
        Some((name, id)) => format!("{user} by sudo from {name}({id})"),
        None => user,
    }
}

/// Returns true if a name cannot be taken for more than a name.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '\\' | '$' | '+');
    (1..=LONGEST).contains(&name.len()) && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_a_command() {
        let root = Uid::from_raw(0);
        let nobody = Uid::from_raw(4_000_000_123);
        for (uid, sudo, expected) in [
            (root, None, "root(0)"),
            (root, Some(("alice", "1000")), "root(0) by sudo from alice(1000)"),
            (root, Some(("CORP\\alice", "1000")), "root(0) by sudo from CORP\\alice(1000)"),
            (nobody, None, "(4000000123)"),
            // What only a forged environment holds.
            (root, Some(("alice(1) by", "1000")), "root(0)"),
            (root, Some(("alice\n", "1000")), "root(0)"),
            (root, Some(("", "1000")), "root(0)"),
            (root, Some(("alice", "-1")), "root(0)"),
            (root, Some(("alice", "one")), "root(0)"),
        ] {
            assert_eq!(described(uid, sudo), expected);
        }
    }
}
