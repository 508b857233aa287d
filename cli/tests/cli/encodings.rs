//! Files that are not text of the kind that is read: in UTF-16, or with lines that end in a lone
//! carriage return. Each of these used to be loaded with wrong keys, and the command ended with 0.

use super::Place;

/// Text in UTF-16, with the least significant byte first or last.
fn utf16(text: &str, little: bool) -> Vec<u8> {
    let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

/// Checks that a file is refused at this line with these words, and that nothing is loaded.
fn is_refused(place: &Place, name: &str, file: &[u8], how: &[&str], line: u64, words: &[&str]) {
    place.write(name, file);
    let load = [&["load", "h", "--from", name][..], how].concat();
    let at = format!("{name}:{line}: ");
    place.fails(&load, 2, "invalid_argument", &[&[&*at], words].concat());
    assert_eq!(place.text(&["scan", "h"]), "", "{name} {how:?} {}", file.escape_ascii());
}

#[test]
fn utf_16_is_refused_before_anything_is_loaded() {
    let place = Place::new();
    let rows = "key\tvalue\nada\t1\nbob\t2\n";
    for little in [true, false] {
        for rows in [rows.to_owned(), rows.replace('\n', "\r\n"), "三上\t1\n五\t2\n".into()] {
            let marked = utf16(&format!("\u{feff}{rows}"), little);
            let convert = ["UTF-16", "iconv -f UTF-16 -t UTF-8"];
            for how in [&[][..], &["--no-header"], &["--key-column", "2"], &["--format", "csv"]] {
                is_refused(&place, "marked.tsv", &marked, how, 1, &convert);
            }
        }
        let convert = ["NUL", "UTF-16", "iconv -f UTF-16LE -t UTF-8"];
        for format in ["tsv", "csv"] {
            let rows = if format == "csv" { rows.replace('\t', ",") } else { rows.into() };
            let bare = utf16(&rows, little);
            for how in [&[][..], &["--no-header"], &["--key-column", "2"]] {
                let how = [how, &["--format", format]].concat();
                is_refused(&place, "bare", &bare, &how, 1, &convert);
            }
        }
        let words = utf16("ant\nbee\n", little);
        is_refused(&place, "words", &words, &["--no-header"], 1, &convert);
    }
    // Only the tabs and line ends of these have a NUL byte.
    let convert = ["NUL", "iconv"];
    let rows = "五\t中\n土\t中\n";
    is_refused(&place, "t", &utf16(rows, true), &["--no-header"], 2, &convert);
    is_refused(&place, "t", &utf16(rows, false), &["--no-header"], 1, &convert);
    is_refused(&place, "t", &utf16("五\n土\n", true), &[], 2, &convert);
    let marked = [b"\xff\xfe\0\0", &utf16("k\0\n\0", true)[..]].concat();
    is_refused(&place, "t", &marked, &[], 1, &["UTF-32", "iconv -f UTF-32 -t UTF-8"]);
    // Other commands that read rows.
    place.write("t", utf16("a\nb\n", true));
    for command in [
        &["keyspace", "create", "s", "--range", "--split-like", "t", "--no-header"][..],
        &["export", "h", "--like", "t"],
        &["replay", "--from", "t", "--weight", "1", "--store", "other"],
        &["demo", "--from", "t"],
    ] {
        place.fails(command, 2, "invalid_argument", &["t:1: ", "NUL", "iconv"]);
    }
}

#[test]
fn lone_carriage_returns_do_not_make_one_key_of_several() {
    let place = Place::new();
    let mend = ["carriage return", r"tr '\r' '\n'"];
    for rows in ["ada\t1\rbob\t2\r", "ada\t1\rbob\t2", "ada\rbob\r", "ada\rbob\neve\n", "ada\r\r\n"]
    {
        is_refused(&place, "old.tsv", rows.as_bytes(), &["--no-header"], 1, &mend);
        is_refused(&place, "old.tsv", rows.as_bytes(), &[], 1, &mend);
        let rows = rows.replace('\t', ",");
        is_refused(&place, "old.csv", rows.as_bytes(), &["--no-header"], 1, &mend);
        is_refused(&place, "old.csv", rows.as_bytes(), &[], 1, &mend);
    }
    // Where the first line is correct, such a line is left out and the others are loaded.
    for (rows, keys) in [
        ("ant\nbee\rcat\ndog\n", "ant\ndog\n"),
        ("ant\r\nbee\rcat\r\ndog\r\r\neel\r\n", "ant\neel\n"),
    ] {
        let place = Place::new();
        place.write("mixed", rows);
        for how in [&["--no-header"][..], &["--no-header", "--format", "csv"]] {
            let load = [&["load", "h", "--from", "mixed"][..], how].concat();
            let output = place.run(&load).code(1).get_output().clone();
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(told.contains("mixed:2: ") && told.contains(mend[1]), "{told}");
            assert_eq!(place.text(&["scan", "h", "--keys-only"]), keys);
        }
    }
}

/// Two files with byte order marks, one after the other.
#[test]
fn a_byte_order_mark_is_no_part_of_a_key_further_down() {
    let place = Place::new();
    place.write("both.tsv", "\u{feff}ada\t1\n\u{feff}bob\t2\n");
    let output = place.run(&["load", "h", "--from", "both.tsv", "--no-header"]).code(1);
    let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(told.contains("both.tsv:2: the key begins with a byte order mark"), "{told}");
    assert_eq!(place.text(&["scan", "h"]), "ada\t1\n");
}

/// Intended bytes pass in and out unchanged: any bytes in quotes, and in the values of TSV.
#[test]
fn bytes_that_are_meant_stay_as_they_are() {
    let place = Place::new();
    let csv =
        b"key,value\n\"\0\0\0\x01\",\0\n\"\xef\xbb\xbfmark\",\"two\rlines\"\n\"line\rs\",\0a\rb\n";
    let mut sorted = csv.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>();
    sorted[1..].sort_by_key(|line| line[1..].to_vec());
    let tsv = b"a\t\0x\0\nb\t1\r2\r\nc\t\xff\xfe\n".to_vec();
    for (name, file, how) in
        [("in.csv", sorted.concat(), &[][..]), ("in.tsv", tsv, &["--no-header"])]
    {
        let place = Place::new();
        place.write(name, &file);
        place.run(&[&["load", "h", "--from", name][..], how].concat()).success();
        let exported = place.bytes(&[&["export", "h", "--like", name][..], how].concat());
        assert_eq!(exported.escape_ascii().to_string(), file.escape_ascii().to_string());
    }
    // TSV has no quotes.
    place.run(&["put", "h", "00", "", "--hex"]).success();
    place.run(&["put", "h", "610d62", "", "--hex"]).success();
    let output = place.run(&["export", "h"]).code(1).get_output().clone();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("has a NUL byte") && told.contains("CSV can"), "{told}");
    assert!(told.contains("has a carriage return") && output.stdout.is_empty(), "{told}");
    let exported = place.bytes(&["export", "h", "--format", "csv"]);
    assert_eq!(exported, b"\"\0\",\n\"a\rb\",\n");
}
