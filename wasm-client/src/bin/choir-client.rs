//! Native clients: `choir-client PLAN.json`, the plan as `choir_wasm_client::client::Plan` has it.
//! Events go to standard output, one line of JSON each. For example
//!
//! ```json
//! {"url":"http://127.0.0.1:8787","task":"0011…","model":"all-MiniLM-L6-v2","threads":2,
//!  "clients":[{"source":{"share":"share-0.csv"}},{"source":{"share":"share-1.csv"},"lose":"mid-upload"}]}
//! ```

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;

use choir_wasm_client::client::{Plan, Told};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let file = std::env::args_os().nth(1).ok_or("name the plan's file")?;
    let text = std::fs::read(&file)
        .map_err(|error| format!("{}: {error}", std::path::Path::new(&file).display()))?;
    let plan: Plan = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let output = Mutex::new(std::io::stdout());
    let say = |told: Told| {
        // Whoever reads the events is gone where this fails: the clients go on to their end.
        if let (Ok(mut output), Ok(line)) = (output.lock(), serde_json::to_string(&told)) {
            let _ = writeln!(output, "{line}").and_then(|()| output.flush());
        }
    };
    plan.run(&say).map_err(|error| error.to_string())
}
