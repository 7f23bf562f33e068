//! Plays split by speaker: the natural clients of the text that karpathy/char-rnn has as
//! `data/tinyshakespeare/input.txt`. Blank lines separate speeches; the first line of each is its
//! speaker's name with a colon.
//!
//! A name is a speaker: those that several plays have ("Messenger") are one.

use std::collections::BTreeMap;

/// What can be wrong with such a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpeakersError {
    /// A speech does not begin with a name.
    #[error("line {0} should be a speaker's name with a colon")]
    NoName(usize),
}

/// A speaker with enough to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// As the text has it, without the colon.
    pub name: String,
    /// The first speeches, in order.
    pub training: Vec<String>,
    /// The last speeches, about a fifth of all bytes.
    pub held_out: Vec<String>,
}

/// The speeches of each name, in order; names without a speech have none. Lines are joined by
/// `\n`, without one at the end.
///
/// # Errors
/// [`SpeakersError`].
pub fn speeches(text: &str) -> Result<BTreeMap<&str, Vec<String>>, SpeakersError> {
    let mut speakers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut speaking: Option<&str> = None;
    let mut speech = String::new();
    for (index, line) in text.lines().enumerate() {
        match speaking {
            _ if line.trim().is_empty() => {
                end_speech(&mut speakers, speaking.take(), &mut speech);
            }
            None => {
                let name = line.strip_suffix(':').filter(|name| !name.is_empty());
                speaking = Some(name.ok_or(SpeakersError::NoName(index + 1))?);
            }
            Some(_) => {
                if !speech.is_empty() {
                    speech.push('\n');
                }
                speech.push_str(line);
            }
        }
    }
    end_speech(&mut speakers, speaking, &mut speech);
    Ok(speakers)
}

fn end_speech<'a>(
    speakers: &mut BTreeMap<&'a str, Vec<String>>,
    name: Option<&'a str>,
    speech: &mut String,
) {
    let Some(name) = name else { return };
    let speeches = speakers.entry(name).or_default();
    if !speech.is_empty() {
        speeches.push(core::mem::take(speech));
    }
}

impl Speaker {
    /// What is said is cut between the two speeches where the first part is closest to four fifths
    /// of the bytes. There should be two speeches at least.
    fn new(name: String, mut training: Vec<String>) -> Self {
        Self {
            name,
            held_out: training.split_off(cut(&training)),
            training,
        }
    }

    /// The same with what is held out left away, and the last fifth of the rest in its place: to
    /// choose settings by, before the others are looked at. None of those with one speech left.
    pub fn for_choices(self) -> Option<Self> {
        (self.training.len() > 1).then(|| Self::new(self.name, self.training))
    }
}

/// The speakers with at least `least_bytes` of speech and two speeches, by name.
///
/// # Errors
/// [`SpeakersError`].
pub fn speakers(text: &str, least_bytes: usize) -> Result<Vec<Speaker>, SpeakersError> {
    let enough = |speeches: &Vec<String>| bytes(speeches) >= least_bytes && speeches.len() > 1;
    Ok(speeches(text)?
        .into_iter()
        .filter(|(_, speeches)| enough(speeches))
        .map(|(name, speeches)| Speaker::new(name.to_owned(), speeches))
        .collect())
}

fn bytes(speeches: &[String]) -> usize {
    speeches.iter().map(String::len).sum()
}

/// Number of speeches to train on, at least one and not all.
fn cut(speeches: &[String]) -> usize {
    let all = bytes(speeches);
    let distance = |count: &usize| (5 * bytes(&speeches[..*count])).abs_diff(4 * all);
    (1..speeches.len()).min_by_key(distance).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
First Citizen:
Speak,
speak: so.

All:
Resolved.

TITUS:

First Citizen:
Well.


All:
We know't.
";

    #[test]
    fn speeches_go_to_their_speakers() {
        let found = speeches(TEXT).unwrap();
        let expected = [
            ("All", &["Resolved.", "We know't."][..]),
            ("First Citizen", &["Speak,\nspeak: so.", "Well."]),
            ("TITUS", &[]),
        ];
        assert_eq!(found.len(), 3);
        for (name, speeches) in expected {
            assert_eq!(found[name], speeches, "{name}");
        }
        assert_eq!(speeches(&TEXT.replace('\n', "\r\n")).unwrap(), found);
    }

    #[test]
    fn the_last_fifth_is_held_out_by_whole_speeches() {
        let sizes = |sizes: &[usize]| {
            let speeches: Vec<String> = sizes.iter().map(|size| "x".repeat(*size)).collect();
            cut(&speeches)
        };
        assert_eq!(sizes(&[10; 10]), 8);
        // After the second 40 of 100 are left, after the third 10; 80 is nearer to 90 than to 60.
        assert_eq!(sizes(&[30, 30, 30, 10]), 3);
        assert_eq!(sizes(&[1, 99]), 1);
        assert_eq!(sizes(&[99, 1]), 1);
        assert_eq!(sizes(&[50, 25, 25]), 2);
    }

    #[test]
    fn those_with_little_to_say_are_left_out() {
        let found = speakers(TEXT, 20).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "First Citizen");
        assert_eq!(found[0].training, ["Speak,\nspeak: so."]);
        assert_eq!(found[0].held_out, ["Well."]);
        assert_eq!(speakers(TEXT, 0).unwrap().len(), 2);
    }

    #[test]
    fn settings_are_chosen_without_what_is_held_out() {
        let speeches = |of: core::ops::Range<usize>| of.map(|at| format!("{at:03}")).collect();
        let speaker = Speaker::new("A".to_owned(), speeches(0..100));
        assert_eq!(speaker.held_out, speeches(80..100));
        let speaker = speaker.for_choices().unwrap();
        assert_eq!(speaker.training, speeches(0..64));
        assert_eq!(speaker.held_out, speeches(64..80));
        let speaker = Speaker::new("A".to_owned(), speeches(0..2));
        assert_eq!(speaker.for_choices(), None);
    }

    #[test]
    fn a_speech_without_a_name_is_refused() {
        assert_eq!(
            speakers("A:\nOne.\n\nTwo.\n", 0),
            Err(SpeakersError::NoName(4))
        );
        assert_eq!(speakers(":\nOne.\n", 0), Err(SpeakersError::NoName(1)));
        assert_eq!(speakers("", 0), Ok(Vec::new()));
    }

    #[test]
    fn tinyshakespeare_has_64_speakers_with_5_kb() {
        let Some(shared) = std::env::var_os("CHOIR_SHARED") else {
            println!("skipped: CHOIR_SHARED names no folder with data/tinyshakespeare/input.txt");
            return;
        };
        let path = std::path::PathBuf::from(shared).join("data/tinyshakespeare/input.txt");
        let text = std::fs::read_to_string(path).unwrap();
        let found = speakers(&text, 5_000).unwrap();
        let part = |of: fn(&Speaker) -> &Vec<String>| found.iter().map(|s| bytes(of(s))).sum();
        let [training, held_out]: [usize; 2] = [part(|s| &s.training), part(|s| &s.held_out)];
        let shares = found.iter().map(|speaker| {
            let held_out = bytes(&speaker.held_out) as f64;
            held_out / (held_out + bytes(&speaker.training) as f64)
        });
        let (least, most) = shares.fold((1f64, 0f64), |(a, b), share| (a.min(share), b.max(share)));
        println!(
            "{} names, {} speakers: {training} bytes to train, {held_out} held out, of each \
             {least:.3} to {most:.3}",
            speeches(&text).unwrap().len(),
            found.len(),
        );
        assert_eq!(found.len(), 64);
        // One of the 141 with 1 kB, Time in The Winter's Tale, has a single speech.
        let all = speeches(&text).unwrap();
        assert_eq!(all.values().filter(|of| bytes(of) >= 1_000).count(), 141);
        assert_eq!(speakers(&text, 1_000).unwrap().len(), 140);
        assert!(least > 0.1 && most < 0.3, "{least} to {most}");
    }
}
