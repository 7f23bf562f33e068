//! Bytes read as decisions: which event comes next, on whom, changed how.

/// What is left of an input.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// The whole input.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// The next byte, until there is none.
    pub fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// The next byte, or 0 where there is none.
    pub fn or_zero(&mut self) -> u8 {
        self.byte().unwrap_or_default()
    }

    /// A place in a list of `len` things; none where the list is empty.
    pub fn place(&mut self, len: usize) -> Option<usize> {
        let byte = usize::from(self.or_zero());
        (len > 0).then(|| byte % len)
    }

    /// Two bytes, little-endian.
    pub fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.or_zero(), self.or_zero()])
    }

    /// Up to `len` bytes.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// `bytes` changed in one place or cut, as the script says; one byte where there were none.
    pub fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut spoilt = bytes.to_vec();
        let place = usize::from(self.word());
        let value = self.or_zero();
        if value == 0 {
            spoilt.truncate(place % bytes.len().max(1));
        } else if let Some(len) = core::num::NonZero::new(bytes.len()) {
            spoilt[place % len] ^= value;
        } else {
            spoilt.push(value);
        }
        spoilt
    }
}
