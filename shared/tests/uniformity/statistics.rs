//! Tests of randomness, and of their p-values.
//!
//! Chi-square over the bytes of each lane with 255 degrees of freedom; runs of equal bits (NIST SP
//! 800-22, section 2.3); serial correlation at lags 1 to 64 and correlation between vectors, which
//! are normal with variance 1/n for uniform values; Kolmogorov and Smirnov's test of the p-values,
//! with Stephens' correction for small samples.

use choir_shared::secure_sum::Ring;

const LAGS: usize = 64;

/// How often each byte is in each lane of a word.
pub(crate) type Counts = Vec<[u64; 256]>;

pub(crate) struct Suite {
    ring: Ring,
    families: [(&'static str, Vec<f64>); 7],
    previous: Vec<Vec<u32>>,
}

impl Suite {
    pub(crate) fn new(ring: Ring) -> Self {
        let families = [
            "bytes",
            "runs",
            "serial correlation",
            "correlation of clients",
            "correlation of sessions",
            "sums of clients",
            "differences of sessions",
        ];
        Self {
            ring,
            families: families.map(|family| (family, Vec::new())),
            previous: Vec::new(),
        }
    }

    pub(crate) fn no_counts(&self) -> Counts {
        vec![[0; 256]; usize::from(self.ring.bits() / 8)]
    }

    pub(crate) fn count(&self, counts: &mut Counts, words: &[u32]) {
        for word in words {
            let bytes = word.to_le_bytes();
            for (lane, byte) in counts.iter_mut().zip(bytes) {
                lane[usize::from(byte)] += 1;
            }
        }
    }

    /// The vectors of one session, one of each client.
    pub(crate) fn add(&mut self, vectors: &[Vec<u32>]) {
        for vector in vectors {
            let p = self.bytes(vector);
            self.families[0].1.extend(p);
            let p = self.runs(vector);
            self.families[1].1.push(p);
        }
        let centred: Vec<Vec<f64>> = vectors.iter().map(|vector| self.centred(vector)).collect();
        for lag in 1..=LAGS {
            let p = correlation(&centred[0], &centred[0][lag..]);
            self.families[2].1.push(p);
        }
        for (place, one) in centred.iter().enumerate() {
            for other in &centred[place + 1..] {
                self.families[3].1.push(correlation(one, other));
            }
        }
        // In the sum the pair masks cancel: only the self masks are left.
        let mut sum = vec![0u32; vectors[0].len()];
        for vector in vectors {
            for (total, word) in sum.iter_mut().zip(vector) {
                *total = total.wrapping_add(*word) & self.ring.mask();
            }
        }
        let p = self.bytes(&sum);
        self.families[5].1.extend(p);
        for (now, before) in vectors.iter().zip(&self.previous) {
            let p = correlation(&self.centred(now), &self.centred(before));
            self.families[4].1.push(p);
            let difference: Vec<u32> = now
                .iter()
                .zip(before)
                .map(|(now, before)| now.wrapping_sub(*before) & self.ring.mask())
                .collect();
            let p = self.bytes(&difference);
            self.families[6].1.extend(p);
        }
        self.previous = vectors.to_vec();
    }

    /// For each family the p-value of its p-values.
    pub(crate) fn verdict(self) -> Vec<(&'static str, f64)> {
        self.families
            .into_iter()
            .map(|(family, p)| (family, kolmogorov_smirnov(p)))
            .collect()
    }

    fn bytes(&self, words: &[u32]) -> Vec<f64> {
        let mut counts = self.no_counts();
        self.count(&mut counts, words);
        let expected = words.len() as f64 / 256.0;
        let lane = |lane: &[u64; 256]| {
            let terms = lane.iter().map(|&seen| {
                let off = seen as f64 - expected;
                off * off / expected
            });
            chi_square(terms.sum(), 255.0)
        };
        counts.iter().map(lane).collect()
    }

    fn runs(&self, words: &[u32]) -> f64 {
        let bits = u32::from(self.ring.bits());
        let n = f64::from(bits) * words.len() as f64;
        let (mut ones, mut runs, mut last) = (0u64, 1u64, words[0] & 1);
        for word in words {
            // Neighbours within the word, then across to the next one.
            let inside = (word ^ (word >> 1)) & (self.ring.mask() >> 1);
            ones += u64::from(word.count_ones());
            runs += u64::from(inside.count_ones()) + u64::from((word & 1) != last);
            last = (word >> (bits - 1)) & 1;
        }
        let share = ones as f64 / n;
        let spread = share * (1.0 - share);
        libm::erfc((runs as f64 - 2.0 * n * spread).abs() / (2.0 * (2.0 * n).sqrt() * spread))
    }

    /// Values with mean 0 and variance 1, if they are uniform.
    fn centred(&self, words: &[u32]) -> Vec<f64> {
        let top = f64::from(self.ring.mask());
        words
            .iter()
            .map(|&word| (f64::from(word) / top - 0.5) * 12f64.sqrt())
            .collect()
    }
}

fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let n = one.len().min(other.len()) as f64;
    let sum: f64 = one.iter().zip(other).map(|(a, b)| a * b).sum();
    libm::erfc((sum / n.sqrt()).abs() / 2f64.sqrt())
}

/// Whether two sets of counts are of one distribution: a p-value for each lane.
pub(crate) fn two_sample(one: &Counts, other: &Counts) -> Vec<f64> {
    let lane = |(one, other): (&[u64; 256], &[u64; 256])| {
        let total = |counts: &[u64; 256]| counts.iter().sum::<u64>() as f64;
        let (a, b) = (total(one), total(other));
        let (mut statistic, mut classes) = (0.0, -1.0);
        for (&x, &y) in one.iter().zip(other) {
            if x + y > 0 {
                let off = x as f64 * (b / a).sqrt() - y as f64 * (a / b).sqrt();
                statistic += off * off / (x + y) as f64;
                classes += 1.0;
            }
        }
        chi_square(statistic, classes)
    };
    one.iter().zip(other).map(lane).collect()
}

/// The chance of a chi-square of this or more: the regularised incomplete gamma function Q, by its
/// series below the mean and by Lentz's continued fraction above (Numerical Recipes, section 6.2).
fn chi_square(statistic: f64, degrees: f64) -> f64 {
    let (a, x) = (degrees / 2.0, statistic / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let scale = libm::exp(a * x.ln() - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - sum * scale;
    }
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    scale * fraction
}

/// The chance that as many uniform values lie as far from uniform as these.
fn kolmogorov_smirnov(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let far = |(place, value): (usize, &f64)| {
        let place = place as f64;
        (value - place / n).max((place + 1.0) / n - value)
    };
    let distance = values.iter().enumerate().map(far).fold(0.0, f64::max);
    let root = n.sqrt();
    let lambda = (root + 0.12 + 0.11 / root) * distance;
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |j: i32| {
        let odd = j % 2 == 1;
        let j = f64::from(j);
        let sign = if odd { 2.0 } else { -2.0 };
        sign * libm::exp(-2.0 * j * j * lambda * lambda)
    };
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[test]
fn chi_square_is_that_of_the_tables() {
    // Percentage points: 5 % at 3.841 (1), 18.307 (10), 293.248 (255); 99 % at 205.421 (255).
    for (statistic, degrees, p) in [
        (3.841, 1.0, 0.05),
        (18.307, 10.0, 0.05),
        (293.248, 255.0, 0.05),
        (205.421, 255.0, 0.99),
        (255.0, 255.0, 0.488),
    ] {
        assert!(
            (chi_square(statistic, degrees) - p).abs() < 5e-4,
            "{degrees}"
        );
    }
}

#[test]
fn kolmogorov_and_smirnov_tell_uniform_values_from_others() {
    let even: Vec<f64> = (0..1_000)
        .map(|at| (f64::from(at) + 0.5) / 1_000.0)
        .collect();
    assert!(kolmogorov_smirnov(even.clone()) > 0.99);
    let squared: Vec<f64> = even.iter().map(|value| value * value).collect();
    assert!(kolmogorov_smirnov(squared) < 1e-20);
    // Critical value 1.358 / sqrt(n) at 5 %.
    let shifted: Vec<f64> = even
        .iter()
        .map(|value| value + 1.358 / 1_000f64.sqrt())
        .collect();
    assert!((kolmogorov_smirnov(shifted) - 0.05).abs() < 0.01);
}
