//! Values of the workloads' tensors and tokens, each stream from its name.

/// Uniform in `[-bound, bound)`; one rounding to f32.
pub(super) fn uniform(name: &str, len: usize, bound: f64) -> Vec<f32> {
    let mut stream = Stream::new(name);
    (0..len)
        .map(|_| (stream.symmetric() * bound) as f32)
        .collect()
}

/// Uniform within 0.1 around 1.
pub(super) fn gain(name: &str, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(name);
    (0..len)
        .map(|_| (1.0 + stream.symmetric() * 0.1) as f32)
        .collect()
}

/// Uniform with variance `1 / rows`.
pub(super) fn fan_in(name: &str, [rows, columns]: [usize; 2]) -> Vec<f32> {
    uniform(name, rows * columns, (3.0 / rows as f64).sqrt())
}

/// The generator: a linear congruential sequence that starts at the FNV-1a hash of a name.
pub(super) struct Stream(u32);

impl Stream {
    pub(super) fn new(name: &str) -> Self {
        Self(name.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
        }))
    }

    pub(super) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }

    /// Uniform in `[-1, 1)`, 24 bits.
    fn symmetric(&mut self) -> f64 {
        2.0 * (f64::from(self.next() >> 8) / 16_777_216.0) - 1.0
    }
}
