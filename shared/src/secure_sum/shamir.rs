//! Shamir's secret sharing over the scalar field of curve25519 (the order of ristretto255).
//!
//! A seed is the value at 0 of a polynomial of degree `t - 1`; the share of the neighbour at
//! position `p` of the owner's sorted out-list is the value at `p + 1`.

use alloc::vec::Vec;

use curve25519_dalek::Scalar;

/// Shares that make no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// There are no shares.
    #[error("no shares")]
    Empty,
    /// Two shares are for the same point, or one is for point 0.
    #[error("shares are not for distinct points")]
    Points,
}

/// A scalar from 64 uniform bytes.
#[must_use]
pub fn scalar_from_wide(bytes: &[u8; 64]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(bytes)
}

/// The shares for points 1 to `count`; `coefficients` are those of x, x^2, ... and must be fresh.
#[must_use]
pub fn split(secret: &Scalar, coefficients: &[Scalar], count: u16) -> Vec<Scalar> {
    (1..=count)
        .map(|point| {
            let x = Scalar::from(point);
            let higher = coefficients
                .iter()
                .rev()
                .fold(Scalar::ZERO, |sum, c| (sum + c) * x);
            higher + secret
        })
        .collect()
}

/// The secret behind shares at distinct points, as many as the threshold: Lagrange at 0.
///
/// # Errors
/// [`ShareError`] if there are no shares or their points are not distinct and positive.
pub fn reconstruct(shares: &[(u16, Scalar)]) -> Result<Scalar, ShareError> {
    interpolate(shares, 0)
}

/// What the polynomial through these shares, as many as the threshold, is at another point: the
/// share that its owner should have given there.
///
/// # Errors
/// [`ShareError`] as for [`reconstruct`].
pub fn interpolate(shares: &[(u16, Scalar)], at: u16) -> Result<Scalar, ShareError> {
    if shares.is_empty() {
        return Err(ShareError::Empty);
    }
    let points: Vec<Scalar> = shares
        .iter()
        .map(|&(point, _)| Scalar::from(point))
        .collect();
    let others = |position: usize| {
        let at = move |(other, point): (usize, &Scalar)| (other != position).then_some(*point);
        points.iter().enumerate().filter_map(at)
    };
    let mut inverses: Vec<Scalar> = points
        .iter()
        .enumerate()
        .map(|(position, x)| others(position).map(|other| other - x).product())
        .collect();
    if points.contains(&Scalar::ZERO) || inverses.contains(&Scalar::ZERO) {
        return Err(ShareError::Points);
    }
    Scalar::invert_batch_alloc(&mut inverses);
    let at = Scalar::from(at);
    let terms = shares.iter().zip(&inverses).enumerate();
    Ok(terms
        .map(|(position, ((_, share), inverse))| {
            let numerator: Scalar = others(position).map(|other| other - at).product();
            share * inverse * numerator
        })
        .sum())
}
