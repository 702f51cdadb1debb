//! A table of sets of slots. It is of fixed size at most, and its memory is taken piece by piece: a server that sees few
//! addresses needs little of it.

/// Slots in one set.
pub(super) const WAYS: usize = 8;
/// Sets in one piece of memory.
const PIECE: usize = 64;

/// One set.
pub(super) type Set<S> = [S; WAYS];

/// The table.
#[derive(Debug)]
pub(super) struct Sets<S> {
    count: usize,
    /// Each piece is made for the first write to one of its sets.
    pieces: Vec<Option<Box<[Set<S>]>>>,
}

impl<S: Copy + Default> Sets<S> {
    /// Makes a table of `count` sets of empty slots.
    pub(super) fn new(count: usize) -> Self {
        Self { count, pieces: vec![None; count.div_ceil(PIECE)] }
    }

    /// Returns the number of sets.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Returns the set at `index` modulo the number of sets, if its piece was ever written to.
    pub(super) fn get(&self, index: usize) -> Option<&Set<S>> {
        let index = index.checked_rem(self.count)?;
        self.pieces.get(index / PIECE)?.as_ref()?.get(index % PIECE)
    }

    /// Returns the same set for a change of what it holds, if its piece was ever written to.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Set<S>> {
        let index = index.checked_rem(self.count)?;
        self.pieces.get_mut(index / PIECE)?.as_mut()?.get_mut(index % PIECE)
    }

    /// Returns the same set for a write to it; none if the table has no sets.
    pub(super) fn writable(&mut self, index: usize) -> Option<&mut Set<S>> {
        let index = index.checked_rem(self.count)?;
        let piece = self.pieces.get_mut(index / PIECE)?;
        piece.get_or_insert_with(|| vec![[S::default(); WAYS]; PIECE].into()).get_mut(index % PIECE)
    }

    /// Returns the bytes of the pieces that were made.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.pieces.iter().flatten().map(|piece| size_of_val(&**piece)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_where_something_is_written() {
        let mut table = Sets::<u64>::new(4096);
        let piece = PIECE * WAYS * 8;
        assert!(table.get(7).is_none() && table.get_mut(7).is_none() && table.size() == 0);
        for (index, pieces) in [(7, 1), (8, 1), (4096 + 7, 1), (4095, 2), (usize::MAX, 2)] {
            table.writable(index).unwrap().fill(1);
            assert_eq!(table.get(index), Some(&[1; WAYS]), "{index}");
            assert_eq!(table.size(), pieces * piece, "{index}");
        }
        assert_eq!(table.get(9), Some(&[0; WAYS]), "beside one that was written to");
        assert_eq!(table.get(1000), None);
    }

    #[test]
    fn an_empty_table_holds_nothing() {
        let mut table = Sets::<u64>::new(0);
        assert!(table.get(0).is_none() && table.writable(0).is_none());
    }
}
