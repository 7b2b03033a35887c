//! Keeps the process's memory out of files and other processes.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// No core file holds the process's memory, and no other process of its user may look at it. Programs that it starts
/// are not touched.
pub fn stay_out_of_core_files() {
    let done = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    done.expect("a process may forbid that for itself");
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn its_memory_goes_into_no_core_file() {
        stay_out_of_core_files();

        let behaviour = dumpable_behavior().unwrap();
        assert_eq!(behaviour, DumpableBehavior::NotDumpable);
    }
}
