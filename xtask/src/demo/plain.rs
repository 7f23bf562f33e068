//! Plain words of updates, as an observe build writes them, and their sum.

use crate::failure::{AtPath, Outcome};
use std::fs;
use std::path::PathBuf;

/// Little-endian words.
pub(super) fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect()
}

/// The wrapping sum of the words in these files.
///
/// # Errors
/// `File` where one cannot be read.
pub(super) fn sum<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Outcome<Vec<u32>> {
    let mut sum: Vec<u32> = Vec::new();
    for file in files {
        let plain = words(&fs::read(file).at(file)?);
        sum.resize(plain.len().max(sum.len()), 0);
        for (total, word) in sum.iter_mut().zip(plain) {
            *total = total.wrapping_add(word);
        }
    }
    Ok(sum)
}
