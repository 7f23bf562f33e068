//! ROUGE-L of an answer (Lin 2004) as rouge_score computes it without stemming
//! (google-research/google-research:rouge/tokenize.py): over runs of the letters a to z and digits,
//! in lower case. Letters of other alphabets separate words there, and so they do here;
//! [`crate::metrics::words`] keeps them.

use crate::metrics;

/// The words of a text.
pub fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The F-measure of an answer: 1 for the same words, 0 without a common one.
pub fn rouge_l(answer: &str, reference: &str) -> f64 {
    metrics::rouge_l(&words(answer), &words(reference))
}

/// The mean of all answers' F-measures, each with its reference; none without an answer.
pub fn mean_rouge_l<'a>(answers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for (answer, reference) in answers {
        sum += rouge_l(answer, reference);
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    #[test]
    fn words_are_those_of_rouge_score() {
        assert_eq!(
            words("It's the Café, no. 42-b"),
            ["it", "s", "the", "caf", "no", "42", "b"]
        );
        // The sign for Kelvin becomes a k.
        assert_eq!(words("3\u{212a}"), ["3k"]);
        assert!(words("日本 ?").is_empty());
    }

    #[test]
    fn scores_equal_those_of_rouge_scores_own_tests() {
        // rouge/rouge_scorer_test.py: testRougeLConsecutive, testRougeLNonConsecutive, testRougeEmpty.
        near(rouge_l("testing one", "testing one two"), 4.0 / 5.0);
        near(rouge_l("testing two", "testing one two"), 4.0 / 5.0);
        near(rouge_l("", "testing one two"), 0.0);
        // In another order only one word is left.
        near(rouge_l("two testing", "testing one two"), 2.0 / 5.0);
        near(rouge_l("Testing, one: TWO!", "testing one two"), 1.0);
    }

    #[test]
    fn the_mean_is_over_answers() {
        let answers = [
            ("testing one", "testing one two"),
            ("no", "yes"),
            ("a", "a"),
        ];
        near(mean_rouge_l(answers).unwrap(), 0.6);
        assert_eq!(mean_rouge_l([]), None);
    }
}
