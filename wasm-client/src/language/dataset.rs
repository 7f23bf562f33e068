//! Rows for a causal language model: tokens, and for each the token that should come next.
//!
//! Plain text is packed or cut into sliding windows; of a prompt with its response only the
//! response is scored.

use crate::engine::decoder::NOT_SCORED;

/// What rows cannot be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A row has room for no token.
    #[error("a row has room for no token")]
    NoContext,
    /// Windows that stand still, or that leave tokens out.
    #[error("a stride of {stride} is not in 1..={context}, the tokens of a window")]
    Stride {
        /// The stride.
        stride: usize,
        /// Tokens of a window.
        context: usize,
    },
    /// There is no token with another before it that should be predicted.
    #[error("no token of the response could be scored")]
    NothingScored,
}

/// A sequence for the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// What the model reads.
    pub tokens: Vec<u32>,
    /// For each of them the one that follows, or [`NOT_SCORED`].
    pub labels: Vec<u32>,
}

impl Row {
    /// All but the last of `sequence`, each with the next as its label.
    fn of(sequence: &[u32]) -> Self {
        let [tokens, labels] = match sequence {
            [] | [_] => [&[][..], &[]],
            [_, labels @ ..] => [&sequence[..labels.len()], labels],
        };
        Self {
            tokens: tokens.to_vec(),
            labels: labels.to_vec(),
        }
    }

    /// Number of labels that are scored.
    pub fn scored(&self) -> usize {
        let scored = |label: &&u32| **label != NOT_SCORED;
        self.labels.iter().filter(scored).count()
    }

    fn leave_unscored(&mut self, count: usize) {
        for label in self.labels.iter_mut().take(count) {
            *label = NOT_SCORED;
        }
    }
}

/// Documents in a row one after the other, cut every `context` tokens. A separator stands before
/// each document and after the last. Every token but the first separator is a label once; rows
/// pay no heed to where documents begin. Empty documents are left out.
///
/// # Errors
/// [`DatasetError::NoContext`].
pub fn pack<'a>(
    documents: impl IntoIterator<Item = &'a [u32]>,
    separator: u32,
    context: usize,
) -> Result<Vec<Row>, DatasetError> {
    if context == 0 {
        return Err(DatasetError::NoContext);
    }
    let mut stream = vec![separator];
    for document in documents
        .into_iter()
        .filter(|document| !document.is_empty())
    {
        stream.extend_from_slice(document);
        stream.push(separator);
    }
    Ok(windows(&stream, context, context))
}

/// Windows of `context` tokens, each `stride` further on. A label that an earlier window scored is
/// not scored again, so that every token but the first is scored once, with at least
/// `context − stride` tokens before it where there are as many.
///
/// # Errors
/// [`DatasetError::NoContext`], [`DatasetError::Stride`].
pub fn sliding(tokens: &[u32], context: usize, stride: usize) -> Result<Vec<Row>, DatasetError> {
    if context == 0 {
        return Err(DatasetError::NoContext);
    }
    if stride == 0 || stride > context {
        return Err(DatasetError::Stride { stride, context });
    }
    Ok(windows(tokens, context, stride))
}

fn windows(tokens: &[u32], context: usize, stride: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut start = 0usize;
    let mut done = 0;
    while done + 1 < tokens.len() {
        let end = start.saturating_add(context).min(tokens.len() - 1);
        let mut row = Row::of(&tokens[start..=end]);
        row.leave_unscored(done - start);
        rows.push(row);
        done = end;
        start += stride;
    }
    rows
}

/// A row whose response is scored. Where `prompt` and `response` do not fit, the prompt loses its
/// first tokens, and only then the response its last; `begin`, if any, stays in front.
///
/// # Errors
/// [`DatasetError::NoContext`]; [`DatasetError::NothingScored`] without a response, or with one of
/// a single token and nothing before it.
pub fn prompt_and_response(
    begin: Option<u32>,
    prompt: &[u32],
    response: &[u32],
    context: usize,
) -> Result<Row, DatasetError> {
    if context == 0 {
        return Err(DatasetError::NoContext);
    }
    // The last label is no token of the row. One token has to be before the response.
    let response = &response[..response.len().min(context)];
    let room = context.saturating_add(1) - response.len() - usize::from(begin.is_some());
    let prompt = &prompt[prompt.len().saturating_sub(room)..];
    let mut sequence: Vec<u32> = begin.into_iter().collect();
    sequence.extend_from_slice(prompt);
    let given = sequence.len();
    sequence.extend_from_slice(response);
    let mut row = Row::of(&sequence);
    row.leave_unscored(given.saturating_sub(1));
    if row.scored() == 0 {
        return Err(DatasetError::NothingScored);
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: u32 = NOT_SCORED;

    fn row(tokens: &[u32], labels: &[u32]) -> Row {
        Row {
            tokens: tokens.to_vec(),
            labels: labels.to_vec(),
        }
    }

    #[test]
    fn documents_are_packed_with_a_separator() {
        let documents: [&[u32]; 3] = [&[1, 2, 3], &[], &[4, 5]];
        assert_eq!(
            pack(documents, 0, 3).unwrap(),
            [
                row(&[0, 1, 2], &[1, 2, 3]),
                row(&[3, 0, 4], &[0, 4, 5]),
                row(&[5], &[0])
            ]
        );
        assert_eq!(pack([], 0, 3).unwrap(), []);
        assert_eq!(pack(documents, 0, 0), Err(DatasetError::NoContext));
    }

    #[test]
    fn a_window_scores_what_no_earlier_one_did() {
        assert_eq!(
            sliding(&[1, 2, 3, 4, 5, 6], 3, 2).unwrap(),
            [row(&[1, 2, 3], &[2, 3, 4]), row(&[3, 4, 5], &[NO, 5, 6])]
        );
        assert_eq!(sliding(&[1, 2], 3, 1).unwrap(), [row(&[1], &[2])]);
        assert_eq!(sliding(&[1], 3, 1).unwrap(), []);
        for stride in [0, 4] {
            assert_eq!(
                sliding(&[1, 2], 3, stride),
                Err(DatasetError::Stride { stride, context: 3 })
            );
        }
    }

    #[test]
    fn every_token_but_the_first_is_scored_once() {
        for count in 0..30u32 {
            let tokens: Vec<u32> = (0..count).collect();
            for context in 1..8 {
                for stride in 1..=context {
                    let rows = sliding(&tokens, context, stride).unwrap();
                    assert!(rows.iter().all(|row| row.tokens.len() <= context));
                    assert!(rows.iter().all(|row| row.scored() > 0));
                    let scored: Vec<u32> = rows
                        .iter()
                        .flat_map(|row| row.labels.clone())
                        .filter(|label| *label != NO)
                        .collect();
                    assert_eq!(scored, (1..count).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn only_the_response_is_scored() {
        let make = |begin, prompt: &[u32], response: &[u32], context| {
            prompt_and_response(begin, prompt, response, context)
        };
        assert_eq!(
            make(Some(1), &[5, 6], &[7, 8, 2], 10).unwrap(),
            row(&[1, 5, 6, 7, 8], &[NO, NO, 7, 8, 2])
        );
        assert_eq!(
            make(None, &[5], &[7, 2], 10).unwrap(),
            row(&[5, 7], &[7, 2])
        );
        // The first token of a response that nothing precedes is no label.
        assert_eq!(make(None, &[], &[7, 2], 10).unwrap(), row(&[7], &[2]));
        for response in [&[][..], &[7]] {
            assert_eq!(
                make(None, &[], response, 10),
                Err(DatasetError::NothingScored)
            );
        }
        assert_eq!(
            make(Some(1), &[5], &[], 10),
            Err(DatasetError::NothingScored)
        );
    }

    #[test]
    fn what_is_too_long_loses_the_prompts_left_first() {
        let make = |begin, context| prompt_and_response(begin, &[4, 5, 6], &[7, 8], context);
        assert_eq!(
            make(Some(1), 5).unwrap(),
            row(&[1, 4, 5, 6, 7], &[NO, NO, NO, 7, 8])
        );
        assert_eq!(
            make(Some(1), 4).unwrap(),
            row(&[1, 5, 6, 7], &[NO, NO, 7, 8])
        );
        assert_eq!(make(None, 2).unwrap(), row(&[6, 7], &[7, 8]));
        assert_eq!(make(Some(1), 2).unwrap(), row(&[1, 7], &[7, 8]));
        // Then the response, which keeps at least one token.
        assert_eq!(make(Some(1), 1).unwrap(), row(&[1], &[7]));
        assert_eq!(make(None, 1).unwrap(), row(&[6], &[7]));
        assert_eq!(make(None, 0), Err(DatasetError::NoContext));
    }
}
