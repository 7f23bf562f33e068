//! How alike two texts are: ROUGE-N and ROUGE-L (Lin 2004), and whether they are the same.
//!
//! A text is the list of its words: runs of letters and digits, in lower case. Punctuation and
//! special tokens do not count, nothing is stemmed. Each score is the F1 of precision and recall.

use std::collections::BTreeMap;

/// The words of a text.
pub fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// F1 of the runs of `n` words that two texts have in common, each as often as in both. It is 0
/// where one of them has no such run.
pub fn rouge_n<S: AsRef<str>>(candidate: &[S], reference: &[S], n: usize) -> f64 {
    let (candidate, reference) = (runs(candidate, n), runs(reference, n));
    let common: usize = candidate
        .iter()
        .map(|(run, count)| reference.get(run).map_or(0, |other| *count.min(other)))
        .sum();
    f1(
        common,
        candidate.values().sum::<usize>(),
        reference.values().sum::<usize>(),
    )
}

/// F1 of the longest sequence of words that two texts have in common in the same order.
pub fn rouge_l<S: AsRef<str>>(candidate: &[S], reference: &[S]) -> f64 {
    let mut row = vec![0usize; reference.len() + 1];
    for word in candidate {
        let mut diagonal = 0;
        for (place, other) in reference.iter().enumerate() {
            let above = row[place + 1];
            row[place + 1] = if word.as_ref() == other.as_ref() {
                diagonal + 1
            } else {
                above.max(row[place])
            };
            diagonal = above;
        }
    }
    f1(row[reference.len()], candidate.len(), reference.len())
}

/// Whether two texts have the same words in the same order.
pub fn exact_match<S: AsRef<str>>(candidate: &[S], reference: &[S]) -> bool {
    candidate.len() == reference.len()
        && candidate
            .iter()
            .zip(reference)
            .all(|(a, b)| a.as_ref() == b.as_ref())
}

fn runs<S: AsRef<str>>(words: &[S], n: usize) -> BTreeMap<Vec<&str>, usize> {
    let mut counts = BTreeMap::new();
    for run in words.windows(n.max(1)) {
        *counts
            .entry(run.iter().map(AsRef::as_ref).collect())
            .or_default() += 1;
    }
    counts
}

fn f1(common: usize, candidate: usize, reference: usize) -> f64 {
    if common == 0 {
        return 0.0;
    }
    2.0 * common as f64 / (candidate + reference) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    #[test]
    fn words_are_lower_case_letters_and_digits() {
        assert_eq!(
            words("Where's my CARD, no. 42?"),
            ["where", "s", "my", "card", "no", "42"]
        );
        assert!(words(" ?! ").is_empty());
    }

    #[test]
    fn scores_equal_those_computed_by_hand() {
        // Five of six words in common: "the" twice, cat, on, mat.
        let candidate = words("the cat sat on the mat");
        let reference = words("the cat is on the mat");
        near(rouge_n(&candidate, &reference, 1), 5.0 / 6.0);
        // Three of five pairs: the cat, on the, the mat.
        near(rouge_n(&candidate, &reference, 2), 3.0 / 5.0);
        near(rouge_l(&candidate, &reference), 5.0 / 6.0);
        // Lin 2004, section 3: the words in common are police, the, gunman; in order only two.
        let turned = words("the gunman kill police");
        let reference = words("police killed the gunman");
        near(rouge_n(&turned, &reference, 1), 0.75);
        near(rouge_l(&turned, &reference), 0.5);
        // Precision 2/2, recall 2/4.
        near(rouge_n(&words("the gunman"), &reference, 1), 2.0 / 3.0);
    }

    #[test]
    fn a_word_counts_as_often_as_both_have_it() {
        let candidate = words("card card card card");
        near(
            rouge_n(&candidate, &words("my card and your card"), 1),
            4.0 / 9.0,
        );
    }

    #[test]
    fn texts_without_common_words_score_nothing() {
        let none: Vec<String> = Vec::new();
        near(rouge_n(&none, &none, 1), 0.0);
        near(rouge_n(&words("a"), &words("b"), 1), 0.0);
        near(rouge_n(&words("a b"), &words("a"), 2), 0.0);
        near(rouge_l(&none, &words("a")), 0.0);
    }

    #[test]
    fn only_the_same_words_in_the_same_order_match() {
        assert!(exact_match(&words("My card!"), &words("my card")));
        assert!(!exact_match(&words("card my"), &words("my card")));
        assert!(!exact_match(&words("my"), &words("my card")));
    }
}
