//! The drawings of `map`.

use super::Place;

#[test]
fn the_map_names_every_owner() {
    let place = Place::new();
    place.fill("r", &(0..30).map(|n| format!("key-{n}\tx\n")).collect::<String>());
    let map = place.text(&["map", "--ascii"]);
    assert!(map.is_ascii(), "{map}");
    assert!(map.contains("keyspace h, by hash, 9 arcs, max/mean 1.000"), "{map}");
    assert!(map.contains("A 0") && map.contains("C 2"), "{map}");
    assert!(map.contains("\"key-1\""), "{map}");
    let narrow = place.command(&["map"]).env("COLUMNS", "50").output().unwrap();
    let narrow = String::from_utf8(narrow.stdout).unwrap();
    let ring = narrow.lines().take_while(|line| !line.contains("keyspace r"));
    assert!(ring.skip(1).all(|line| line.chars().count() <= 50), "{narrow}");
    assert!(!narrow.contains('\x1b'), "{narrow}");
    place.fails(&["map", "nobody"], 3, "not_found", &["`nobody`"]);
}

#[test]
fn the_map_as_json_tiles_each_keyspace() {
    let place = Place::new();
    let map = place.json(&["map"]);
    let arcs = map["keyspaces"][0]["arcs"].as_array().unwrap();
    assert_eq!(arcs.len(), 9);
    assert_eq!(arcs[0]["start"], "0000000000000000");
    assert!(arcs.windows(2).all(|pair| pair[0]["end"] == pair[1]["start"]));
    assert!(arcs[8]["end"].is_null());
    let ranges = map["keyspaces"][1]["ranges"].as_array().unwrap();
    assert_eq!(ranges[1]["start"], "key-1");
    assert_eq!(ranges[1]["end"], "key-2");
    let owned: f64 = map["keyspaces"][0]["shares"]
        .as_array()
        .unwrap()
        .iter()
        .map(|share| share["owned"].as_f64().unwrap())
        .sum();
    assert!((owned - 1.0).abs() < 1e-9);
}

/// Names and boundaries may contain everything that XML is made of.
#[test]
fn the_svg_is_well_formed() {
    let place = Place::new();
    place
        .run(&["keyspace", "create", "<&\">", "--range", "--split-at", "<b>&\u{1}\"]]>"])
        .success();
    assert!(place.text(&["map", "--svg", "map.svg"]).contains("map.svg"));
    let svg = String::from_utf8(place.read("map.svg")).unwrap();
    assert!(svg.contains("&lt;&amp;&quot;&gt;") && !svg.contains("<b>"), "{svg}");
    assert!(!svg.chars().any(|c| c.is_control() && c != '\n'));
    assert_well_formed(&svg);
}

/// Every element that is opened is closed, in order, and no stray `&` is left.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    for piece in xml.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split([' ', '\n']).next().unwrap()),
        }
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "{text}");
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
