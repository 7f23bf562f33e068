//! Reads JSON jobs from standard input, one a line, and answers each with one line of JSON:
//! what the job yields, or `{"error": …}`. The model stays loaded between jobs. The fields of each
//! kind are in `choir_wasm_client::native::job`; for example
//!
//! ```json
//! {"kind":"evaluate","task":"task.json","model_dir":"all-MiniLM-L6-v2","adapter":"adapter.bin","data":"test.csv"}
//! {"kind":"train_alone","task":"task.json","model_dir":"all-MiniLM-L6-v2","data":"train.csv","test":"test.csv","steps":100,"seed":1,"parts":["lora","head"]}
//! {"kind":"centroids","task":"task.json","model_dir":"all-MiniLM-L6-v2","data":"train.csv","out":"centroids.bin"}
//! {"kind":"initial_adapter","task":"task.json","model_dir":"all-MiniLM-L6-v2","centroids":"centroids.bin","out":"version0.bin"}
//! ```

use std::io::{BufRead, Write};

use choir_wasm_client::native::{Answer, Evaluator, job::Job};

fn main() -> std::io::Result<()> {
    let mut evaluator = Evaluator::default();
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match answer(&mut evaluator, &line) {
            Ok(answer) => serde_json::to_value(answer).map_err(std::io::Error::other)?,
            Err(error) => serde_json::json!({ "error": error }),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(evaluator: &mut Evaluator, line: &str) -> Result<Answer, String> {
    let job: Job = serde_json::from_str(line).map_err(|error| format!("not a job: {error}"))?;
    evaluator.run(&job).map_err(|error| error.to_string())
}
