//! The formats of instructions: an example becomes a prompt and a response, so that the loss can
//! be on the response alone.
//!
//! Sources: Alpaca, tloen/alpaca-lora:templates/alpaca.json (which Shepherd has too), after
//! Taori et al. 2023; OpenFedLLM's Alpaca and Vicuna, rui-ye/OpenFedLLM:utils/template.py and
//! process_dataset.py (Ye et al. 2024), Vicuna v1.1 itself being lm-sys/FastChat's; ChatML,
//! OpenAI's, as the chat template of SmolLM2-Instruct and Qwen2 writes it.

/// An instruction with its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// What to do.
    pub instruction: String,
    /// What to do it with; may be empty.
    pub input: String,
    /// The answer.
    pub response: String,
}

/// An example as text. The two parts are to be encoded one by one: where they meet is where the
/// loss begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What the model is given.
    pub prompt: String,
    /// What it should say, with the mark of its end.
    pub response: String,
}

/// A format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Template {
    /// Alpaca-LoRA's, where an input has a section of its own.
    Alpaca,
    /// OpenFedLLM's Alpaca: the input follows the instruction, the response is on the line of its
    /// heading.
    OpenFedLlmAlpaca,
    /// Vicuna v1.1, one turn; the input follows the instruction.
    Vicuna,
    /// ChatML; the input is a paragraph of its own. Its responses end with `<|im_end|>`.
    ChatMl {
        /// The first message, by the system; none if absent.
        system: Option<String>,
    },
}

const TASK: &str = "Below is an instruction that describes a task";
const REQUEST: &str = "Write a response that appropriately completes the request.";
const VICUNA: &str = "A chat between a curious user and an artificial intelligence assistant. The \
                      assistant gives helpful, detailed, and polite answers to the user's \
                      questions.";

impl Template {
    /// The prompt alone, for generation.
    pub fn prompt(&self, instruction: &str, input: &str) -> String {
        match self {
            Self::Alpaca => alpaca(instruction, input),
            Self::OpenFedLlmAlpaca => {
                let instruction = joined(instruction, " ", input);
                format!("{TASK}. {REQUEST}\n\n### Instruction:\n{instruction} \n\n### Response:")
            }
            Self::Vicuna => {
                let instruction = joined(instruction, " ", input);
                format!("{VICUNA} USER: {instruction} ASSISTANT:")
            }
            Self::ChatMl { system } => {
                let system = system.as_deref().map(|text| chat_ml_turn("system", text));
                let user = chat_ml_turn("user", &joined(instruction, "\n\n", input));
                format!(
                    "{}{user}<|im_start|>assistant\n",
                    system.unwrap_or_default()
                )
            }
        }
    }

    /// Both parts. `end` is the model's mark of the end of a text (`</s>`, for example); ChatML
    /// has its own.
    pub fn parts(&self, example: &Example, end: &str) -> Parts {
        let response = &example.response;
        Parts {
            prompt: self.prompt(&example.instruction, &example.input),
            response: match self {
                Self::Alpaca => format!("{response}{end}"),
                Self::OpenFedLlmAlpaca | Self::Vicuna => format!(" {response}{end}"),
                Self::ChatMl { .. } => format!("{response}<|im_end|>\n"),
            },
        }
    }
}

fn alpaca(instruction: &str, input: &str) -> String {
    if input.is_empty() {
        format!("{TASK}. {REQUEST}\n\n### Instruction:\n{instruction}\n\n### Response:\n")
    } else {
        format!(
            "{TASK}, paired with an input that provides further context. {REQUEST}\n\n\
             ### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
        )
    }
}

fn joined(instruction: &str, between: &str, input: &str) -> String {
    if input.is_empty() {
        instruction.to_owned()
    } else {
        format!("{instruction}{between}{input}")
    }
}

fn chat_ml_turn(role: &str, content: &str) -> String {
    format!("<|im_start|>{role}\n{content}<|im_end|>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(input: &str) -> Example {
        Example {
            instruction: "Add {1} and 2.".to_owned(),
            input: input.to_owned(),
            response: "3".to_owned(),
        }
    }

    /// The whole text and where its response begins.
    fn text(template: &Template, input: &str) -> (String, String) {
        let parts = template.parts(&example(input), "</s>");
        assert_eq!(template.prompt("Add {1} and 2.", input), parts.prompt);
        (
            format!("{}{}", parts.prompt, parts.response),
            parts.response,
        )
    }

    #[test]
    fn alpaca_has_a_section_for_an_input() {
        let (whole, response) = text(&Template::Alpaca, "");
        assert_eq!(
            whole,
            "Below is an instruction that describes a task. Write a response that appropriately \
             completes the request.\n\n### Instruction:\nAdd {1} and 2.\n\n### Response:\n3</s>"
        );
        assert_eq!(response, "3</s>");
        let (whole, _) = text(&Template::Alpaca, "In Roman numerals");
        assert_eq!(
            whole,
            "Below is an instruction that describes a task, paired with an input that provides \
             further context. Write a response that appropriately completes the request.\n\n\
             ### Instruction:\nAdd {1} and 2.\n\n### Input:\nIn Roman numerals\n\n\
             ### Response:\n3</s>"
        );
    }

    #[test]
    fn openfedllm_joins_the_input_to_the_instruction() {
        let (whole, response) = text(&Template::OpenFedLlmAlpaca, "In Roman numerals");
        assert_eq!(
            whole,
            "Below is an instruction that describes a task. Write a response that appropriately \
             completes the request.\n\n### Instruction:\nAdd {1} and 2. In Roman numerals \n\n\
             ### Response: 3</s>"
        );
        assert_eq!(response, " 3</s>");
        let (whole, response) = text(&Template::Vicuna, "");
        assert_eq!(
            whole,
            "A chat between a curious user and an artificial intelligence assistant. The \
             assistant gives helpful, detailed, and polite answers to the user's questions. \
             USER: Add {1} and 2. ASSISTANT: 3</s>"
        );
        assert_eq!(response, " 3</s>");
    }

    #[test]
    fn chat_ml_has_turns() {
        let (whole, response) = text(&Template::ChatMl { system: None }, "In Roman numerals");
        assert_eq!(
            whole,
            "<|im_start|>user\nAdd {1} and 2.\n\nIn Roman numerals<|im_end|>\n\
             <|im_start|>assistant\n3<|im_end|>\n"
        );
        assert_eq!(response, "3<|im_end|>\n");
        let system = Some("Be brief.".to_owned());
        let (whole, _) = text(&Template::ChatMl { system }, "");
        assert_eq!(
            whole,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nAdd {1} and 2.<|im_end|>\n\
             <|im_start|>assistant\n3<|im_end|>\n"
        );
    }
}
