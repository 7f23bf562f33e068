//! Rounds under seeded schedules of faults, on every core: started by `cargo xtask faults`, which
//! reads the JSON that this prints.

use choir_fuzz::faults::{self, Work};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Work::read(&arguments) {
        Ok(work) => {
            println!("{}", faults::run(&work));
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}
