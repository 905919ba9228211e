//! Clients of Toxiproxy's API, which `cargo xtask install` has put below `target/`.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{folder, of, passes, within};
use crate::cli::Cli;
use crate::proxied::{Proxied, address};
use crate::support::{LIMIT, soon};

/// Where they are.
fn clients() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients")
}

fn python(program: &str) -> Command {
    of(clients().join("python/bin/python"), program)
}

fn node(program: &str) -> Command {
    let mut command = of("node", program);
    command.env("NODE_PATH", clients().join("node/node_modules"));
    command
}

/// The program that was built of `toxiproxy_client/`.
fn rust() -> Command {
    within(super::LIMIT, clients().join("rust/debug/toxiproxy-client"))
}

/// Whether those of a language are there; of the one in Rust, whether it was built of what stands here now.
fn are_there(language: &str) -> bool {
    let known = fs::read_to_string(clients().join(language).join("packages"));
    known.is_ok_and(|known| language != "rust" || known.ends_with(&sources().join("\n")))
}

/// What cargo reads of the program in Rust, in the order of names, as `cargo xtask install` writes it down.
fn sources() -> Vec<String> {
    let entries = fs::read_dir(folder().join("toxiproxy_client")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let is_read = |end: &OsStr| end == "rs" || end == "toml" || end == "lock";
    paths.retain(|path| path.is_file() && path.extension().is_some_and(is_read));
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// A server that gives as many bytes as the line asks for, and then ends, or stays until its client does. Ends with the test process.
fn source() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Its client may be gone, or a proxy without a client: then nobody misses the rest.
            std::thread::spawn(move || give(&stream));
        }
    });
    port
}

fn give(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    let (count, stays) = line.split_once(' ').map_or((&*line, false), |(count, _)| (count, true));
    let body: Vec<u8> = (0..count.parse().unwrap_or(0)).map(|n: u64| (n % 251) as u8).collect();
    stream.write_all(&body)?;
    if stays {
        let _rest = lines.count();
    }
    Ok(())
}

/// Runs a client to its end, before an API of its own.
#[track_caller]
fn meets(language: &str, mut client: Command, wanted: &[&str]) {
    if !are_there(language) {
        let folder = clients().join(language);
        fracas_lab::skip(&format!(
            "no clients of Toxiproxy, or older ones, in {}: `cargo xtask install` puts them there",
            folder.display()
        ));
        return;
    }
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--seed", "7", "--toxiproxy-api", "0"]);
    let mut api = None;
    soon(LIMIT, "it says where that API is", || {
        api = address(&proxy.going.err(), "toxiproxy: http://");
        api
    });
    client.args([api.unwrap().port(), source()].map(|port| port.to_string()));
    passes(client.arg(cli.place()), wanted);
}

#[test]
fn the_client_in_python_sees_each_toxic() {
    meets(
        "python",
        python("toxiproxy_client.py"),
        &["proxies", "toxics", "all of them"],
    );
}

#[test]
fn the_client_in_node_sees_each_toxic() {
    meets(
        "node",
        node("toxiproxy_client.js"),
        &["proxies", "toxics", "all of them"],
    );
}

#[test]
fn the_client_in_rust_sees_each_toxic() {
    let wanted = ["proxies", "toxics", "shares", "down", "populate again", "all of them"];
    meets("rust", rust(), &wanted);
}

#[test]
fn experiments_of_chaos_toolkit_run_to_their_ends() {
    meets("python", python("chaos_experiments.py"), &["each toxic", "cut"]);
}
