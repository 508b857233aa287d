//! What the examples have in common: an application that is started again and killed at a random
//! moment.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "of examples")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that ends with this one.
pub struct Process(Child);

impl Process {
    /// Starts this program again, as `run DIRECTORY`, with what else is to follow.
    pub fn start(directory: &Path, others: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("run").arg(directory).args(others);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has ended well.
    pub fn interrupt(mut self) {
        let kill = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }

    /// Kills it, after making sure that it was still running.
    pub fn kill(mut self) {
        let ended = self.0.try_wait().unwrap();
        assert!(ended.is_none(), "the application ended by itself: {ended:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns random numbers, whose seed is printed; `ANNULUS_SEED` sets it.
pub fn random() -> fastrand::Rng {
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Starts the application again and again, and kills it at random moments.
pub fn kill_repeatedly(directory: &Path, kills: u32, random: &mut fastrand::Rng) {
    for _ in 0..kills {
        let application = Process::start(directory, &[]);
        std::thread::sleep(Duration::from_millis(random.u64(200..1000)));
        application.kill();
    }
}

/// Reads the arguments of an example: `run DIRECTORY`, or `check --kills N`.
pub fn main(run: impl FnOnce(&Path), check: impl FnOnce(u32)) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", directory] => run(Path::new(directory)),
        ["check", "--kills", kills] => check(kills.parse().unwrap()),
        _ => panic!("run DIRECTORY, or check --kills N"),
    }
}
