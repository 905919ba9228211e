//! Clients of Toxiproxy's API, which `cargo xtask install` has put below `target/`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{of, passes};
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
fn meets(mut client: Command, wanted: &[&str]) {
    let folder = clients();
    if ["python", "node"]
        .iter()
        .any(|name| !folder.join(name).join("packages").is_file())
    {
        let folder = folder.display();
        fracas_lab::skip(&format!(
            "no clients of Toxiproxy in {folder}: `cargo xtask install` puts them there"
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
    meets(python("toxiproxy_client.py"), &["proxies", "toxics", "all of them"]);
}

#[test]
fn the_client_in_node_sees_each_toxic() {
    meets(node("toxiproxy_client.js"), &["proxies", "toxics", "all of them"]);
}

#[test]
fn experiments_of_chaos_toolkit_run_to_their_ends() {
    meets(python("chaos_experiments.py"), &["each toxic", "cut"]);
}
