//! The model's own tokenizer: byte-level BPE (Sennrich et al. 2016; Radford et al. 2019, section
//! 2.2), trained on its corpus and written as `tokenizer.json`.

use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, TokenizerBuilder};

use super::PretrainError;

/// Stands before each document and after the last; its id is 0.
pub(crate) const SEPARATOR: &str = "<|endoftext|>";

/// Learns so many pieces from the documents.
pub(crate) fn train(documents: &[String], pieces: usize) -> Result<Tokenizer, PretrainError> {
    let refused = |error: tokenizers::Error| PretrainError::Tokenizer(error.to_string());
    let byte_level = ByteLevel::new(false, true, true);
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(pieces)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(SEPARATOR, true)])
        .build();
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(Some(ByteLevel::new(false, false, true)))
        .with_decoder(Some(ByteLevel::default()))
        .build()
        .map_err(refused)?;
    tokenizer
        .train(&mut trainer, documents.iter().map(String::as_str))
        .map_err(refused)?;
    Ok(tokenizer.into())
}
