//! Typing errors: how far two words are from each other.

use alloc::vec::Vec;

/// Returns how many characters have to be inserted, left out, replaced or exchanged with their neighbour to make `a` into `b`
/// (optimal string alignment).
pub fn typing_errors(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (row, &from) in (1..).zip(a) {
        let mut here: Vec<usize> = Vec::with_capacity(above.len());
        here.push(row);
        for (column, &to) in b.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&above, column).saturating_add(usize::from(from != to));
            let left_out = at(&above, column + 1).saturating_add(1);
            let inserted = at(&here, column).saturating_add(1);
            let mut least = replaced.min(left_out).min(inserted);
            let left = column.checked_sub(1);
            if let Some(left) = left.filter(|&left| previous == Some(to) && b.get(left) == Some(&from)) {
                least = least.min(at(&before, left).saturating_add(1));
            }
            here.push(least);
        }
        before = core::mem::replace(&mut above, here);
        previous = Some(from);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_counts_once() {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        for (a, b, errors) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("abc", "abc", 0),
            ("abc", "axc", 1),
            ("abc", "ac", 1),
            ("abc", "acb", 1),
            ("abcd", "badc", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(typing_errors(&letters(a), &letters(b)), errors, "{a} {b}");
            assert_eq!(typing_errors(&letters(b), &letters(a)), errors, "{b} {a}");
        }
    }
}
