//! `annulus backup`

use super::recover;
use crate::exit::{Exit, Failure, Outcome};
use crate::json::PathJson;
use crate::open::StoreArgs;
use crate::output::Output;
use crate::progress;
use crate::reshape::{Interrupt, throttle};
use crate::table::Table;
use annulus::backup::{Backup, BackupOptions, BackupProgress, Repository, RestoreOptions};
use annulus::reshape::Throttle;
use annulus::{ErrorKind, ShardId};
use annulus_workload::human;
use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

/// Make, list, check, remove and restore backups
///
/// A backup is one moment of a whole store. Backups of a store are in one repository, a directory that
/// is best on another disk: they share files, so each one copies about what has changed. An application
/// makes them while it reads and writes, with `Store::backup`; this command makes one of a store that no
/// process has open.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  annulus backup create /backup/store -s /data/store
  annulus backup list /backup/store
  annulus backup verify /backup/store
  annulus backup prune /backup/store --keep 7
  annulus backup restore /backup/store --into /data/restored
  annulus backup restore /backup/store --to 2026-11-27T14:30:00Z --into /data/restored"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(CreateArgs),
    List(RepositoryArgs),
    Verify(VerifyArgs),
    Prune(PruneArgs),
    Restore(RestoreArgs),
}

/// Make a backup
///
/// Opens the store, copies what the repository does not have, and closes it. Ctrl-C ends it: earlier
/// backups are as they were, and the next one uses what was copied.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus backup create /backup/store -s /data/store
  annulus backup create /backup/store -s /data/store --throttle 50MiB/s --json")]
struct CreateArgs {
    /// The repository: a directory with backups of this store, or one that is missing or empty
    #[arg(value_name = "REPOSITORY")]
    repository: PathBuf,

    #[command(flatten)]
    store: StoreArgs,

    /// The maximum number of bytes to copy per second: 50MiB, 200MB, 1.5GiB [default: no limit]
    #[arg(long, value_name = "BYTES/s", value_parser = throttle)]
    throttle: Option<u64>,
}

/// List the backups, the oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus backup list /backup/store
  annulus backup list /backup/store --json")]
struct RepositoryArgs {
    /// The repository
    #[arg(value_name = "REPOSITORY")]
    repository: PathBuf,
}

/// Check all backups
///
/// Reads every file of the repository and compares it with its checksum, every record of the log, and
/// every block of each backup as the engine reads it. Ends with 1 if there is a problem.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus backup verify /backup/store
  annulus backup verify /backup/store --json")]
struct VerifyArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
}

/// Remove old backups, and the files that only they needed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus backup prune /backup/store --keep 7")]
struct PruneArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// How many backups to keep, the newest ones
    #[arg(long, value_name = "N")]
    keep: usize,
}

/// Restore a store in a new directory
///
/// Each file is compared with its checksum as it is copied. The store has directories of its own:
/// shards that were below the store's directory are so again, others get `shards/` and their number,
/// unless --shard says otherwise. What is interrupted leaves no store; the same command begins again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus backup restore /backup/store --into /data/restored
  annulus backup restore /backup/store --backup 12 --into /data/restored
  annulus backup restore /backup/store --to 2026-11-27T14:30:00Z --into /data/restored
  annulus backup restore /backup/store --into /data/restored --shard 0=/disk1/a --shard 1=/disk2/a")]
struct RestoreArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// The directory of the new store, which must be missing or empty
    #[arg(long, value_name = "DIR")]
    into: PathBuf,

    /// The number of the backup [default: the newest one; with --to the newest before that]
    #[arg(long, value_name = "N")]
    backup: Option<u64>,

    /// A moment after the backup, as far as the repository has the log: a time, as
    /// 2026-11-27T14:30:00Z, with the writes that were made until then; a position, with the writes that
    /// begin before it; or `end`
    #[arg(long, value_name = "POSITION|TIME|end")]
    to: Option<String>,

    /// Where a shard is to be; the directory must be missing or empty. Repeatable
    #[arg(long, value_name = "N=DIR", value_parser = shard)]
    shard: Vec<(ShardId, PathBuf)>,
}

/// Parses `N=DIR`.
pub(super) fn shard(text: &str) -> Result<(ShardId, PathBuf), String> {
    let parsed =
        text.split_once('=').and_then(|(id, directory)| Some((id.parse().ok()?, directory)));
    match parsed {
        Some((id, directory)) if !directory.is_empty() => Ok((id, directory.into())),
        _ => Err("expected the number of a shard, `=` and a directory".to_owned()),
    }
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    match &args.command {
        Command::Create(args) => create(args, output),
        Command::List(args) => list(args, output),
        Command::Verify(args) => verify(&args.repository, output),
        Command::Prune(args) => prune(args, output),
        Command::Restore(args) => restore(args, output),
    }
}

/// Returns a function that shows the progress, and ends it after Ctrl-C; and its bar.
fn follow(
    what: &'static str,
    output: &Output,
) -> (ProgressBar, impl Fn(&BackupProgress) -> ControlFlow<()> + Send + Sync + use<>) {
    let bar = progress::bytes(!output.json(), what);
    let (shown, interrupt) = (bar.clone(), Interrupt::catch(output));
    let follow = move |progress: &BackupProgress| {
        shown.set_length(progress.bytes_total);
        shown.set_position(progress.bytes);
        if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    (bar, follow)
}

fn object(backup: &Backup) -> Value {
    json!({
        "backup": backup.number,
        "at": human::precise_date(backup.at),
        "position": backup.position.get(),
        "bytes": backup.bytes,
        "copied_bytes": backup.copied_bytes,
        "files": backup.files,
        "shards": backup.shards,
        "keyspaces": backup.keyspaces,
        "continues": backup.continues,
    })
}

fn create(args: &CreateArgs, output: &mut Output) -> Outcome<Exit> {
    let started = Instant::now();
    let store = args.store.open()?;
    let (bar, follow) = follow("copied", output);
    let throttle = Throttle::new().bytes_per_second(args.throttle);
    let options = BackupOptions::new().throttle(throttle).on_progress(follow);
    let made = store.backup_with(&args.repository, options);
    bar.finish_and_clear();
    let closed = store.close();
    let backup = made?;
    closed?;
    let text = format!(
        "backup {} of position {}: {} in {} files, {} copied, in {}",
        backup.number,
        backup.position,
        human::bytes(backup.bytes),
        human::count(backup.files),
        human::bytes(backup.copied_bytes),
        human::brief(started.elapsed()),
    );
    output.either(&object(&backup), text)?;
    Ok(Exit::Fine)
}

fn list(args: &RepositoryArgs, output: &mut Output) -> Outcome<Exit> {
    let backups = Repository::open(&args.repository)?.backups()?;
    if output.json() {
        let backups: Vec<Value> = backups.iter().map(object).collect();
        output.object(&json!({ "backups": backups }))?;
        return Ok(Exit::Fine);
    }
    if backups.is_empty() {
        output.note("no backups; `annulus backup create` makes one");
        return Ok(Exit::Fine);
    }
    let head = ["backup", "made at", "any moment since the last", "position", "bytes", "copied"];
    let mut table = Table::new(3, head);
    for backup in &backups {
        table.row([
            backup.number.to_string(),
            human::precise_date(backup.at),
            if backup.continues { "yes" } else { "no" }.to_owned(),
            backup.position.to_string(),
            human::bytes(backup.bytes),
            human::bytes(backup.copied_bytes),
        ]);
    }
    output.text(table)?;
    Ok(Exit::Fine)
}

fn verify(args: &RepositoryArgs, output: &mut Output) -> Outcome<Exit> {
    let repository = Repository::open(&args.repository)?;
    let (bar, follow) = follow("read", output);
    let report = repository.verify_with(follow);
    bar.finish_and_clear();
    let report = report?;
    if output.json() {
        let problem = |error: &annulus::Error| json!({ "kind": error.kind().as_str(), "message": format!("{error:#}") });
        output.object(&json!({
            "sound": report.is_sound(),
            "backups": report.backups,
            "files": report.files,
            "bytes": report.bytes,
            "records": report.records,
            "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::fine_if(report.is_sound()));
    }
    output.line(format_args!(
        "checked {} backups: {} in {} files, {} records of the log",
        report.backups.len(),
        human::bytes(report.bytes),
        human::count(report.files),
        human::count(report.records),
    ))?;
    for problem in &report.problems {
        output.line(format_args!("problem: {problem:#}"))?;
    }
    match report.problems.len() {
        0 => output.line("no problems")?,
        problems => output.line(format_args!("{problems} problems"))?,
    }
    Ok(Exit::fine_if(report.is_sound()))
}

fn prune(args: &PruneArgs, output: &mut Output) -> Outcome<Exit> {
    let pruned = Repository::open(&args.repository.repository)?.prune(args.keep)?;
    let object = json!({ "removed": pruned.backups, "files": pruned.files, "bytes": pruned.bytes });
    let text = format!(
        "removed {} backups, and {} in {} files that only they needed",
        pruned.backups.len(),
        human::bytes(pruned.bytes),
        human::count(pruned.files),
    );
    output.either(&object, text)?;
    Ok(Exit::Fine)
}

fn restore(args: &RestoreArgs, output: &mut Output) -> Outcome<Exit> {
    let started = Instant::now();
    let repository = Repository::open(&args.repository.repository)?;
    let (bar, follow) = follow("restored", output);
    let to = args.to.as_deref().map(recover::target).transpose()?;
    let options = RestoreOptions::new().backup(args.backup).to(to).on_progress(follow);
    let shards = args.shard.iter().cloned();
    let options = shards.fold(options, |options, (id, directory)| options.shard(id, directory));
    let done = repository.restore(&args.into, options);
    bar.finish_and_clear();
    let done = done.map_err(|error| {
        let aborted = error.kind() == ErrorKind::Aborted;
        let failure = Failure::from(error);
        if aborted {
            failure.note("there is no store; the same command begins again")
        } else {
            failure
        }
    })?;
    let last_at = done.last_at.map(human::precise_date);
    if output.json() {
        output.object(&json!({
            "backup": done.backup,
            "position": done.position.get(),
            "records": done.records,
            "last_at": last_at,
            "store": PathJson(&args.into),
            "shards": done.shards.iter().map(|it| PathJson(it)).collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Fine);
    }
    output.line(format_args!(
        "restored backup {} in {}, in {}",
        done.backup,
        args.into.display(),
        human::brief(started.elapsed())
    ))?;
    if let Some(last_at) = last_at {
        output.line(format_args!(
            "with {} records of the log after it, up to position {}; the last is of {last_at}",
            human::count(done.records),
            done.position,
        ))?;
    }
    Ok(Exit::Fine)
}
