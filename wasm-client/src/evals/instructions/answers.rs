//! Greedy answers to the test's instructions.

use super::{Settings, data};
use crate::evals::EvalError;
use crate::evals::progress::Progress;
use crate::evals::start::Student;
use crate::generate::Continuation;
use crate::language::instructions::Instruction;
use crate::language::llama2c::END;
use crate::language::rouge;
use crate::language::sampling::{Sampler, Sampling};

/// An answer to each instruction.
///
/// # Errors
/// [`EvalError`].
pub async fn answers(
    student: &mut Student,
    instructions: &[Instruction],
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<Vec<String>, EvalError> {
    let mut answers = Vec::with_capacity(instructions.len());
    for instruction in instructions {
        answers.push(answer(student, instruction, settings).await?);
        progress.work();
    }
    Ok(answers)
}

async fn answer(
    student: &mut Student,
    instruction: &Instruction,
    settings: &Settings,
) -> Result<String, EvalError> {
    let decoder = student.trainer.decoder().clone();
    let engine = student.trainer.engine_mut();
    // Greedy.
    let mut sampler = Sampler::new(Sampling::default())?;
    let mut tokens = data::prompt(&instruction.example, settings, &student.tokenizer);
    let given = tokens.len();
    let capacity = given + settings.answer_tokens;
    let mut continuation = Continuation::new(engine, &decoder, capacity)?;
    let mut unread = 0;
    while tokens.len() < capacity {
        let logits = continuation
            .read(engine, &decoder, &tokens[unread..])
            .await?;
        unread = tokens.len();
        let token = sampler.next(&logits, &tokens)?;
        if token == END {
            break;
        }
        tokens.push(token);
    }
    Ok(student.tokenizer.decode(&tokens[given..])?)
}

/// Of the answers, each with the instruction's response.
pub fn mean_rouge_l(instructions: &[Instruction], answers: &[String]) -> Option<f64> {
    let pairs = answers.iter().zip(instructions);
    rouge::mean_rouge_l(
        pairs.map(|(answer, asked)| (answer.as_str(), asked.example.response.as_str())),
    )
}
