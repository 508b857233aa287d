//! The clients of the check: each asks until it is answered.

use crate::Links;
use crate::support::{Process, random};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CLIENTS: u64 = 16;

/// Asks once. Returns the status, the whole answer, or none if there was no whole answer.
async fn ask(address: &str, request: String) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let is_whole = length.is_none_or(|length| length.parse() == Ok(body.len()));
    is_whole.then(|| (status, format!("{head}\n{body}")))
}

fn post(key: &str, url: &str) -> String {
    let length = url.len();
    format!(
        "POST /links HTTP/1.1\r\nHost: links\r\nIdempotency-Key: {key}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{url}"
    )
}

fn get(code: &str) -> String {
    format!("GET /{code} HTTP/1.1\r\nHost: links\r\nConnection: close\r\n\r\n")
}

/// Makes links until `over` is set. Returns the code of each request. Some answers are not waited for,
/// and some requests are sent twice at the same time.
async fn make_links(
    address: Arc<str>,
    client: u64,
    mut random: fastrand::Rng,
    over: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
) -> BTreeMap<String, String> {
    let mut answered = BTreeMap::new();
    for n in 0_u64.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let (key, url) = (format!("{client}/{n}"), format!("https://example.org/{client}/{n}"));
        let code = loop {
            let patience = Duration::from_millis(if random.u8(..8) == 0 { 1 } else { 10_000 });
            let once = || tokio::time::timeout(patience, ask(&address, post(&key, &url)));
            let (one, other) = match random.u8(..8) {
                0 => tokio::join!(once(), once()),
                _ => (once().await, Ok(None)),
            };
            let codes: Vec<String> = [one, other]
                .into_iter()
                .filter_map(|answer| answer.ok().flatten())
                .filter(|(status, _)| *status == 201)
                .map(|(_, answer)| answer.lines().last().unwrap().to_owned())
                .collect();
            assert!(codes.windows(2).all(|pair| pair[0] == pair[1]), "{key}: {codes:?}");
            match codes.into_iter().next() {
                Some(code) => break code,
                None => drop(lost.fetch_add(1, Ordering::Relaxed)),
            }
            tokio::time::sleep(Duration::from_millis(random.u64(..20))).await;
        };
        answered.insert(key, code);
    }
    answered
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Kills the service at random moments while clients use it; then looks at what it has.
pub(crate) async fn check(kills: u32) {
    let directory = tempfile::tempdir().unwrap();
    let (path, address) = (directory.path().join("store"), Arc::<str>::from(free_address()));
    let (mut random, over) = (random(), Arc::new(AtomicBool::new(false)));
    let lost = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, over, lost) =
                (Arc::clone(&address), Arc::clone(&over), Arc::clone(&lost));
            tokio::spawn(make_links(address, client, random.fork(), over, lost))
        })
        .collect();
    for _ in 0..kills {
        let service = Process::start(&path, &[&address]);
        tokio::time::sleep(Duration::from_millis(random.u64(200..1000))).await;
        service.kill();
    }
    let service = Process::start(&path, &[&address]);
    over.store(true, Ordering::Relaxed);
    let mut answered = BTreeMap::new();
    for client in clients {
        answered.extend(client.await.unwrap());
    }
    for (key, code) in answered.iter().step_by(97) {
        let (status, answer) = ask(&address, get(code)).await.unwrap();
        assert!(
            status == 302 && answer.contains(&format!("https://example.org/{key}")),
            "{answer}"
        );
    }
    assert_eq!(ask(&address, get("nothing")).await.unwrap().0, 404);
    // It answers what has begun, closes its store, and ends well.
    service.interrupt();
    let links = audit(&path, &answered).await;
    let lost = lost.load(Ordering::Relaxed);
    println!("{links} links, one for each request; {lost} times no answer came, or too late");
}

/// Each request has one link, with its URL, and the code that its client knows.
async fn audit(path: &Path, answered: &BTreeMap<String, String>) -> usize {
    let links = Links::open(path).await;
    let (mut urls, mut requests) = (BTreeMap::new(), BTreeMap::new());
    for (keyspace, rows) in [(&links.links, &mut urls), (&links.requests, &mut requests)] {
        let mut scan = keyspace.scan(..).await.unwrap();
        while let Some(row) = scan.next().await {
            let (key, value) = row.unwrap();
            rows.insert(String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap());
        }
    }
    assert!(answered.len() > 100, "only {} requests", answered.len());
    assert_eq!(&requests, answered, "each request, and no other");
    assert_eq!(urls.len(), requests.len(), "a link of no request");
    for (key, code) in &requests {
        assert_eq!(urls[code], format!("https://example.org/{key}"));
    }
    links.store.shutdown().await.unwrap();
    urls.len()
}
