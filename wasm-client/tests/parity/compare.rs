//! How far apart two tensors are.

/// What engines may differ by, relative to the tensor's L2 norm.
pub(crate) const TOLERANCE: f64 = 1e-3;

/// `‖found − expected‖ / ‖expected‖`.
pub(crate) fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |x: f64| x * x;
    let norm: f64 = expected.iter().map(|&e| square(f64::from(e))).sum();
    let pairs = found.iter().zip(expected);
    let distance: f64 = pairs
        .map(|(&f, &e)| square(f64::from(f) - f64::from(e)))
        .sum();
    (distance / norm).sqrt()
}

/// The name and error of the tensor that is furthest off.
#[derive(Default)]
pub(crate) struct Worst {
    name: String,
    error: f64,
}

impl Worst {
    /// Takes note of a tensor.
    ///
    /// # Panics
    /// If it is off by more than [`TOLERANCE`].
    pub(crate) fn check(&mut self, name: &str, found: &[f32], expected: &[f32]) {
        let error = relative_error(found, expected);
        assert!(error <= TOLERANCE, "{name} is off by {error:e} of its norm");
        if error >= self.error {
            *self = Self {
                name: name.into(),
                error,
            };
        }
    }

    /// Prints it.
    pub(crate) fn print(&self, title: &str) {
        println!(
            "{title}: worst relative error {:.1e} at {}",
            self.error, self.name
        );
    }
}
