//! Generated rows that look like real ones.

use super::check::Row;
use fastrand::Rng;

const SHOPS: [&str; 6] = ["books", "garden", "music", "outdoor", "toys", "wine"];
const EVENTS: [&str; 5] = ["login", "logout", "order", "refund", "visit"];
const CITIES: [&str; 6] = ["Bergen", "Kyōto", "Lagos", "Lima", "Oslo", "Zürich"];

/// Returns `number` rows with different keys, the same ones for the same seed: users, pages of
/// shops, and events by time. Many keys share long prefixes, and some parts of the key space are
/// crowded.
#[must_use]
pub fn generate(number: u64, seed: u64) -> Vec<Row> {
    let mut random = Rng::with_seed(seed);
    (0..number).map(|n| row(n, &mut random)).collect()
}

/// Returns the row `n`; its number in the key makes it differ from all others.
fn row(n: u64, random: &mut Rng) -> Row {
    let pick = |random: &mut Rng, names: &[&'static str]| random.choice(names).copied();
    match random.u8(..10) {
        0..4 => {
            let city = pick(random, &CITIES).unwrap_or_default();
            let (born, score) = (random.u16(1940..2010), random.u32(..1_000_000));
            let key = format!("user:{n:09}:profile");
            (key.into(), format!(r#"{{"born":{born},"city":"{city}","score":{score}}}"#).into())
        }
        4..8 => {
            let shop = pick(random, &SHOPS).unwrap_or_default();
            let key = format!("https://{shop}.example/items/{:02x}/{n}", random.u8(..));
            (key.into(), words(random))
        }
        _ => {
            let (day, second) = (random.u8(1..29), random.u32(..86_400));
            let event = pick(random, &EVENTS).unwrap_or_default();
            let key = format!("event:2026-11-{day:02}T{second:05}:{event}:{n}");
            (key.into(), random.u64(..).to_be_bytes().to_vec())
        }
    }
}

fn words(random: &mut Rng) -> Vec<u8> {
    let number = random.usize(2..24);
    let word = |random: &mut Rng| {
        let letters = random.usize(2..10);
        (0..letters).map(|_| random.lowercase()).collect::<String>()
    };
    (0..number).map(|_| word(random)).collect::<Vec<_>>().join(" ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_the_seed_decides() {
        let rows = generate(10_000, 7);
        let keys: std::collections::BTreeSet<_> = rows.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), 10_000);
        assert_eq!(rows, generate(10_000, 7));
        assert_ne!(rows, generate(10_000, 8));
    }
}
