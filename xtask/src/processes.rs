//! What processes have used of the machine, where there is a /proc (proc(5)).

use std::fs;

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
