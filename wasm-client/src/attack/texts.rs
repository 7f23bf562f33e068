//! The texts of an attack: those that are under attack, and those that the attacker knows because
//! their like is public. The attacker's prior knowledge is made of the latter alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use choir_shared::sim::random::Stream;
use tokenizers::Tokenizer;

use super::AttackError;
use crate::metrics;
use crate::native::base::Base;
use crate::native::data::Table;

/// A text in every form that an attack needs.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// Its words, as they are scored.
    pub(super) words: Vec<String>,
    /// Token ids, special tokens included.
    pub(super) tokens: Vec<u32>,
    /// Its class.
    pub(super) label: u32,
}

/// Reads texts of at most `longest` tokens, in a seeded order.
pub(super) fn read(
    path: &Path,
    labels: &[String],
    base: &Base,
    longest: usize,
    seed: u64,
) -> Result<Vec<Text>, AttackError> {
    let table = Table::read(path, labels)?;
    let (tokens, _) = base.tokenize(&table.texts, usize::MAX)?;
    let mut texts: Vec<Text> = table
        .texts
        .iter()
        .zip(tokens)
        .zip(table.labels)
        .map(|((text, tokens), label)| Text {
            words: metrics::words(text),
            tokens,
            label,
        })
        .filter(|text| (4..=longest).contains(&text.tokens.len()))
        .collect();
    Stream::new(seed, "texts").shuffle(&mut texts);
    Ok(texts)
}

/// What an attacker knows of such texts beforehand.
#[derive(Clone, Debug)]
pub(super) struct Prior {
    /// Words by how many texts have them, the most frequent first.
    words: Vec<String>,
    /// Tokens that occur, special ones left out.
    pub(super) tokens: Vec<u32>,
    /// Log of the share of texts that have each of them.
    pub(super) log_share: Vec<f64>,
    /// Whether a token is part of a word, and not punctuation.
    pub(super) is_word: Vec<bool>,
}

impl Prior {
    /// Counts the words and tokens of public texts.
    pub(super) fn of(texts: &[Text], decoder: &Decoder) -> Self {
        let mut word_counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut token_counts: BTreeMap<u32, usize> = BTreeMap::new();
        for text in texts {
            for word in text
                .words
                .iter()
                .map(String::as_str)
                .collect::<BTreeSet<_>>()
            {
                *word_counts.entry(word).or_default() += 1;
            }
            let inner = text
                .tokens
                .get(1..text.tokens.len() - 1)
                .unwrap_or_default();
            for &token in inner.iter().collect::<BTreeSet<_>>() {
                *token_counts.entry(token).or_default() += 1;
            }
        }
        let mut words: Vec<(&str, usize)> = word_counts.into_iter().collect();
        // Stable: words that are as frequent stay in the order of the alphabet.
        words.sort_by_key(|(_, count)| core::cmp::Reverse(*count));
        let total = texts.len().max(1) as f64;
        let tokens: Vec<u32> = token_counts.keys().copied().collect();
        Self {
            words: words.into_iter().map(|(word, _)| word.to_owned()).collect(),
            log_share: token_counts
                .values()
                .map(|count| (*count as f64 / total).ln())
                .collect(),
            is_word: tokens.iter().map(|token| decoder.is_word(*token)).collect(),
            tokens,
        }
    }

    /// The guess of somebody who has seen no update: the most frequent words, as many as a text of
    /// `tokens` tokens has at most.
    pub(super) fn frequent_words(&self, tokens: usize) -> Vec<String> {
        let count = tokens.saturating_sub(2).min(self.words.len());
        self.words[..count].to_vec()
    }
}

/// From token ids back to words.
pub(super) struct Decoder(Tokenizer);

impl Decoder {
    /// Reads `tokenizer.json`.
    pub(super) fn read(path: &Path) -> Result<Self, AttackError> {
        Tokenizer::from_file(path)
            .map(Self)
            .map_err(|error| AttackError::Data(format!("{}: {error}", path.display())))
    }

    /// The words of a sequence, special tokens left out. Pieces of words are joined.
    pub(super) fn words(&self, tokens: &[u32]) -> Vec<String> {
        let mut text = String::new();
        for piece in tokens.iter().filter_map(|token| self.0.id_to_token(*token)) {
            if is_special(&piece) {
                continue;
            }
            match piece.strip_prefix("##") {
                Some(rest) => text.push_str(rest),
                None => {
                    text.push(' ');
                    text.push_str(&piece);
                }
            }
        }
        metrics::words(&text)
    }

    fn is_word(&self, token: u32) -> bool {
        self.0
            .id_to_token(token)
            .is_some_and(|piece| !is_special(&piece) && piece.contains(char::is_alphanumeric))
    }
}

/// `[CLS]`, `[SEP]`, `[unused7]` and the like.
fn is_special(piece: &str) -> bool {
    piece.starts_with('[') && piece.ends_with(']') && piece.len() > 2
}
