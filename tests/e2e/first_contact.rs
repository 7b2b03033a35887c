//! `cargo demo`, as a newcomer meets it.

use std::path::Path;
use std::process::{Command, Output};

use planescape_tests::run_folder::RunFolder;
use planescape_tests::servers;

#[test]
fn a_testbed_that_is_kept_is_found_again_and_taken_down_once() {
    let run = RunFolder::create().unwrap();
    let cache = run.subfolder("cache").unwrap();
    let built = servers::cache_folder().unwrap().join("servers");
    std::os::unix::fs::symlink(built, cache.join("servers")).unwrap();

    let nothing = demo(&cache, "--down");
    assert!(nothing.status.success() && said(&nothing).contains("nothing is up"));
    let first = demo(&cache, "--keep");
    assert!(first.status.success(), "{}", said(&first));
    let exports = String::from_utf8(first.stdout).unwrap();
    let is_export = |line: &str| line.starts_with("export ");
    assert!(exports.lines().count() >= 4 && exports.lines().all(is_export));
    let script = format!("{exports}kubectl get planescapejob database-job -o name");
    let asked = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(asked.status.success(), "{}", said(&asked));

    let second = demo(&cache, "--keep");
    assert_eq!(String::from_utf8(second.stdout.clone()).unwrap(), exports);
    assert!(said(&second).contains("is up already"));

    let down = demo(&cache, "--down");
    assert!(down.status.success(), "{}", said(&down));
    let nothing = demo(&cache, "--down");
    assert!(said(&nothing).contains("nothing is up"));
}

fn demo(cache: &Path, flag: &str) -> Output {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    let demo = demo.arg(flag).env("PLANESCAPE_CACHE", cache);
    demo.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
