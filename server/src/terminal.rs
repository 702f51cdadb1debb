//! The abilities of the terminal that a stream goes to, if it goes to one.

use std::env::var_os;
use std::ffi::OsStr;
use std::io::IsTerminal;

/// Returns true if a stream may have colours and bold text: `NO_COLOR` forbids them, and so does a terminal without.
pub(crate) fn shows_colours(stream: &impl IsTerminal) -> bool {
    moves_cursor(stream) && var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns true if a line of a stream can be drawn again, as a progress bar is.
pub(crate) fn moves_cursor(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && is_capable(var_os("TERM").as_deref())
}

/// Returns true if a terminal of this type obeys escape sequences. One that does not say its type is taken for one
/// that does not, such as a serial line.
fn is_capable(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb" && term != "unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals() {
        for (term, capable) in [
            (None, false),
            (Some(""), false),
            (Some("dumb"), false),
            (Some("unknown"), false),
            (Some("linux"), true),
            (Some("xterm-256color"), true),
        ] {
            assert_eq!(is_capable(term.map(OsStr::new)), capable, "{term:?}");
        }
    }
}
