//! Room on the disk for what the tests build: said before an hour of work, not after it.

use crate::failure::{Failure, Outcome};
use crate::paths::Paths;
use crate::program;

/// What a first run writes.
const FIRST: u64 = 10;
/// What a run writes that finds most of it built.
const AGAIN: u64 = 4;

/// Fails where there is too little room; a system that does not say how much there is is believed.
///
/// # Errors
/// `Missing` with both numbers.
pub(super) fn ensure(paths: &Paths) -> Outcome<()> {
    let needed = match paths.target.join("debug/deps").is_dir() {
        true => AGAIN,
        false => FIRST,
    };
    let root = paths.root.display().to_string();
    let said = program::capture("df", &["-Pk", &root]);
    match said.as_deref().and_then(free_gigabytes) {
        Some(free) if free < needed => Err(Failure::Missing {
            what: format!("{needed} GB of free disk for what the tests build; there are {free}"),
            remedy: "Remove `target` folders of other checkouts, or this one's with `cargo clean`."
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Of what `df -Pk` says of one file system (POSIX: the fourth column is what is free, in kB).
fn free_gigabytes(said: &str) -> Option<u64> {
    let line = said.lines().last()?;
    let free: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    Some(free / (1 << 20))
}

#[cfg(test)]
mod tests {
    use super::free_gigabytes;

    #[test]
    fn what_is_free_is_read_from_the_fourth_column() {
        let said = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                    /dev/disk 264240000 31457280 64000000 34% /\n";
        assert_eq!(free_gigabytes(said), Some(61));
        assert_eq!(free_gigabytes("df: no such file"), None);
    }
}
