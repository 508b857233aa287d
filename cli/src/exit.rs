//! The end of the process: exit codes, and errors as the user reads them.

use crate::json;
use crate::standard_error::complain;
use annulus::ErrorKind;
use serde::Serialize;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// The result of a command, or of a part of one.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// For the help: what each code of [`Exit`] means.
pub(crate) const EXIT_CODES: &str = "Exit codes:
   0  fine; also when the reader of a pipe has had enough
   1  the command ran and found something wrong: `get` no such key, `put --if-absent` a key that
      is there, `verify` a problem, `log-place` a copy that is not written, `load` or `export` a row
      that it left out, `demo`, `bench` or `replay` a wrong read
   2  the command line is wrong, or a value in it is out of bounds; or a file that it names is in
      UTF-16, or has no first line with such columns; or `replay` has no trace
   3  not found: a store, keyspace, partition, shard, shard directory or file; or changes that are
      not kept any more
   4  the store is open in another process
   5  data on disk is damaged, another store's, or of another version; `export` left out what is
      damaged, and wrote the rest
   6  the operating system refused: permissions, a full disk
   7  what should be created is there already
   8  refused for now: the same command may succeed later
   9  a write may be half applied; opening the store again completes it
  10  a reshape was aborted, by Ctrl-C for example; what was not committed was rolled back. Or
      `bench` was ended by it
  70  a defect in annulus";

/// The exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Fine = 0,
    Wrong = 1,
    Usage = 2,
    NotFound = 3,
    InUse = 4,
    Damaged = 5,
    Io = 6,
    Exists = 7,
    Later = 8,
    InDoubt = 9,
    Aborted = 10,
    Defect = 70,
}

impl Exit {
    /// Returns `Fine` if nothing is wrong.
    pub(crate) const fn fine_if(fine: bool) -> Self {
        if fine { Self::Fine } else { Self::Wrong }
    }

    const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidArgument | ErrorKind::ReadOnly | ErrorKind::WrongType => Self::Usage,
            ErrorKind::NotFound | ErrorKind::Gone => Self::NotFound,
            ErrorKind::AlreadyExists => Self::Exists,
            ErrorKind::InUse | ErrorKind::Fenced => Self::InUse,
            ErrorKind::Closed
            | ErrorKind::DeadlineExceeded
            | ErrorKind::Busy
            | ErrorKind::Unavailable
            | ErrorKind::Conflict => Self::Later,
            ErrorKind::Io => Self::Io,
            ErrorKind::Damaged | ErrorKind::Incompatible => Self::Damaged,
            ErrorKind::InDoubt => Self::InDoubt,
            ErrorKind::Aborted => Self::Aborted,
            _ => Self::Defect,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command cannot continue.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    kind: &'static str,
    message: String,
    note: Option<String>,
}

impl Failure {
    /// Reports a command line that is wrong in a way that clap cannot detect.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        let kind = ErrorKind::InvalidArgument;
        Self { exit: Exit::of(kind), kind: kind.as_str(), message: message.into(), note: None }
    }

    /// Reports that something the command line names does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        let kind = ErrorKind::NotFound;
        Self { exit: Exit::of(kind), kind: kind.as_str(), message: message.into(), note: None }
    }

    /// Reports that a call of the operating system failed while `doing` something to a file.
    pub(crate) fn io(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Io,
            };
            let message = format!("cannot {doing} {}: {error}", path.display());
            Self { exit: Exit::of(kind), kind: kind.as_str(), message, note: None }
        }
    }

    /// Reports that the standard output cannot be written. A reader that is gone, as with `head`,
    /// is no error: the command ends there silently.
    pub(crate) fn standard_output(error: io::Error) -> Self {
        let gone = error.kind() == io::ErrorKind::BrokenPipe;
        let failure = Self::io("write to", Path::new("the standard output"))(error);
        if gone { Self { exit: Exit::Fine, ..failure } } else { failure }
    }

    /// Names the line of a file that the failure is about.
    pub(crate) fn at_line(mut self, path: &Path, line: u64) -> Self {
        self.message = format!("{}:{line}: {}", path.display(), self.message);
        self
    }

    /// Adds what the user should know in addition to the error.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Prints the failure; returns the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        #[derive(Serialize)]
        struct Report<'a> {
            error: Body<'a>,
        }
        #[derive(Serialize)]
        struct Body<'a> {
            kind: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            note: Option<&'a str>,
        }
        let Self { kind, message, note, exit } = self;
        if *exit == Exit::Fine {
            return ExitCode::from(*exit);
        }
        if json {
            let error = Body { kind, message, note: note.as_deref() };
            complain(&json::line(&Report { error }));
        } else {
            complain(&format!("error: {message}"));
            if let Some(note) = note {
                complain(&format!("note: {note}"));
            }
        }
        ExitCode::from(*exit)
    }
}

impl From<annulus::Error> for Failure {
    fn from(error: annulus::Error) -> Self {
        let kind = error.kind();
        let message = format!("{error:#}");
        Self { exit: Exit::of(kind), kind: kind.as_str(), message, note: None }
    }
}
