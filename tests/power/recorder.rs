//! Starting the child under the recorder.

use crate::workload::{ORDER, Order};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Returns the recorder, built once: a library that is loaded before the C library.
pub(crate) fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power/record.c");
        let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(&place).unwrap();
        let (library, made) =
            (place.join("record.so"), place.join(format!("record-{}.so", std::process::id())));
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
            .arg(&made)
            .arg(source)
            .arg("-lpthread");
        assert!(compile.status().unwrap().success(), "{compile:?}");
        std::fs::rename(&made, &library).unwrap();
        library
    })
}

/// Returns the child, ready to be started, with its messages in a file.
pub(crate) fn child(order: &Order) -> Command {
    child_of("workload::child", order)
}

/// The same for another test than the usual one.
pub(crate) fn child_of(test: &str, order: &Order) -> Command {
    let log = std::fs::File::create(order.directory.join("log")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(ORDER, order.text()).env("LD_PRELOAD", library());
    command.env("ANNULUS_RECORD_BELOW", order.disk()).env("ANNULUS_RECORD_NOTES", order.notes());
    if !order.quiet {
        // Small, so that files are flushed, and the log gets shorter, all the time. Segments of the
        // log are small in any process.
        command.env("ANNULUS_MEMTABLE_BYTES", "65536").env("ANNULUS_LOG_BYTES_MAX", "262144");
    }
    command.stdout(Stdio::null()).stderr(log);
    command
}

pub(crate) fn log(order: &Order) -> String {
    std::fs::read_to_string(order.directory.join("log")).unwrap_or_default()
}
