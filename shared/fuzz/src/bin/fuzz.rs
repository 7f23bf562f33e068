//! One target under libFuzzer: the one that the environment names. Started by `cargo xtask fuzz`,
//! which first has it write the target's seeds into a folder.
#![no_main]

use choir_fuzz::Target;
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    std::env::var("CHOIR_FUZZ_TARGET")
        .ok()
        .and_then(|name| choir_fuzz::target(&name))
        .expect("CHOIR_FUZZ_TARGET names a target")
});

fuzz_target!(init: write_seeds(), |data: &[u8]| {
    (TARGET.run)(data);
});

fn write_seeds() {
    let Some(folder) = std::env::var_os("CHOIR_FUZZ_SEEDS") else {
        return;
    };
    for (place, seed) in (TARGET.seeds)().iter().enumerate() {
        let file = Path::new(&folder).join(format!("seed-{place:02}"));
        std::fs::write(&file, seed).expect("the folder of the seeds can be written");
    }
}
