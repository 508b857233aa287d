//! That the tests notice when a protection is missing.

#[cfg(feature = "failpoints")]
#[test]
fn a_missing_protection_is_noticed() {
    for (protection, test) in [
        ("expiry-horizon", "a_snapshot_keeps_its_moment_and_compactions_leave_what_it_reads"),
        ("check-expiry", "a_transaction_meets_a_conflict_when_a_row_has_expired_that_it_has_read"),
        ("write-moment", "moment::all_of_a_write_is_judged_at_one_moment"),
        ("compare-expired", "reshapes_find_no_difference_while_rows_expire_and_are_reclaimed"),
    ] {
        let test = format!("expiry::{test}");
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture", "--test-threads=1"])
            .env("ANNULUS_SKIP", protection)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 failed"), "without {protection}, {test} passes:\n{text}");
    }
}
