//! As much of the protocol of NATS and of its streams as an outbox needs, without a client library.
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use serde_json::{Value, json};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Where answers come to.
const INBOX: &str = "_INBOX.outbox";

/// A connection to a server.
pub(crate) struct Nats {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

/// A message: its headers, as they are, and its content.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) headers: String,
    pub(crate) content: Vec<u8>,
}

impl Nats {
    pub(crate) fn connect(server: &str) -> io::Result<Self> {
        let writer = TcpStream::connect(server)?;
        writer.set_read_timeout(Some(Duration::from_secs(10)))?;
        writer.set_nodelay(true)?;
        let mut nats = Self { reader: BufReader::new(writer.try_clone()?), writer };
        // The server introduces itself first.
        let info = nats.line()?;
        if !info.starts_with("INFO ") {
            return Err(io::Error::other(format!("no NATS server: {info}")));
        }
        let options = json!({ "verbose": false, "headers": true, "no_responders": true });
        write!(nats.writer, "CONNECT {options}\r\nSUB {INBOX} 1\r\nPING\r\n")?;
        while nats.line()? != "PONG" {}
        Ok(nats)
    }

    /// Creates a stream that keeps what is published on its subjects; changes nothing if it is there.
    pub(crate) fn create_stream(&mut self, name: &str, subjects: &str) -> io::Result<()> {
        let stream = json!({
            "name": name, "subjects": [subjects], "storage": "file", "allow_direct": true,
            // Nanoseconds within which a message with a known number is dropped.
            "duplicate_window": 3_600_000_000_000_u64,
        });
        self.request(&format!("$JS.API.STREAM.CREATE.{name}"), &stream).map(drop)
    }

    /// Publishes messages, each with a number by which the stream recognizes one that it has, and
    /// returns once it has all of them.
    pub(crate) fn publish(&mut self, messages: &[(String, String, Vec<u8>)]) -> io::Result<()> {
        let mut out = Vec::new();
        for (subject, number, content) in messages {
            let headers = format!("NATS/1.0\r\nNats-Msg-Id: {number}\r\n\r\n");
            let (head, all) = (headers.len(), headers.len() + content.len());
            write!(out, "HPUB {subject} {INBOX} {head} {all}\r\n{headers}")?;
            out.extend_from_slice(content);
            out.extend_from_slice(b"\r\n");
        }
        self.writer.write_all(&out)?;
        for _ in messages {
            let answer = self.message()?;
            let answer: Value = serde_json::from_slice(&answer.content)?;
            if !answer["seq"].is_u64() {
                return Err(io::Error::other(format!("not stored: {answer}")));
            }
        }
        Ok(())
    }

    /// Returns how many messages a stream has.
    pub(crate) fn messages(&mut self, stream: &str) -> io::Result<u64> {
        let info = self.request(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}))?;
        info["state"]["last_seq"].as_u64().ok_or_else(|| io::Error::other(info.to_string()))
    }

    /// Returns a message of a stream, by its place; the first is 1.
    pub(crate) fn get(&mut self, stream: &str, place: u64) -> io::Result<Message> {
        self.send(&format!("$JS.API.DIRECT.GET.{stream}"), &json!({ "seq": place }))?;
        self.message()
    }

    fn request(&mut self, subject: &str, content: &Value) -> io::Result<Value> {
        self.send(subject, content)?;
        let answer: Value = serde_json::from_slice(&self.message()?.content)?;
        match answer.get("error") {
            Some(error) => Err(io::Error::other(error.to_string())),
            None => Ok(answer),
        }
    }

    fn send(&mut self, subject: &str, content: &Value) -> io::Result<()> {
        let content = content.to_string();
        write!(self.writer, "PUB {subject} {INBOX} {}\r\n{content}\r\n", content.len())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Returns the next message; answers what else the server asks.
    fn message(&mut self) -> io::Result<Message> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split(' ').collect();
            let length = |word: Option<&&str>| {
                let length = word.and_then(|word| word.parse::<usize>().ok());
                length.ok_or_else(|| io::Error::other(format!("a line `{line}`")))
            };
            let (head, all) = match words.first() {
                Some(&"MSG") => (0, length(words.last())?),
                Some(&"HMSG") => {
                    (length(words.get(words.len().wrapping_sub(2)))?, length(words.last())?)
                }
                Some(&"PING") => {
                    self.writer.write_all(b"PONG\r\n")?;
                    continue;
                }
                Some(&"-ERR") => return Err(io::Error::other(line)),
                _ => continue,
            };
            let mut content = vec![0; all + 2];
            self.reader.read_exact(&mut content)?;
            content.truncate(all);
            let rest = content.split_off(head.min(all));
            let headers = String::from_utf8_lossy(&content).into_owned();
            return Ok(Message { headers, content: rest });
        }
    }
}
