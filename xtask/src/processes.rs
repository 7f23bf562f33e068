//! What processes have used of the machine, where there is a /proc (proc(5)).

use std::fs;

/// CPU time of a process and its threads, in user and system mode, in seconds. A process that has
/// ended and was not waited for still has it.
pub(crate) fn cpu_seconds(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold spaces; after it the state is field 3.
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
    let ticks = |field: usize| -> Option<f64> { fields.get(field - 3)?.parse().ok() };
    Some((ticks(14)? + ticks(15)?) / TICKS_PER_SECOND)
}

/// The processes that a process has started.
pub(crate) fn children(process: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let child: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?;
            (parent == process.to_string()).then_some(child)
        })
        .collect()
}

/// What Linux counts in towards user space on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_cpu_time_of_this_process() {
        let Some(before) = cpu_seconds(std::process::id()) else {
            // No /proc here: then there is no figure, and none is made up.
            assert!(!std::path::Path::new("/proc/self/stat").exists());
            return;
        };
        let mut spent = 0.0;
        let mut value = 1_u64;
        while spent < 0.05 {
            for round in 0..1_000_000_u64 {
                value = value.wrapping_mul(31).wrapping_add(round);
            }
            spent = cpu_seconds(std::process::id()).expect("as before") - before;
        }
        assert_ne!(value, 0);
        assert!(spent >= 0.05);
    }
}
