//! Carries out the reconstruction attack of a job file and prints its report as one line of JSON;
//! says how far it is on standard error. The fields are in `choir_wasm_client::attack`:
//!
//! ```json
//! {"model_dir":"all-MiniLM-L6-v2","public":"train.csv","private":"test.csv","labels":["a","b"],
//!  "seed":1,"sizes":{"targets":20,"others":60,"shadows":60,"library":2000,"clients":[1,2,10,50],
//!  "noise_multiplier":1.0,"lora":true,"matching":3,"matching_steps":300}}
//! ```

use std::path::Path;
use std::process::ExitCode;

use choir_wasm_client::attack::{self, AttackError, Job};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("choir-attack takes one argument: the job's JSON file");
        return ExitCode::FAILURE;
    };
    match report(Path::new(&path)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(path: &Path) -> Result<String, AttackError> {
    let report = attack::run(&Job::read(path)?)?;
    serde_json::to_string(&report).map_err(|error| AttackError::Data(error.to_string()))
}
