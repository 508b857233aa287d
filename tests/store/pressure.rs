//! Goal: a process that runs short of something, of threads, of file descriptors, of a healthy
//! disk, is slower or says so, and goes on with what it can do.
//! Method: a child process to which the thing is refused, or a shard whose operations fail while a
//! file says so (feature `failpoints`).

use crate::basic::{both, reopen, small};
use crate::reshape::{fill, rows};
use annulus::balance::Request;
use annulus::topology::KeyspaceSpec;
use annulus::{
    ErrorKind, Options, ReadOptions, ReshapeOptions, ShardId, ShardSpec, Store, Transport,
};
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

/// The environment variable that says how many keyspaces the child below must be able to make.
const KEYSPACES_MIN: &str = "ANNULUS_TEST_PRESSURE_KEYSPACES";

/// Not a test of its own: a process that may open few files. It makes hash keyspaces as long as it
/// is let, and then writes and reads, in many files and with little memory.
#[test]
fn few_files_child() {
    let Some(least) = std::env::var_os(KEYSPACES_MIN) else { return };
    let directory = std::env::var_os(DIRECTORY).unwrap();
    let path = Path::new(&directory).join("store");
    let options = Options { write_buffer_bytes: 4 << 20, cache_bytes: 1 << 20, ..small() };
    let open = || Store::builder(&path).shards(4).options(options.clone()).open().unwrap();
    let store = open();
    let mut made = 0;
    while made < 26 {
        let spec = KeyspaceSpec::hash().arcs_per_shard(4);
        match store.create_keyspace(&format!("keyspace-{made}"), spec) {
            Ok(_) => made += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Io);
                let text = error.to_string();
                assert!(text.contains("open_files_per_shard") && text.contains("files"), "{text}");
                break;
            }
        }
    }
    println!("{made} keyspaces");
    assert!(made >= least.to_str().unwrap().parse().unwrap());
    write_and_read(&store);
    drop(store);
    write_and_read(&open());
}

fn write_and_read(store: &Store) {
    let keyspaces = store.keyspaces();
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0..12_000 {
        let keyspace = &keyspaces[n % keyspaces.len()];
        let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(500).collect();
        keyspace.put(random.u64(..).to_be_bytes(), value).unwrap();
        if n % 10 == 0 {
            keyspace.get(random.u64(..).to_be_bytes()).unwrap();
        }
    }
    for keyspace in &keyspaces {
        assert!(keyspace.count(ReadOptions::new()).unwrap() > 0);
    }
}

/// The story: with 256 descriptors three of four shards refused writes after some seconds, until
/// the store was opened again, and with 1,024 all did at the 26th keyspace. Now the tables share
/// what there is, and a keyspace for which there is too little is refused.
#[cfg(target_os = "linux")]
#[test]
fn writes_go_on_in_a_process_that_may_open_few_files() {
    // The soft limit alone is raised by the opening.
    for (limit, least) in [("-n 256", 4), ("-n 1024", 26), ("-S -n 256", 26)] {
        let directory = tempfile::tempdir().unwrap();
        let test = std::env::current_exe().unwrap();
        let output = Command::new("sh")
            .args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")])
            .arg(test)
            .args(["--exact", "pressure::few_files_child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .env(KEYSPACES_MIN, least.to_string())
            .output()
            .unwrap();
        assert_success(&output);
    }
}
