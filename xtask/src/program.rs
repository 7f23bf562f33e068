//! Starting other programs: quiet while they do well, their output shown when they fail.

use crate::failure::{Failure, Outcome};
use crate::progress::Step;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};

/// A cargo command in the checkout, by the toolchain that runs this one.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs to the end; its last line is shown as the step's detail.
///
/// # Errors
/// `Program` with the end of its output, `Missing` where it cannot be started.
pub(crate) fn run(step: &Step, command: &mut Command) -> Outcome<String> {
    watch(command, |line| step.detail(line.trim()))
}

/// Runs to the end and hands every line that it prints to `on_line`.
///
/// # Errors
/// As [`run`].
pub(crate) fn watch(command: &mut Command, mut on_line: impl FnMut(&str)) -> Outcome<String> {
    let name = describe(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(&name, &error))?;
    let (lines, received) = channel();
    if let Some(stdout) = child.stdout.take() {
        forward(stdout, true, lines.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward(stderr, false, lines.clone());
    }
    drop(lines);
    let mut printed = String::new();
    let mut tail = VecDeque::new();
    for (standard, line) in received {
        on_line(&line);
        if standard {
            printed.push_str(&line);
            printed.push('\n');
        }
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    let status = child.wait().map_err(|error| cannot_start(&name, &error))?;
    if status.success() {
        return Ok(printed);
    }
    let output = Vec::from(tail).join("\n");
    Err(Failure::Program {
        program: name,
        status: status.to_string(),
        output,
    })
}

/// True where a program of that name can be started.
pub(crate) fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// What a program prints on its standard output, or nothing where it fails.
pub(crate) fn capture(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The error for a program that cannot be started.
pub(crate) fn cannot_start(program: &str, error: &std::io::Error) -> Failure {
    Failure::Missing {
        what: format!("`{program}`"),
        remedy: format!("It could not be started ({error}): install it or put it on the PATH."),
    }
}

fn forward(stream: impl Read + Send + 'static, standard: bool, lines: Sender<(bool, String)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if lines.send((standard, line)).is_err() {
                return;
            }
        }
    });
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    command
        .get_args()
        .take(SHOWN_ARGUMENTS)
        .fold(program, |mut text, argument| {
            text.push(' ');
            text.push_str(&argument.to_string_lossy());
            text
        })
}

const TAIL_LINES: usize = 200;
const SHOWN_ARGUMENTS: usize = 4;
