//! `annulus map`

use crate::exit::{Exit, Failure, Outcome};
use crate::open::ReadArgs;
use crate::output::Output;
use crate::picture::{Picture, Style, draw, svg};
use std::path::PathBuf;

/// Draw who owns what: rings of hash keyspaces, ranges of range keyspaces
///
/// Each shard has a letter, so that the picture can be read without colours; NO_COLOR is respected.
/// The shares of a hash keyspace are of its tokens, those of a range keyspace of its keys, which
/// are estimated.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus map -s /data/store
  annulus map users -s /data/store --svg users.svg
  annulus map -s /data/store --json")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ReadArgs,

    /// The keyspaces to draw [default: all]
    keyspaces: Vec<String>,

    /// Write the picture to this file as SVG instead
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Use ASCII only; it is the default where the locale is not UTF-8
    #[arg(long)]
    ascii: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let store = args.store.open(output)?;
    let keyspaces = if args.keyspaces.is_empty() {
        store.keyspaces()
    } else {
        args.keyspaces.iter().map(|name| store.keyspace(name)).collect::<Result<_, _>>()?
    };
    let picture = Picture::of(&store, &keyspaces)?;
    if let Some(path) = &args.svg {
        std::fs::write(path, svg(&picture)).map_err(Failure::io("write", path))?;
    }
    if output.json() {
        output.object(&picture.json())?;
    } else if let Some(path) = &args.svg {
        output.line(format_args!("drew {}", path.display()))?;
    } else {
        output.drawing(&draw(&picture, Style::detect(output.is_terminal(), args.ascii)))?;
    }
    Ok(Exit::Fine)
}
