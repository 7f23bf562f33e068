//! Pairs by hand, and those of HH-RLHF's file.

use std::collections::BTreeSet;

use super::*;

fn line(chosen: &str, rejected: &str) -> String {
    serde_json::json!({ "chosen": chosen, "rejected": rejected }).to_string()
}

const PROMPT: &str = "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Why?\n\nSo?\n\nAssistant:";

#[test]
fn the_prompt_ends_with_the_last_heading_of_the_assistant() {
    let text = [
        line(&format!("{PROMPT} Thus."), &format!("{PROMPT} No\n\nidea.")),
        String::new(),
        line(&format!("{PROMPT} Thus."), &format!("{PROMPT} ")),
        line(
            &format!("{PROMPT} Thus."),
            "\n\nHuman: Ho\n\nAssistant: No.",
        ),
    ]
    .join("\n");
    let read = Preferences::read(&text).unwrap();
    let expected = Preference {
        prompt: PROMPT.to_owned(),
        chosen: " Thus.".to_owned(),
        rejected: " No\n\nidea.".to_owned(),
    };
    assert_eq!(read.pairs, [expected]);
    assert_eq!((read.different_prompts, read.blank_responses), (1, 1));
}

#[test]
fn the_turns_of_a_prompt_are_messages() {
    let pair = Preference {
        prompt: PROMPT.to_owned(),
        chosen: String::new(),
        rejected: String::new(),
    };
    assert_eq!(
        pair.messages(),
        [
            Message::new("user", "Hi"),
            Message::new("assistant", "Yes?"),
            Message::new("user", "Why?\n\nSo?")
        ]
    );
}

#[test]
fn other_lines_are_refused() {
    let good = line(
        "\n\nHuman: a\n\nAssistant: b",
        "\n\nHuman: a\n\nAssistant: c",
    );
    for (bad, numbered) in [
        ("{}".to_owned(), "line 3 cannot be read"),
        (line("Hello", "Hello"), "line 3 has a conversation without"),
        (line("\n\nAssistant: b", "\n\nAssistant: c"), "line 3 has"),
    ] {
        let text = format!("{good}\n\n{bad}\n");
        let error = Preferences::read(&text).unwrap_err().to_string();
        assert!(error.starts_with(numbered), "{error}");
    }
}

fn pair(first: usize, chosen: &str, rejected: &str) -> Preference {
    Preference {
        prompt: format!("\n\nHuman: {first}\n\nAssistant:"),
        chosen: chosen.to_owned(),
        rejected: rejected.to_owned(),
    }
}

#[test]
fn lengths_are_those_of_the_answers_alone() {
    let pairs = [
        pair(0, " ab", " abc"),
        pair(0, " é  ", "x"),
        pair(0, "a b", "abcd"),
        pair(0, "abcd", "abc"),
    ];
    let count = |length| {
        let found = shorter_is_chosen(&pairs, length);
        (found.right, found.tied, found.wrong)
    };
    assert_eq!(count(Length::Characters), (2, 1, 1));
    assert_eq!(count(Length::Words), (0, 3, 1));
}

#[test]
fn a_split_loses_nothing_and_keeps_conversations_together() {
    let pairs: Vec<Preference> = (0..200).map(|index| pair(index % 70, "a", "b")).collect();
    let split = PreferenceSplit::new(&pairs, 5, 60, 1).unwrap();
    assert!((60..64).contains(&split.held_out.len()));
    let parts = || split.clients.iter().chain([&split.held_out]);
    let mut all: Vec<usize> = parts().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
    let firsts: Vec<BTreeSet<usize>> = parts()
        .map(|part| part.iter().map(|index| index % 70).collect())
        .collect();
    assert_eq!(firsts.iter().map(BTreeSet::len).sum::<usize>(), 70);
    let sizes: Vec<usize> = split.clients.iter().map(Vec::len).collect();
    assert!(
        sizes.iter().all(|size| (24..=32).contains(size)),
        "{sizes:?}"
    );
    assert_eq!(PreferenceSplit::new(&pairs, 5, 60, 1).unwrap(), split);
    assert_ne!(PreferenceSplit::new(&pairs, 5, 60, 2).unwrap(), split);
}

#[test]
fn too_few_pairs_are_refused() {
    let pairs: Vec<Preference> = (0..10).map(|index| pair(index, "a", "b")).collect();
    assert_eq!(
        PreferenceSplit::new(&pairs, 0, 2, 1),
        Err(SplitError::NoClients)
    );
    assert!(PreferenceSplit::new(&pairs, 5, 5, 1).is_ok());
    for held_out in [6, 11] {
        assert_eq!(
            PreferenceSplit::new(&pairs, 5, held_out, 1),
            Err(SplitError::TooFew {
                pairs: 10,
                held_out,
                clients: 5
            })
        );
    }
}

/// The file unzipped, by the gzip that every machine with a shell has.
fn harmless_base() -> Option<String> {
    let Some(shared) = std::env::var_os("CHOIR_SHARED") else {
        println!("skipped: CHOIR_SHARED names no folder with data/hh_rlhf");
        return None;
    };
    let path = std::path::PathBuf::from(shared).join("data/hh_rlhf/harmless_base_test.jsonl.gz");
    let unzipped = std::process::Command::new("gzip")
        .arg("-dc")
        .arg(path)
        .output();
    match unzipped {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(error) => {
            println!("skipped: gzip cannot be run: {error}");
            None
        }
    }
}

#[test]
fn the_shorter_answer_of_hh_rlhf_is_chosen_more_often() {
    let Some(text) = harmless_base() else { return };
    let read = Preferences::read(&text).unwrap();
    assert_eq!(read.pairs.len(), 2_303);
    assert_eq!((read.different_prompts, read.blank_responses), (5, 4));
    for (length, expected) in [(Length::Characters, 0.5543), (Length::Words, 0.5599)] {
        let found = shorter_is_chosen(&read.pairs, length);
        let accuracy = found.accuracy().unwrap();
        println!("{length:?}: {found:?}, {accuracy:.4}");
        assert!((accuracy - expected).abs() < 5e-5, "{accuracy}");
    }
    let split = PreferenceSplit::new(&read.pairs, 5, 700, 1).unwrap();
    let sizes: Vec<usize> = split.clients.iter().map(Vec::len).collect();
    println!("clients {sizes:?}, held out {}", split.held_out.len());
    let held_out = split.held_out.iter().map(|index| &read.pairs[*index]);
    let found = shorter_is_chosen(held_out, Length::Characters);
    println!("held out: {found:?}, {:.4}", found.accuracy().unwrap());
    assert!(split.held_out.len() >= 700);
    for pair in &read.pairs {
        let messages = pair.messages();
        let user = |message: Option<&Message>| message.is_some_and(|m| m.role == "user");
        assert!(
            user(messages.first()) && user(messages.last()),
            "{}",
            pair.prompt
        );
    }
}
