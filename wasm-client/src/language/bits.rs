//! Bits per character: a language model's loss in a unit that does not depend on its tokens.
//!
//! A text's loss is the sum over its tokens of −ln p, in nats. Divided by ln 2 and by the number of
//! the text's characters (Unicode code points) it can be compared between vocabularies.

use core::f64::consts::LN_2;

/// Bits per character of texts whose losses sum to `nats`; none without characters.
pub fn bits_per_character(nats: f64, characters: usize) -> Option<f64> {
    (characters > 0).then(|| nats / LN_2 / characters as f64)
}

/// Number of characters of a text, as they count here.
pub fn characters(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_among_all_takes_the_bits_of_their_number() {
        // Three tokens of one in 16 over six characters: 3 · 4 / 6 bits.
        let nats = 3.0 * 16f64.ln();
        let bits = bits_per_character(nats, characters("añ€bcd")).unwrap();
        assert!((bits - 2.0).abs() < 1e-12, "{bits}");
        assert_eq!(bits_per_character(nats, 0), None);
    }
}
