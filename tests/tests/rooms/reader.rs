//! Reads the paths in Rust code.

use std::collections::BTreeSet;

/// A path in a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Used {
    pub(crate) line: usize,
    /// From the root of the crate.
    pub(crate) path: Vec<String>,
    /// It stands in a module of tests.
    pub(crate) in_test: bool,
}

/// A piece of code: a name, or one other character.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Token {
    Name(String),
    /// `::`
    Path,
    Other(char),
}

/// Returns the paths of `text` that stay in its crate, where `module` is its module; `root` is another word for `crate`.
pub(crate) fn paths_of(text: &str, module: &[String], root: &str) -> BTreeSet<Used> {
    let mut tokens = tokens_of(text);
    for (_, token) in &mut tokens {
        if *token == name(root) {
            *token = name("crate");
        }
    }
    let mut paths = BTreeSet::new();
    // The modules that are open inside the file: the depth of each one's brace, its name, and if it is a test.
    let mut open: Vec<(usize, String, bool)> = Vec::new();
    let (mut depth, mut at, mut test_next) = (0_usize, 0, false);
    while let Some((line, token)) = tokens.get(at) {
        let is = |offset: usize, expected: &Token| {
            tokens.get(at + offset).is_some_and(|(_, token)| token == expected)
        };
        match token {
            Token::Other('#') if is(1, &Token::Other('[')) && is(2, &name("cfg")) => {
                test_next = is(3, &Token::Other('(')) && is(4, &name("test")) && is(5, &Token::Other(')'));
                at += 3;
                continue;
            }
            Token::Other('{') => depth += 1,
            Token::Other('}') => {
                depth = depth.saturating_sub(1);
                open.retain(|(brace, ..)| *brace < depth + 1);
            }
            Token::Other(';') => test_next = false,
            Token::Name(word) if word == "mod" && is(2, &Token::Other('{')) => {
                if let Some((_, Token::Name(inner))) = tokens.get(at + 1) {
                    let in_test = test_next || open.iter().any(|(.., in_test)| *in_test);
                    depth += 1;
                    open.push((depth, inner.clone(), in_test));
                    (at, test_next) = (at + 3, false);
                    continue;
                }
            }
            Token::Name(word) if word == "fn" || word == "impl" => test_next = false,
            Token::Name(word)
                if matches!(word.as_str(), "crate" | "super" | "self")
                    && is(1, &Token::Path)
                    && !(at > 0 && matches!(tokens.get(at - 1), Some((_, Token::Path)))) =>
            {
                let mut here: Vec<String> = module.to_vec();
                here.extend(open.iter().map(|(_, inner, _)| inner.clone()));
                let in_test = open.iter().any(|(.., in_test)| *in_test) || test_next || is_test_file(module);
                let mut ends = Vec::new();
                at = tree(&tokens, at, &here, &mut ends);
                paths.extend(ends.into_iter().map(|path| Used { line: *line, path, in_test }));
                continue;
            }
            Token::Name(_) | Token::Path | Token::Other(_) => {}
        }
        at += 1;
    }
    paths
}

/// Returns true for a file that is a module of tests.
fn is_test_file(module: &[String]) -> bool {
    module.iter().any(|part| part == "tests")
}

fn name(text: &str) -> Token {
    Token::Name(text.to_owned())
}

/// Reads the path at `at`, and the list at its end, from a module `here`. Gives each full path to `ends`; returns where it ends.
fn tree(tokens: &[(usize, Token)], mut at: usize, here: &[String], ends: &mut Vec<Vec<String>>) -> usize {
    let mut path = here.to_vec();
    let mut first = true;
    loop {
        match tokens.get(at).map(|(_, token)| token) {
            Some(Token::Name(word)) => {
                match (word.as_str(), first) {
                    ("crate", _) => path.clear(),
                    ("super", _) => {
                        path.pop();
                    }
                    ("self", _) => {}
                    _ => path.push(word.clone()),
                }
                first = false;
                at += 1;
                if tokens.get(at).map(|(_, token)| token) == Some(&Token::Path) {
                    at += 1;
                    continue;
                }
            }
            Some(Token::Other('{')) => {
                at += 1;
                loop {
                    match tokens.get(at).map(|(_, token)| token) {
                        None => return at,
                        Some(Token::Other('}')) => return at + 1,
                        Some(Token::Other(',')) => at += 1,
                        // `as` and the other name.
                        Some(Token::Name(word)) if word == "as" => at += 2,
                        Some(_) => at = tree(tokens, at, &path, ends),
                    }
                }
            }
            // A star, or arguments of a type: the module is known.
            Some(Token::Other('*')) => at += 1,
            Some(Token::Path | Token::Other(_)) | None => {
                // Whoever calls has to go on.
                if first {
                    at += 1;
                }
            }
        }
        ends.push(path);
        return at;
    }
}

/// Returns the code of `text` in pieces with their lines, without comments, texts and characters.
fn tokens_of(text: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(length) = literal(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let word = rest.get(..length).unwrap_or_default();
            tokens.push((line, name(word.trim_start_matches("r#"))));
            length
        } else if rest.starts_with("::") {
            tokens.push((line, Token::Path));
            2
        } else {
            if !first.is_whitespace() {
                tokens.push((line, Token::Other(first)));
            }
            first.len_utf8()
        };
        let (passed, next) = rest.split_at(length);
        line += passed.matches('\n').count();
        rest = next;
    }
    tokens
}

/// Returns the length of the comment that `text` begins with; comments of this kind nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Returns the length of the text or character that `text` begins with, if it does; a lifetime is neither.
fn literal(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            let rest = if prefix.ends_with('r') { rest.trim_start_matches('#') } else { rest };
            rest.starts_with('"') || (rest.starts_with('\'') && !prefix.ends_with('r') && *prefix != "c")
        })
    })?;
    let rest = text.get(prefix.len()..)?;
    if prefix.ends_with('r') {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = rest.get(hashes + 1..)?;
        return Some(prefix.len() + hashes + 1 + inside.find(&end)? + end.len());
    }
    let quote = rest.chars().next()?;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            // `'a'` is a character; in `'a, 'b` the first quote begins a lifetime.
            let is_character = quote == '"'
                || rest
                    .get(1..at)
                    .is_some_and(|inside| inside.starts_with('\\') || inside.chars().count() == 1);
            return is_character.then_some(prefix.len() + at + 1);
        } else if quote == '\'' && at > 1 && rest.get(1..).is_some_and(|inside| !inside.starts_with('\\')) {
            return None;
        }
    }
    None
}

#[test]
fn lifetimes_and_characters_are_told_apart() {
    assert_eq!(literal("'a'"), Some(3));
    assert_eq!(literal("'\\''"), Some(4));
    assert_eq!(literal("'a, 'b>"), None);
    assert_eq!(literal("'static str"), None);
    assert_eq!(literal("b'x' "), Some(4));
    assert_eq!(literal("br##\"a\"#b\"##;"), Some(12));
    assert_eq!(literal("return"), None);
    assert_eq!(literal("crate::x"), None);
}
