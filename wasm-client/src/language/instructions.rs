//! Instructions split over clients by their category: Databricks' dolly-15k (Conover et al. 2023)
//! as ZeenathulNizreen/FedAgg:data/10 has it, a JSON array of
//! `{"instruction", "context", "response", "category"}` for each client and one for the test.

use super::templates::Example;

/// What can be wrong with such a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstructionsError {
    /// It is not a JSON array of instructions.
    #[error("{file} cannot be read as instructions: {reason}")]
    Json {
        /// `the test`, or which client's it is.
        file: String,
        /// What is wrong, with line and column.
        reason: serde_json::Error,
    },
}

/// An instruction with its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The context is its input.
    pub example: Example,
    /// `open_qa`, `summarization` and so on.
    pub category: String,
}

/// What is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instructions {
    /// Those with an instruction and a response.
    pub all: Vec<Instruction>,
    /// How many were left out because one of the two is blank.
    pub blank: usize,
}

/// The files of a split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Each client's.
    pub clients: Vec<Instructions>,
    /// What no client has.
    pub test: Instructions,
}

impl Split {
    /// Reads `client_0.json` and so on, and `global_test.json`.
    ///
    /// # Errors
    /// [`InstructionsError`].
    pub fn read(clients: &[&str], test: &str) -> Result<Self, InstructionsError> {
        let client = |(index, json): (usize, &&str)| read(json, || format!("client {index}"));
        Ok(Self {
            clients: clients
                .iter()
                .enumerate()
                .map(client)
                .collect::<Result<_, _>>()?,
            test: read(test, || "the test".to_owned())?,
        })
    }
}

#[derive(serde::Deserialize)]
struct Entry {
    instruction: String,
    context: String,
    response: String,
    category: String,
}

fn read(json: &str, file: impl Fn() -> String) -> Result<Instructions, InstructionsError> {
    let entries: Vec<Entry> = serde_json::from_str(json).map_err(|reason| {
        let file = file();
        InstructionsError::Json { file, reason }
    })?;
    let total = entries.len();
    let blank = |text: &str| text.trim().is_empty();
    let all: Vec<Instruction> = entries
        .into_iter()
        .filter(|entry| !blank(&entry.instruction) && !blank(&entry.response))
        .map(Instruction::from)
        .collect();
    Ok(Instructions {
        blank: total - all.len(),
        all,
    })
}

impl From<Entry> for Instruction {
    fn from(entry: Entry) -> Self {
        Self {
            example: Example {
                instruction: entry.instruction,
                input: entry.context,
                response: entry.response,
            },
            category: entry.category,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"[
        {"instruction": "Add", "context": "1 and 2", "response": "3", "category": "closed_qa"},
        {"instruction": "Say", "context": "", "response": " ", "category": "open_qa"}
    ]"#;

    #[test]
    fn the_context_is_the_input() {
        let split = Split::read(&[ONE, "[]"], ONE).unwrap();
        assert_eq!(split.clients.len(), 2);
        assert_eq!(split.clients[0], split.test);
        assert_eq!(split.clients[1], Instructions::default());
        let expected = Instruction {
            example: Example {
                instruction: "Add".to_owned(),
                input: "1 and 2".to_owned(),
                response: "3".to_owned(),
            },
            category: "closed_qa".to_owned(),
        };
        assert_eq!(split.test.all, [expected]);
        assert_eq!(split.test.blank, 1);
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let reason = |clients: &[&str], test| Split::read(clients, test).unwrap_err().to_string();
        let text = reason(&["[]", "[{}]"], "[]");
        assert!(text.starts_with("client 1 cannot be read"), "{text}");
        assert!(text.contains("line 1"), "{text}");
        let text = reason(&["[]"], "{}");
        assert!(text.starts_with("the test cannot be read"), "{text}");
    }

    #[test]
    fn dolly_has_ten_clients_that_share_nothing_with_the_test() {
        let Some(shared) = std::env::var_os("CHOIR_SHARED") else {
            println!("skipped: CHOIR_SHARED names no folder with data/dolly10");
            return;
        };
        let folder = std::path::PathBuf::from(shared).join("data/dolly10");
        let file = |name: String| std::fs::read_to_string(folder.join(name)).unwrap();
        let clients: Vec<String> = (0..10).map(|i| file(format!("client_{i}.json"))).collect();
        let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
        let split = Split::read(&clients, &file("global_test.json".to_owned())).unwrap();
        let counts: Vec<usize> = split
            .clients
            .iter()
            .map(|client| client.all.len())
            .collect();
        println!("clients {counts:?}, test {}", split.test.all.len());
        assert_eq!(counts.iter().sum::<usize>(), 14_931);
        assert_eq!(split.test.all.len(), 80);
        assert!(split.clients.iter().all(|client| client.blank == 0));
        for test in &split.test.all {
            let asked = |of: &Instruction| {
                let [of, test] = [&of.example, &test.example];
                of.instruction == test.instruction && of.input == test.input
            };
            let known = split
                .clients
                .iter()
                .any(|client| client.all.iter().any(asked));
            assert!(!known, "{}", test.example.instruction);
        }
    }
}
