//! The digest of rows, by which two stores are compared.

use gatepass_core::crypto::Sha256;

use crate::store::rows::Value;

/// A digest of rows that is being made.
#[derive(Default)]
pub(super) struct RowDigest {
    hash: Sha256,
    rows: u64,
}

impl RowDigest {
    /// Takes in a row. Each value is taken in with its type and its length, so that no two lists of rows are the same bytes.
    pub(super) fn absorb(&mut self, row: &[Value<'_>]) {
        self.hash.absorb(&length(row.len()));
        for value in row {
            let number;
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Integer(found) => {
                    number = found.to_be_bytes();
                    (1, &number)
                }
                Value::Text(text) => (2, text.as_bytes()),
                Value::Bytes(bytes) => (3, bytes),
                Value::Unstorable => (4, &[]),
            };
            self.hash.absorb(&[kind]);
            self.hash.absorb(&length(bytes.len()));
            self.hash.absorb(bytes);
        }
        self.rows = self.rows.saturating_add(1);
    }

    /// Returns the number of rows, and the digest of all of them.
    pub(super) fn finish(self) -> (u64, [u8; 32]) {
        (self.rows, self.hash.finish())
    }
}

fn length(of: usize) -> [u8; 8] {
    u64::try_from(of).unwrap_or(u64::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[&[Value<'_>]]) -> [u8; 32] {
        let mut digest = RowDigest::default();
        rows.iter().for_each(|row| digest.absorb(row));
        digest.finish().1
    }

    #[test]
    fn rows_that_differ_in_anything_have_other_digests() {
        let text = |text: &'static str| Value::from(text);
        let bytes = |bytes: &[u8]| Value::from(bytes.to_vec());
        let all: &[&[&[Value<'_>]]] = &[
            &[],
            &[&[]],
            &[&[Value::Null]],
            &[&[text("")]],
            &[&[bytes(b"")]],
            &[&[text("ab"), text("c")]],
            &[&[text("a"), text("bc")]],
            &[&[text("ab")], &[text("c")]],
            &[&[text("c")], &[text("ab")]],
            &[&[bytes(b"ab"), text("c")]],
            &[&[Value::Integer(0)]],
            &[&[bytes(&[0; 8])]],
        ];
        let mut digests: Vec<_> = all.iter().map(|rows| digest(rows)).collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), all.len());
    }
}
