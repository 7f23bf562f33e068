//! Small vocabularies by hand, and stories260K's against run.c.

use super::*;

/// A vocabulary of the special tokens, the bytes, and these tokens with scores.
fn file(tokens: &[(&str, f32)]) -> (Vec<u8>, usize) {
    let special = ["<unk>", "\n<s>\n", "\n</s>\n"].map(str::to_owned);
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let plain = special.into_iter().chain(bytes).map(|piece| (piece, 0.0));
    let merged = tokens
        .iter()
        .map(|(piece, score)| ((*piece).to_owned(), *score));
    let mut bytes = 16u32.to_le_bytes().to_vec();
    let mut count = 0;
    for (piece, score) in plain.chain(merged) {
        bytes.extend_from_slice(&score.to_le_bytes());
        bytes.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        bytes.extend_from_slice(piece.as_bytes());
        count += 1;
    }
    (bytes, count)
}

fn tokenizer(tokens: &[(&str, f32)]) -> Llama2cTokenizer {
    let (bytes, count) = file(tokens);
    Llama2cTokenizer::read(&bytes, count).unwrap()
}

const FIRST: u32 = 259;
const TOKENS: &[(&str, f32)] = &[
    (" ", -9.0),
    ("a", -9.0),
    ("b", -9.0),
    ("c", -9.0),
    ("ab", -2.0),
    ("bc", -1.0),
    (" a", -3.0),
    ("abc", -4.0),
    ("aa", -5.0),
    ("é", -9.0),
];

#[test]
fn the_best_score_is_merged_first_and_of_equals_the_leftmost() {
    let tokenizer = tokenizer(TOKENS);
    let [space, a, b, bc, space_a, abc, aa] = [0, 1, 2, 5, 6, 7, 8].map(|index| FIRST + index);
    // "bc" scores more than "ab" and than " a", and then " a" more than "abc".
    assert_eq!(tokenizer.encode("abc", false), [space_a, bc]);
    assert_eq!(tokenizer.encode("abc", true), [BEGIN, space_a, bc]);
    // "aa" and a, not a and "aa"; "aa" twice, not a, "aa", a.
    assert_eq!(tokenizer.encode("baaa", false), [space, b, aa, a]);
    assert_eq!(tokenizer.encode("baaaa", false), [space, b, aa, aa]);
    assert_eq!(tokenizer.encode("babc", false), [space, b, abc]);
}

#[test]
fn an_empty_text_has_no_space_in_front() {
    let tokenizer = tokenizer(TOKENS);
    assert!(tokenizer.encode("", false).is_empty());
    assert_eq!(tokenizer.encode("", true), [BEGIN]);
}

#[test]
fn code_points_that_are_no_token_become_bytes() {
    let tokenizer = tokenizer(TOKENS);
    let [space, e] = [FIRST, FIRST + 9];
    assert_eq!(
        tokenizer.encode("é€\0", false),
        [space, e, 0xe2 + 3, 0x82 + 3, 0xac + 3, 3]
    );
}

#[test]
fn decoding_undoes_encoding() {
    let tokenizer = tokenizer(TOKENS);
    for text in ["abc", " abc", "  a", "é€🙂", "b\0c", ""] {
        let tokens = tokenizer.encode(text, true);
        assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
        let spaced = tokenizer.decode(&tokens[1..]).unwrap();
        assert_eq!(spaced.strip_prefix(' ').unwrap_or_default(), text);
    }
}

#[test]
fn a_code_point_goes_out_when_it_is_complete() {
    let tokenizer = tokenizer(TOKENS);
    let mut decoder = tokenizer.decoder(None);
    let a = FIRST + 1;
    let pushed = [0xe2, 0x82, 0xac, 0xf0, 0x9f].map(|byte| decoder.push(byte + 3).unwrap());
    assert_eq!(pushed, ["", "", "€", "", ""]);
    // Another token comes before the code point is complete.
    assert_eq!(decoder.push(a).unwrap(), "\u{fffd}a");
    assert_eq!(decoder.push(0xc3 + 3).unwrap(), "");
    assert_eq!(decoder.finish(), "\u{fffd}");
    assert_eq!(decoder.push(0xff + 3).unwrap(), "\u{fffd}");
    assert_eq!(decoder.push(0xc3 + 3).unwrap(), "");
    assert_eq!(decoder.push(END).unwrap(), "\u{fffd}");
}

#[test]
fn only_the_space_after_the_beginning_is_left_out() {
    let tokenizer = tokenizer(TOKENS);
    let space_a = FIRST + 6;
    assert_eq!(tokenizer.decode(&[space_a, space_a]).unwrap(), " a a");
    assert_eq!(tokenizer.decode(&[BEGIN, space_a, space_a]).unwrap(), "a a");
    let mut decoder = tokenizer.decoder(Some(BEGIN));
    assert_eq!(decoder.push(space_a).unwrap(), "a");
}

#[test]
fn files_of_another_vocabulary_are_refused() {
    let (bytes, count) = file(TOKENS);
    let read = |bytes: &[u8], count| Llama2cTokenizer::read(bytes, count).map(|_| ());
    assert_eq!(read(&bytes, 258), Err(TokenizerError::SmallVocabulary(258)));
    assert_eq!(
        read(&bytes, count + 1),
        Err(TokenizerError::Truncated(count))
    );
    assert_eq!(
        read(&bytes, count - 1),
        Err(TokenizerError::TrailingBytes(10))
    );
    assert_eq!(
        read(&bytes[..bytes.len() - 1], count),
        Err(TokenizerError::Truncated(count - 1))
    );
    let mut long = bytes;
    long[8] = 17;
    assert!(matches!(
        read(&long, count),
        Err(TokenizerError::TokenLength {
            token: 0,
            bytes: 17,
            longest: 16
        })
    ));
}

#[test]
fn tokens_outside_of_the_vocabulary_are_refused() {
    let tokenizer = tokenizer(TOKENS);
    assert_eq!(
        tokenizer.decode(&[269]),
        Err(TokenizerError::NoSuchToken {
            token: 269,
            vocabulary: 269
        })
    );
}

/// What run.c of commit 350e04f encodes with stories260K's vocabulary, after [`BEGIN`].
const OF_RUN_C: &[(&str, &[u32])] = &[
    ("", &[]),
    (
        "Once upon a time, there was a little girl named Lily.",
        &[
            403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426,
        ],
    ),
    ("Hello, world!", &[346, 306, 414, 432, 263, 304, 341, 443]),
    (
        " two  spaces \n\nand lines\n",
        &[
            410, 259, 424, 414, 410, 262, 427, 412, 331, 419, 410, 13, 13, 412, 264, 278, 271, 406,
            13,
        ],
    ),
    (
        "café 日本 🙂",
        &[
            280, 412, 431, 485, 410, 233, 154, 168, 233, 159, 175, 410, 243, 162, 156, 133,
        ],
    ),
    (
        "1234567890",
        &[410, 475, 479, 472, 484, 480, 490, 491, 487, 483, 477],
    ),
    (
        "aaaaaaaaaaa",
        &[261, 412, 412, 412, 412, 412, 412, 412, 412, 412, 412],
    ),
    (
        "<0x41><s>",
        &[410, 504, 477, 444, 484, 475, 505, 504, 419, 505],
    ),
];

#[test]
fn stories260k_is_encoded_as_by_run_c() {
    let Some(shared) = std::env::var_os("CHOIR_SHARED") else {
        println!("skipped: CHOIR_SHARED names no folder with models/stories260K/tok512.bin");
        return;
    };
    let shared = std::path::PathBuf::from(shared);
    let bytes = std::fs::read(shared.join("models/stories260K/tok512.bin")).unwrap();
    let tokenizer = Llama2cTokenizer::read(&bytes, 512).unwrap();
    for (text, expected) in OF_RUN_C {
        let tokens = tokenizer.encode(text, true);
        assert_eq!(tokens[0], BEGIN);
        assert_eq!(tokens[1..], **expected, "{text:?}");
        assert_eq!(tokenizer.decode(&tokens).unwrap(), *text);
    }
    // The first 20,000 bytes of tinyshakespeare, whose tokens were summed up in C.
    let text = std::fs::read_to_string(shared.join("data/tinyshakespeare/input.txt")).unwrap();
    let tokens = tokenizer.encode(&text[..20_000], true);
    let sum = tokens.iter().fold(0u64, |sum, token| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*token))
    });
    assert_eq!((tokens.len(), sum), (12_384, 17_864_986_476_816_461_787));
    assert_eq!(tokenizer.decode(&tokens).unwrap(), text[..20_000]);
}
