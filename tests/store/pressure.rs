//! Goal: a process that runs short of something, of threads, of file descriptors, of a healthy
//! disk, is slower or says so, and goes on with what it can do.
//! Method: a child process to which the thing is refused, or a shard whose operations fail while a
//! file says so (feature `failpoints`).

use crate::basic::{both, reopen, small};
use crate::reshape::{fill, rows};
use annulus::balance::Request;
use annulus::{ReadOptions, ReshapeOptions, ShardId, ShardSpec, Store, Transport};
use std::path::Path;
use std::process::{Command, Output};

const DIRECTORY: &str = "ANNULUS_TEST_PRESSURE_DIRECTORY";

/// Runs one of the children below in a process of its own, with a directory to work in.
fn run_child(name: &str, directory: &Path, prepare: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("pressure::{name}");
    command.args(["--exact", &name, "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory);
    prepare(&mut command);
    command.output().unwrap()
}

fn assert_success(output: &Output) {
    let (out, log) = (&output.stdout, &output.stderr);
    let (out, log) = (String::from_utf8_lossy(out), String::from_utf8_lossy(log));
    assert!(output.status.success(), "{out}\n{log}");
}

/// Not a test of its own: a process in which no helping thread can be started.
#[test]
fn threadless_child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let path = Path::new(&directory).join("store");
    let store = Store::builder(path).shards(3).options(small()).open().unwrap();
    let keyspaces = both(&store);
    keyspaces.iter().for_each(|keyspace| fill(&store, keyspace));
    let before: Vec<_> = keyspaces.iter().map(rows).collect();
    store.sync().unwrap();
    store.flush().unwrap();
    let partition = keyspaces[1].stats().unwrap()[0].clone();
    let to = ShardId((partition.owner.0 + 1) % 3);
    let request = Request::Move { partition: partition.id, to };
    for transport in [Transport::Copy, Transport::Link] {
        let options = ReshapeOptions { transport: Some(transport), ..ReshapeOptions::default() };
        let back = Request::Move { partition: partition.id, to: partition.owner };
        for request in [&request, &back] {
            store.start_with(request, options).unwrap().wait().unwrap();
        }
    }
    store.add_shard(ShardSpec::new("shards/3")).unwrap().wait().unwrap();
    store.remove_shard(ShardId(0)).unwrap().wait().unwrap();
    assert!(store.verify().unwrap().is_sound());
    assert_eq!(keyspaces.iter().map(rows).collect::<Vec<_>>(), before);
    store.close().unwrap();
}

/// The story: opening, syncing, flushing, creating a keyspace, verifying, copying and closing
/// panicked where the system refused a thread.
#[cfg(feature = "failpoints")]
#[test]
fn a_process_that_gets_no_threads_does_everything_itself() {
    let directory = tempfile::tempdir().unwrap();
    let output = run_child("threadless_child", directory.path(), |command| {
        command.env("ANNULUS_FAIL", "thread");
    });
    assert_success(&output);
    let store = reopen(&directory);
    for keyspace in both(&store) {
        assert!(keyspace.count(ReadOptions::new()).unwrap() > 1000);
    }
}
