//! Everything that leaves the tabs and everything that the aggregator stores or logs, searched for
//! what must not be there; and the same checks with it put there, which must fail.

mod evidence;
mod net_log;
mod patterns;

use super::counts::Counts;
use crate::demo;
use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::progress::Step;
use choir_shared::ids::{ClientIndex, SignatureBytes};
use choir_shared::leak::{self, Detector};
use choir_shared::messages::{ClientMessage, Upload};
use choir_shared::wire;
use evidence::{Evidence, Round, bytes_of};
use patterns::Patterns;

/// Runs two rounds and looks through them, one counted check for each question.
pub(super) fn run(paths: &Paths, counts: &mut Counts) {
    eprintln!("  three tabs, two rounds of the same update, a restart, all of it kept");
    let witnessed = demo::witness(paths);
    let evidence = match &witnessed {
        Ok(witnessed) => Evidence::read(witnessed),
        Err(_) => Err(Failure::Check(
            "there is nothing to look through".to_owned(),
        )),
    };
    counts.check(
        "workerd is killed in mid-round, the round goes on from storage, its sum is the plain one",
        witnessed,
    );
    let evidence = match evidence {
        Ok(evidence) => evidence,
        Err(failure) => {
            counts.check::<()>("what left the tabs was written down", Err(failure));
            return;
        }
    };
    let mut step = |name: &str, check: &dyn Fn() -> Outcome<String>| {
        let step = Step::start(name);
        let ended = check();
        if let Ok(remark) = &ended {
            step.done(remark);
        }
        counts.check(name, ended);
    };
    step(
        "no page asks another host, no connection leaves this machine",
        &|| net_log::check(&evidence.folder),
    );
    step("after the restart every tab resumed", &|| {
        resumed(&evidence)
    });
    step("the copies of mid-round hold the masked sums", &|| {
        mid_round(&evidence)
    });
    let search = Search::new(&evidence);
    step(
        "no text, no token ids, no plain update in what left or was stored",
        &|| nothing_plain(&evidence, &search),
    );
    step("the same search finds what is put there", &|| {
        finds_what_is_put_there(&evidence, &search)
    });
    step(
        "the same update under fresh masks agrees by chance only",
        &|| fresh_masks(&evidence),
    );
    step(
        "the same comparison notices a mask that is used twice",
        &|| notices_reuse(&evidence),
    );
}

/// What must not be there.
struct Search {
    /// One detector for each round, so that only one needs much memory at a time to make.
    updates: Vec<Detector>,
    words: Patterns,
}

impl Search {
    fn new(evidence: &Evidence) -> Self {
        let updates = evidence
            .rounds
            .iter()
            .map(|round| {
                let plain: Vec<leak::Plain<'_>> = round
                    .tabs
                    .iter()
                    .map(|tab| leak::Plain {
                        words: &tab.words,
                        values: &tab.values,
                    })
                    .collect();
                Detector::new(&plain)
            })
            .collect();
        let mut words = Patterns::default();
        for text in &evidence.texts {
            words.add_text(text);
        }
        for tab in &evidence.rounds[0].tabs {
            for row in &tab.rows {
                words.add_tokens(row);
            }
        }
        Self { updates, words }
    }

    /// What is found in there, if anything.
    fn find(&self, content: &[u8]) -> Option<String> {
        let leak = self
            .updates
            .iter()
            .find_map(|detector| detector.find(content).first().copied());
        leak.map(|leak| format!("{leak:?}"))
            .or_else(|| self.words.find(content).map(str::to_owned))
    }
}

fn nothing_plain(evidence: &Evidence, search: &Search) -> Outcome<String> {
    let mut bytes = 0;
    for (name, content) in &evidence.contents {
        bytes += content.len();
        if let Some(found) = search.find(content) {
            return Err(Failure::Check(format!("{name}: {found}")));
        }
    }
    Ok(format!(
        "{} files, {bytes} bytes, {} texts, {} updates",
        evidence.contents.len(),
        evidence.texts.len(),
        evidence
            .rounds
            .iter()
            .map(|round| round.tabs.len())
            .sum::<usize>(),
    ))
}

/// The negative controls: each is one more thing recorded, and the search must fail for it.
fn finds_what_is_put_there(evidence: &Evidence, search: &Search) -> Outcome<String> {
    let tab = &evidence.rounds[1].tabs[2];
    let text = evidence.texts.iter().max_by_key(|text| text.len());
    let (Some(text), Some(row)) = (text, tab.rows.iter().max_by_key(|row| row.len())) else {
        return Err(Failure::Check("there are no texts".to_owned()));
    };
    let unmasked = wire::encode(&Upload {
        round: evidence.rounds[1].id,
        index: ClientIndex(2),
        signature: SignatureBytes([9; 64]),
        words: &bytes_of(&tab.words),
    });
    let some = &tab.values[tab.values.len() / 2..][..64];
    let halves = some.iter().map(|value| leak::encodings::half(*value));
    let decimals: Vec<String> = some.iter().map(f32::to_string).collect();
    let controls: [(&str, Vec<u8>); 8] = [
        ("an upload without its mask", unmasked),
        (
            "values as f32",
            tab.values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
        (
            "values as f16, big-endian",
            halves.flat_map(u16::to_be_bytes).collect(),
        ),
        ("values in decimal", decimals.join(",").into_bytes()),
        ("packed words", leak::encodings::pack(&tab.words, 24)),
        ("a text in a log", format!("log: {text}\n").into_bytes()),
        (
            "a text in UTF-16",
            text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
        (
            "token ids as u16",
            row.iter()
                .flat_map(|id| (*id as u16).to_le_bytes())
                .collect(),
        ),
    ];
    let sent = &evidence.contents[0].1;
    for (name, control) in &controls {
        let recorded = [&sent[..], control, &sent[..]].concat();
        if search.find(&recorded).is_none() {
            return Err(Failure::Check(format!("{name} is not found")));
        }
    }
    Ok(format!("{} controls", controls.len()))
}

/// The same plain update in both rounds, and masked vectors that have nothing in common.
fn fresh_masks(evidence: &Evidence) -> Outcome<String> {
    let [one, other] = &evidence.rounds;
    for (tab, (one, other)) in one.tabs.iter().zip(&other.tabs).enumerate() {
        if one.values != other.values {
            return Err(Failure::Check(format!("tab {tab} made another update")));
        }
        independent(&one.masked, &other.masked)?;
    }
    // Tabs of one round have masks in common, with opposite signs.
    for round in [one, other] {
        independent(&round.tabs[0].masked, &round.tabs[1].masked)?;
    }
    Ok(format!("{} words each", one.tabs[0].words.len()))
}

fn notices_reuse(evidence: &Evidence) -> Outcome<String> {
    let [one, other] = &evidence.rounds;
    let tab = &one.tabs[0];
    for another in [&other.tabs[0], &one.tabs[1]] {
        // The mask of the first round on the second round's words, and on another tab's.
        let reused: Vec<u32> = words_of(&tab.masked)
            .zip(tab.words.iter().zip(&another.words))
            .map(|(masked, (plain, another))| masked.wrapping_sub(*plain).wrapping_add(*another))
            .collect();
        if independent(&tab.masked, &bytes_of(&reused)).is_ok() {
            return Err(Failure::Check(
                "a mask used twice is not noticed".to_owned(),
            ));
        }
    }
    Ok(String::new())
}

fn independent(one: &[u8], other: &[u8]) -> Outcome<()> {
    if one.len() == other.len() && !leak::agrees_beyond_chance(one, other) {
        return Ok(());
    }
    Err(Failure::Check(
        "two masked vectors agree at more places than by chance".to_owned(),
    ))
}

/// Each tab sent RESUME in the second round and none in the first.
fn resumed(evidence: &Evidence) -> Outcome<String> {
    let [one, other] = &evidence.rounds;
    for (name, sent) in &evidence.contents[..other.tabs.len()] {
        let resumes = |round: &Round| {
            let message = wire::encode(&ClientMessage::Resume {
                round: round.id,
                index: ClientIndex(0),
                counter: 0,
                signature: SignatureBytes([0; 64]),
            });
            // Version, variant and round: the rest differs from message to message.
            let head = &message[..2 + round.id.0.len()];
            sent.windows(head.len()).any(|window| window == head)
        };
        if resumes(one) || !resumes(other) {
            return Err(Failure::Check(format!("{name} has no resumption")));
        }
    }
    Ok(String::new())
}

/// The aggregator's state was copied when it had something to hide.
fn mid_round(evidence: &Evidence) -> Outcome<String> {
    let [one, other] = &evidence.rounds;
    // The first tab's upload was kept back in the second round.
    let sums = [("state-unsigned", one, 0), ("state-collecting", other, 1)];
    for (folder, round, first) in sums {
        let sum = bytes_of(&masked_sum(round, first));
        let held = evidence
            .contents
            .iter()
            .filter(|(name, _)| name.starts_with(folder))
            .any(|(_, content)| {
                // A database cuts long values into pages; most runs of 64 bytes stay whole.
                sum.chunks_exact(64)
                    .take(32)
                    .any(|run| content.windows(run.len()).any(|window| window == run))
            });
        if !held {
            return Err(Failure::Check(format!("{folder} has no masked sum")));
        }
    }
    Ok(String::new())
}

fn masked_sum(round: &Round, first: usize) -> Vec<u32> {
    let mut sum = vec![0u32; round.tabs[0].words.len()];
    for tab in &round.tabs[first..] {
        for (total, word) in sum.iter_mut().zip(words_of(&tab.masked)) {
            *total = total.wrapping_add(word);
        }
    }
    sum
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let words = bytes.chunks_exact(4);
    words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}
