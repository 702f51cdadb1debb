//! Random numbers that a seed reproduces.

/// A generator of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Makes the generator of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `sides`, which is not 0.
    pub const fn below(&mut self, sides: u64) -> u64 {
        self.next_u64() % sides
    }

    /// Returns a number from `least` to `most`.
    pub const fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Returns true once in `sides`; never if that is 0.
    pub const fn one_in(&mut self, sides: u64) -> bool {
        sides > 0 && self.below(sides) == 0
    }

    /// Returns one element of `all`, which is not empty.
    pub fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let index = usize::try_from(self.below(all.len() as u64)).expect("an index");
        all[index].clone()
    }

    /// Takes one element out of `all`, or returns `None` if it is empty.
    pub fn draw<T>(&mut self, all: &mut Vec<T>) -> Option<T> {
        let count = u64::try_from(all.len()).ok().filter(|&count| count > 0)?;
        let index = usize::try_from(self.below(count)).ok()?;
        Some(all.swap_remove(index))
    }

    /// Returns another generator, seeded by this one.
    pub const fn split(&mut self) -> Self {
        Self(self.next_u64())
    }
}

/// Returns the number in the environment variable `name`, or `otherwise`.
pub fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no whole number")),
        Err(_) => otherwise,
    }
}
