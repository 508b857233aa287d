//! `annulus heatmap`

use crate::exit::{Exit, Failure, Outcome};
use crate::json::PathJson;
use crate::open::{ClosedStoreArgs, NO_HEAT};
use crate::output::Output;
use crate::picture::{HeatPicture, page};
use crate::redact::Keys;
use annulus::rebalancer::SavedHeat;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The message before the first minute has passed.
const NO_HISTORY: &str = "there is no history of the load yet: it is recorded every minute \
     while a store is open, and when it is closed";

/// Draw where the load fell, and when
///
/// Writes one HTML page that needs no other file and no network: time across, key space upward,
/// colour is load, with each split, merge and move where and when it happened, and tables with the
/// same in numbers. A hash keyspace is drawn by tokens, a range keyspace by the rank of the keys
/// that were sampled. Keys are shown as marks and lengths, unless --show-keys is given.
///
/// It is drawn from what was last recorded, by this process or another: the store is not
/// opened. The record reaches back to its beginning; the longer it is, the coarser are its times.
/// A damaged file of the load is skipped and named, with --json in `damaged`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus heatmap --html heat.html -s /data/store
  annulus heatmap users --html users.html --show-keys -s /data/store")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ClosedStoreArgs,

    /// The keyspace to draw [default: all that have load]
    keyspace: Option<String>,

    /// Write the page to this file
    #[arg(long, value_name = "FILE")]
    html: PathBuf,

    /// Show the keys
    #[arg(long)]
    show_keys: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let known = args.store.last_heat(output)?;
    let maps = write(&args.html, known.heat.as_ref(), args.keyspace.as_deref(), args.show_keys)
        .map_err(|failure| known.explain(failure, output))?;
    let path = args.html.display();
    output.either(
        &json!({ "file": PathJson(&args.html), "keyspaces": maps, "damaged": known.damaged }),
        format_args!("drew {path}: {}", maps.join(", ")),
    )?;
    Ok(Exit::Fine)
}

/// Writes the page with the maps of all keyspaces or one; returns their names.
pub(super) fn write(
    path: &Path,
    heat: Option<&SavedHeat>,
    keyspace: Option<&str>,
    show_keys: bool,
) -> Outcome<Vec<String>> {
    let heat = heat.ok_or_else(|| Failure::not_found(NO_HEAT))?;
    let picture = HeatPicture::of(heat, keyspace, &Keys::shown_if(show_keys));
    if picture.maps.is_empty() {
        return Err(match keyspace {
            _ if heat.state.is_none() => Failure::not_found(NO_HISTORY),
            Some(name) => Failure::not_found(format!("no load is known of a keyspace `{name}`")),
            None => Failure::not_found(NO_HEAT),
        });
    }
    std::fs::write(path, page(&picture)).map_err(Failure::io("write", path))?;
    Ok(picture.maps.into_iter().map(|map| map.name).collect())
}
