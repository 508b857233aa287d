//! Names, and what is shown only once.

/// Returns the distinct values of something, in the order in which they appear.
pub(super) fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

/// Returns a workload's letter.
pub(super) fn letter(workload: &str) -> String {
    if workload == "load" { "Load".to_owned() } else { workload.to_uppercase() }
}

/// Returns a workload's letter with what it does.
pub(super) fn title(workload: &str) -> String {
    let what = match workload {
        "load" => return "Load: inserts alone".to_owned(),
        "a" => "half reads, half updates",
        "b" => "95 % reads, 5 % updates",
        "c" => "reads alone",
        "d" => "95 % reads of the latest, 5 % inserts",
        "e" => "95 % scans of 1 to 100 rows, 5 % inserts",
        "f" => "half reads, half read-modify-writes",
        other => return other.to_owned(),
    };
    format!("{}: {what}", workload.to_uppercase())
}
