//! Users with unique e-mail addresses, in the order of their names, though the application is killed
//! again and again.
//!
//! ```text
//! cargo run --release --example users -- check
//! cargo run --release --example users -- check --kills 20
//! cargo run --release --example users -- run DIRECTORY
//! ```
//!
//! The users are in a keyspace by hash of their numbers. A unique index has their addresses: a sign-up
//! with one that is taken is refused, by whichever thread it comes, and names who has it. A second index
//! has their names, so that the users are listed in that order. Both are kept in the same commit as the
//! user, so after a kill neither lacks anything. The first users are older than the indexes; that by
//! names is built while people sign up.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "an example fails by panicking"
)]

use annulus::index::UniqueViolation;
use annulus::topology::KeyspaceSpec;
use annulus::typed::{TypedIndex, TypedKeyspace};
use annulus::{ErrorKind, ScanOptions, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

/// How many addresses there are to be had: few, so that many sign-ups are refused.
const ADDRESSES: u64 = 3000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    name: String,
    email: String,
}

struct Users {
    store: Store,
    rows: TypedKeyspace<u64, User>,
    by_email: TypedIndex<String, u64, User>,
    by_name: TypedIndex<String, u64, User>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", directory] => run(Path::new(directory)),
        ["check"] => check(8),
        ["check", "--kills", kills] => check(kills.parse().unwrap()),
        _ => panic!("run DIRECTORY, or check [--kills N]"),
    }
}

impl Users {
    fn open(directory: &Path) -> Self {
        let store = Store::builder(directory).shards(3).open().unwrap();
        let rows = store.keyspace_or_create("users", KeyspaceSpec::hash()).unwrap();
        let rows = rows.typed::<u64, User>();
        // An address has one spelling here; the function decides what counts as the same.
        let by_email = rows.unique_index("by_email", 1, |_, user| [user.email.to_lowercase()]);
        let by_name = rows.index("by_name", 1, |_, user| [user.name.clone()]);
        Self { store, by_email: by_email.unwrap(), by_name: by_name.unwrap(), rows }
    }

    /// Signs a user up. Returns false if the address is taken.
    fn sign_up(&self, number: u64, user: &User) -> bool {
        match self.rows.put_if_absent(number, user) {
            Ok(swap) => swap.is_swapped(),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let cause = error.source().and_then(|it| it.downcast_ref::<UniqueViolation>());
                assert_eq!(cause.unwrap().index, "by_email");
                false
            }
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Changes a user's address, if the new one is free. Returns whether it was changed.
    fn change_email(&self, number: u64, email: &str) -> bool {
        let changed = self
            .rows
            .update(number, |user| user.map(|user| User { email: email.to_owned(), ..user }));
        match changed {
            Ok(user) => user.is_some(),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Two users exchange their addresses: in between, each would have that of the other.
    fn exchange(&self, one: u64, other: u64) {
        let exchanged = self.store.transact(|tx| {
            let users = self.rows.within(tx);
            let (Some(a), Some(b)) = (users.get(one)?, users.get(other)?) else { return Ok(()) };
            users.delete(one)?;
            users.put(other, &User { email: a.email, ..b.clone() })?;
            users.put(one, &User { email: b.email, ..a })
        });
        assert!(exchanged.is_ok_or_conflict());
    }
}

trait OkOrConflict {
    fn is_ok_or_conflict(&self) -> bool;
}

impl OkOrConflict for annulus::Result<()> {
    fn is_ok_or_conflict(&self) -> bool {
        self.as_ref().map_or_else(|error| error.kind() == ErrorKind::Conflict, |()| true)
    }
}

/// The application: people sign up, move and leave until it is killed.
fn run(directory: &Path) {
    let users = Users::open(directory);
    // Before anyone is served: until it is complete, an address could be taken a second time, and the
    // build would say so. Where it is complete already, nothing is done.
    users.by_email.build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| serve(&users));
        }
        users.by_name.build().unwrap();
    });
}

fn serve(users: &Users) {
    let mut random = fastrand::Rng::new();
    loop {
        let number = random.u64(..ADDRESSES);
        let email = format!("user{}@Example.org", random.u64(..ADDRESSES));
        match random.u32(..10) {
            0..6 => {
                let name = format!("{}{number}", random.uppercase());
                users.sign_up(number, &User { name, email });
            }
            6 | 7 => drop(users.change_email(number, &email)),
            8 if number != 0 => users.exchange(number, number - 1),
            _ => users.rows.delete(number).unwrap(),
        }
    }
}

/// A process that ends with this one.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills the application at random moments, and looks at the users each time.
fn check(kills: u32) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    import(&path);
    for _ in 0..kills {
        let mut application = Command::new(std::env::current_exe().unwrap());
        application.arg("run").arg(&path);
        let mut application = Process(application.spawn().unwrap());
        std::thread::sleep(Duration::from_millis(random.u64(50..800)));
        let ended = application.0.try_wait().unwrap();
        assert!(ended.is_none(), "the application ended by itself: {ended:?}");
        drop(application);
        look(&Users::open(&path));
    }
    let users = Users::open(&path);
    let count = users.rows.count().unwrap();
    println!("{count} users, each with an address of its own, over {kills} kills");
}

/// Some users from before there was any index.
fn import(path: &Path) {
    let store = Store::builder(path).shards(3).open().unwrap();
    let rows = store.keyspace_or_create("users", KeyspaceSpec::hash()).unwrap();
    let rows = rows.typed::<u64, User>();
    for number in 0..ADDRESSES / 2 {
        let (name, email) = (format!("I{number}"), format!("user{number}@example.org"));
        rows.put(number, &User { name, email }).unwrap();
    }
}

/// Compares the users with both indexes.
fn look(users: &Users) {
    // What a kill has interrupted is done again.
    users.by_email.build().unwrap();
    users.by_name.build().unwrap();
    for index in [users.by_email.index(), users.by_name.index()] {
        let report = index.verify().unwrap();
        assert!(report.is_sound(), "{}: {report:?}", index.name());
    }
    let rows: BTreeMap<u64, User> = users.rows.scan(..).unwrap().map(Result::unwrap).collect();
    assert!(!rows.is_empty());
    let mut owners = BTreeMap::new();
    for (number, user) in &rows {
        let email = user.email.to_lowercase();
        assert_eq!(users.by_email.row(&email).unwrap(), Some((*number, user.clone())));
        assert_eq!(owners.insert(email, number), None, "an address that two users have");
    }
    let listed = users.by_name.rows(..).unwrap().map(|row| row.unwrap().0);
    let mut names: Vec<String> = rows.values().map(|user| user.name.clone()).collect();
    names.sort_unstable();
    assert!(listed.eq(names), "the users in the order of their names");
    let last = ScanOptions::new().reverse(true).limit(1);
    assert!(users.by_name.rows_with(.., last).unwrap().count() == 1);
}
