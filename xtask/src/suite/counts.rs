//! How many tests passed, failed and were skipped, from cargo's and Node's own words.

use crate::failure::Outcome;
use crate::progress::Step;

/// The counts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Passed.
    pub(super) passed: u32,
    /// Failed.
    pub(super) failed: u32,
    /// Skipped, each with a printed reason.
    pub(super) skipped: u32,
}

impl Counts {
    /// Counts one check and shows why it failed.
    pub(super) fn check<T>(&mut self, name: &str, ended: Outcome<T>) -> bool {
        match ended {
            Ok(_) => {
                self.passed += 1;
                true
            }
            Err(failure) => {
                self.failed += 1;
                eprintln!("✗ {name}\n{failure}");
                false
            }
        }
    }

    /// Counts one test that is not run, and says why.
    pub(super) fn skip(&mut self, reason: &str) {
        self.skipped += 1;
        eprintln!("– skipped: {reason}");
    }

    /// Ends the step of a program that ran tests, and adds what it counted.
    pub(super) fn close(&mut self, step: Step, found: Self, ended: Outcome<String>) {
        self.passed += found.passed;
        self.failed += found.failed;
        self.skipped += found.skipped;
        let Self {
            passed,
            failed,
            skipped,
        } = found;
        let line = format!("{passed} passed, {failed} failed, {skipped} skipped");
        match ended {
            Ok(_) => step.done(&line),
            Err(failure) => {
                drop(step);
                // A program that fails without a failed test did not even run them.
                self.failed += u32::from(failed == 0);
                eprintln!("{failure}");
            }
        }
    }

    /// Reads `test result: ok. 5 passed; 0 failed; 1 ignored; ...`.
    pub(super) fn read_cargo(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result:") else {
            return;
        };
        let words: Vec<&str> = result
            .split([' ', ';'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u32>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Reads `# pass 3` or `ℹ pass 3`, and the like.
    pub(super) fn read_node(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some("#" | "ℹ"), Some(what), Some(number), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return;
        };
        let number: u32 = number.parse().unwrap_or_default();
        match what {
            "pass" => self.passed += number,
            "fail" | "cancelled" => self.failed += number,
            "skipped" | "todo" => self.skipped += number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn cargo_and_node_are_counted_in_their_own_words() {
        let mut counts = Counts::default();
        counts.read_cargo("test result: ok. 5 passed; 1 failed; 2 ignored; 0 measured; finished");
        for line in [
            "# tests 4",
            "# pass 3",
            "ℹ fail 1",
            "# skipped 1",
            "# duration_ms 41.5",
        ] {
            counts.read_node(line);
        }
        assert_eq!(
            counts,
            Counts {
                passed: 8,
                failed: 2,
                skipped: 3
            }
        );
    }
}
