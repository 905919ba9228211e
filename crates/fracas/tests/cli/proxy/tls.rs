//! `fracas proxy` with TLS: each of its flags, with curl as the client.

use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::cli::Cli;
use crate::proxied::{Proxied, address};
use crate::support::{LIMIT, soon};

/// What curl printed of the body, behind the version of HTTP and the status; or its exit code.
#[expect(clippy::disallowed_methods, reason = "a real client is another program")]
fn curl(words: &[&str]) -> Result<String, i32> {
    let output = Command::new("curl")
        .args([
            "-sS",
            "--noproxy",
            "*",
            "--max-time",
            "30",
            "-w",
            "%{http_version} %{http_code} ",
        ])
        .args(words)
        .output()
        .expect("curl is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(output.status.code().unwrap_or(-1))
    }
}

fn url(proxy: &Proxied, host: &str) -> String {
    format!("https://{host}:{}/x", proxy.address.port())
}

/// By both versions of HTTP.
fn is_answered(proxy: &Proxied, host: &str, ca: &str) -> bool {
    let resolve = format!("{host}:{}:127.0.0.1", proxy.address.port());
    let to = url(proxy, host);
    let said = |version| curl(&[version, "--cacert", ca, "--resolve", &resolve, &to]);
    let [one, two] = [said("--http1.1"), said("--http2")];
    let body = |version: &str| {
        Ok(format!(
            "{{\"method\":\"GET\",\"path\":\"/x\",\"body\":0}}{version} 200 "
        ))
    };
    one == body("1.1") && two == body("2")
}

/// An authority, and a certificate of it for localhost with its key, in files.
fn given(cli: &Cli) -> [String; 3] {
    let mut params = CertificateParams::default();
    // OpenSSL takes a certificate of its issuer's name for one that signed itself.
    params.distinguished_name.push(DnType::CommonName, "an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    [
        cli.file("ca.pem", &authority.pem()),
        cli.file("cert.pem", &certificate.pem()),
        cli.file("key.pem", &key.serialize_pem()),
    ]
}

#[test]
fn clients_see_the_certificate_that_was_given() {
    let cli = Cli::new();
    let [ca, certificate, key] = given(&cli);
    let proxy = Proxied::start(&cli, &["--tls-cert", &certificate, "--tls-key", &key]);
    assert!(is_answered(&proxy, "localhost", &ca));
    // The certificate is of another name.
    assert_eq!(curl(&["--cacert", &ca, &url(&proxy, "127.0.0.1")]), Err(60));
    let err = proxy.going.err();
    assert!(err.contains("\napi: https://127.0.0.1:"), "{err}");
}

#[test]
fn a_certificate_is_made_for_the_names_that_were_asked_for() {
    let cli = Cli::new();
    let ca = cli.place().join("made.pem").display().to_string();
    let words = [
        "--tls-self-signed",
        "--tls-ca-out",
        &ca,
        "--tls-name",
        "shop.example",
        "--tls-name",
        "10.1.2.3",
    ];
    let proxy = Proxied::start(&cli, &words);
    for host in ["localhost", "127.0.0.1", "shop.example", "10.1.2.3"] {
        let resolve = format!("{host}:{}:127.0.0.1", proxy.address.port());
        let to = format!("{host}::127.0.0.1:");
        let said = curl(&[
            "--cacert",
            &ca,
            "--resolve",
            &resolve,
            "--connect-to",
            &to,
            &url(&proxy, host),
        ]);
        assert!(said.is_ok(), "{host}: {said:?}");
    }
    assert!(is_answered(&proxy, "localhost", &ca));
    let other = format!("other.example:{}:127.0.0.1", proxy.address.port());
    let said = curl(&["--cacert", &ca, "--resolve", &other, &url(&proxy, "other.example")]);
    assert_eq!(said, Err(60));
    let text = std::fs::read_to_string(&ca).unwrap();
    assert!(!text.contains("PRIVATE KEY"), "the authority's key is nowhere");
}

#[test]
fn a_certificate_is_made_for_the_addresses_of_all_listeners() {
    let cli = Cli::new();
    let ca = cli.place().join("made.pem").display().to_string();
    let words = ["--tls-self-signed", "--tls-ca-out", &ca, "--listener", "b=127.0.0.2:0"];
    let proxy = Proxied::start(&cli, &words);
    let b = soon(LIMIT, "it says where it listens", || {
        address(&proxy.going.err(), "listener b: https://")
    });
    let said = curl(&["--cacert", &ca, &format!("https://{b}/x")]);
    assert!(b.ip().to_string() == "127.0.0.2" && said.is_ok(), "{b}: {said:?}");
}

#[test]
fn the_file_of_the_authority_is_replaced_whole_and_no_link_is_followed() {
    let cli = Cli::new();
    let place = cli.place().join("given");
    std::fs::create_dir(&place).unwrap();
    let (ca, other) = (place.join("ca.pem"), cli.file("other", "of somebody else"));
    let words =
        |file: &std::path::Path| ["--tls-self-signed", "--tls-ca-out", &file.display().to_string()].map(str::to_owned);
    let refused = |file: &std::path::Path, more: [&str; 2]| {
        let words = words(file);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        cli.refused(&[&["proxy"], &more[..], &words].concat())
    };
    std::os::unix::fs::symlink(&other, place.join("link")).unwrap();
    for file in [place.join("link"), "/dev/null".into(), place.clone()] {
        let said = refused(&file, ["--listen", "0"]);
        assert!(said.contains("no plain file"), "{}: {said}", file.display());
    }
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "of somebody else");
    std::fs::remove_file(place.join("link")).unwrap();
    std::fs::write(&ca, "an old one").unwrap();
    // Who has a part of the old file goes on seeing it.
    let mut old = std::fs::File::open(&ca).unwrap();
    // One that has no port has nobody who is to trust it.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let said = refused(&ca, ["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(said.contains("N003"), "{said}");
    assert_eq!(std::fs::read_to_string(&ca).unwrap(), "an old one");
    let proxy = Proxied::start(&cli, &words(&ca).each_ref().map(String::as_str));
    assert!(is_answered(&proxy, "localhost", &ca.display().to_string()));
    assert_eq!(std::io::read_to_string(&mut old).unwrap(), "an old one");
    // Nothing else is left there.
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
}

#[test]
fn without_a_file_the_authority_is_on_standard_output() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--tls-self-signed"]);
    let out = proxy.going.out();
    assert!(out.starts_with("-----BEGIN CERTIFICATE-----\n"), "{out}");
    let ca = cli.file("printed.pem", &out);
    assert!(is_answered(&proxy, "localhost", &ca));
    // Each has an authority of its own.
    let another = Proxied::start(&cli, &["--tls-self-signed"]);
    assert_eq!(curl(&["--cacert", &ca, &url(&another, "localhost")]), Err(60));
}

#[test]
fn an_upstream_of_tls_must_be_vouched_for_unless_it_is_said_that_anybody_will_do() {
    let cli = Cli::new();
    let [ca, certificate, key] = given(&cli);
    let upstream = Proxied::start(&cli, &["--tls-cert", &certificate, "--tls-key", &key]);
    let to = format!("https://localhost:{}", upstream.address.port());
    let status = |cli: &Cli, words: &[&str]| {
        let proxy = Proxied::start(cli, &[&["--upstream", &to], words].concat());
        let got = proxy.get("/x", "a");
        let is_told = proxy
            .going
            .err()
            .contains("warning: nobody vouches for the upstream (--upstream-insecure)");
        (got.status().to_owned(), got.body, is_told)
    };
    let body = "{\"method\":\"GET\",\"path\":\"/x\",\"body\":0}".to_owned();
    assert_eq!(
        status(&cli, &["--upstream-ca", &ca]),
        ("200".to_owned(), body.clone(), false)
    );
    assert_eq!(
        status(&cli, &["--upstream-insecure"]),
        ("200".to_owned(), body.clone(), true)
    );
    // Those of the machine are whom it names itself.
    let mut believes = Cli::new();
    believes.set("SSL_CERT_FILE", &ca);
    assert_eq!(status(&believes, &[]), ("200".to_owned(), body, false));
    let others = Cli::new();
    let [of_others, ..] = given(&others);
    let mut doubts = Cli::new();
    doubts.set("SSL_CERT_FILE", &of_others);
    let (status, body, _) = status(&doubts, &[]);
    assert!(
        status == "502" && body.contains("signed by nobody who is trusted"),
        "{status} {body}"
    );
}

#[test]
fn clients_and_the_proxy_itself_show_certificates_where_it_is_asked() {
    let cli = Cli::new();
    let [ca, certificate, key] = given(&cli);
    let own = ["--tls-cert", &certificate, "--tls-key", &key];
    let server = Proxied::start(&cli, &[&own[..], &["--tls-client-ca", &ca]].concat());
    let to = url(&server, "localhost");
    let shows = ["--cacert", &ca, "--cert", &certificate, "--key", &key, &to];
    assert!(curl(&shows).is_ok());
    assert!(curl(&["--cacert", &ca, &to]).is_err());
    // One proxy behind another.
    let status = |words: &[&str]| {
        let upstream = format!("https://localhost:{}", server.address.port());
        let to = ["--upstream", &upstream, "--upstream-ca", &ca];
        let got = Proxied::start(&cli, &[&to[..], words].concat()).get("/x", "a");
        (got.status().to_owned(), got.body)
    };
    let shown = ["--upstream-cert", &certificate, "--upstream-key", &key];
    assert_eq!(status(&shown).0, "200");
    let (refused, why) = status(&[]);
    assert_eq!(refused, "502", "{why}");
}

#[test]
fn what_is_said_of_upstreams_of_tls_is_of_those_of_other_listeners_too() {
    let cli = Cli::new();
    let [ca, certificate, key] = given(&cli);
    let own = ["--tls-cert", &certificate, "--tls-key", &key];
    let server = Proxied::start(&cli, &[&own[..], &["--tls-client-ca", &ca]].concat());
    let b = format!("b=0,https://localhost:{}", server.address.port());
    let status = |words: &[&str]| {
        let proxy = Proxied::start(&cli, &[&["--listener", &b], words].concat());
        let at = soon(LIMIT, "it says where it listens", || {
            address(&proxy.going.err(), "listener b: http://")
        });
        curl(&[&format!("http://{at}/x"), "-o", "/dev/null"]).unwrap()
    };
    let shown = ["--upstream-cert", &certificate, "--upstream-key", &key];
    for trust in [&["--upstream-ca", &ca][..], &["--upstream-insecure"]] {
        assert_eq!(status(&[trust, &shown].concat()), "1.1 200 ", "{trust:?}");
        assert_eq!(status(trust), "1.1 502 ", "{trust:?}");
    }
}

#[test]
fn what_cannot_be_used_is_refused() {
    let mut cli = Cli::new();
    let [ca, certificate, key] = given(&cli);
    let other_key = cli.file("other.pem", &KeyPair::generate().unwrap().serialize_pem());
    let refused = |cli: &Cli, words: &[&str]| cli.refused(&[&["proxy", "--listen", "0"], words].concat());
    for (words, says) in [
        (["--tls-cert", &key, "--tls-key", &key], "has no certificates in PEM"),
        (
            ["--tls-cert", &certificate, "--tls-key", &ca],
            "has no private key in PEM",
        ),
        (
            ["--tls-cert", &certificate, "--tls-key", &other_key],
            "cannot be used for TLS",
        ),
    ] {
        let said = refused(&cli, &words);
        assert!(said.contains("N010") && said.contains(says), "{words:?}: {said}");
    }
    let nobody = cli.file("nobody.pem", "");
    let none = cli.place().join("none.pem").display().to_string();
    for (file, code) in [(&nobody, "N010"), (&key, "N010"), (&none, "D001")] {
        let said = refused(&cli, &["--tls-self-signed", "--tls-client-ca", file]);
        assert!(said.contains(code) && said.contains(file.as_str()), "{said}");
    }
    let said = refused(&cli, &["--tls-client-ca", &ca]);
    assert!(
        said.contains("R004") && said.contains("about clients of TLS, and they come without"),
        "{said}"
    );
    let shown = ["--upstream-cert", &certificate, "--upstream-key", &key];
    let said = refused(&cli, &shown);
    assert!(said.contains("`--upstream-cert` is about an upstream of TLS"), "{said}");
    let unlike = ["--upstream-cert", &certificate, "--upstream-key", &other_key];
    let unlike = [&["--upstream", "https://a"][..], &unlike].concat();
    assert!(refused(&cli, &unlike).contains("cannot be shown to an upstream"));
    let said = refused(&cli, &["--tls-self-signed", "--tls-name", "no name\u{e9}"]);
    assert!(said.contains("N010"), "{said}");
    for words in [&["--upstream-ca", ca.as_str()][..], &["--upstream-insecure"]] {
        for upstream in [&[][..], &["--upstream", "http://127.0.0.1:1"]] {
            let said = refused(&cli, &[words, upstream].concat());
            assert!(
                said.contains("is about an upstream of TLS, and there is none"),
                "{words:?}: {said}"
            );
        }
    }
    for words in [
        &["--tls-cert", certificate.as_str()][..],
        &["--tls-key", &key],
        &["--tls-name", "a"],
        &["--tls-ca-out", &ca],
        &["--tls-self-signed", "--tls-cert", &certificate, "--tls-key", &key],
        &["--upstream", "https://a", "--upstream-ca", &ca, "--upstream-insecure"],
        &["--upstream", "https://a", "--upstream-cert", &certificate],
        &["--upstream", "https://a", "--upstream-key", &key],
        &[
            "--tls-passthrough",
            "--api-listen",
            "0",
            "--upstream",
            "tcp://a:1",
            "--tls-client-ca",
            &ca,
        ],
    ] {
        let said = cli.run(&[&["proxy", "--listen", "0"], words].concat());
        assert_eq!(said.code, 2, "{words:?}: {}", said.err);
    }
    let nowhere = cli.place().join("none/ca.pem").display().to_string();
    assert!(refused(&cli, &["--tls-self-signed", "--tls-ca-out", &nowhere]).contains(&nowhere));
    cli.set("SSL_CERT_FILE", &cli.file("empty.pem", ""));
    let said = refused(&cli, &["--upstream", "https://localhost"]);
    assert!(said.contains("this machine has no authorities"), "{said}");
}

#[test]
fn connections_are_passed_through_by_the_name_that_they_call() {
    let cli = Cli::new();
    let [ca, certificate, key] = given(&cli);
    let server = Proxied::start(&cli, &["--tls-cert", &certificate, "--tls-key", &key]);
    let place = server.address.to_string();
    let by_name = format!("LocalHost={place}");
    let (other, passes) = (format!("tcp://{place}"), ["--tls-passthrough", "--api-listen", "0"]);
    let proxy = Proxied::start(&cli, &[&passes[..], &["--sni", &by_name]].concat());
    assert!(is_answered(&proxy, "localhost", &ca));
    // Nobody is called other.example.
    let resolve = format!("other.example:{}:127.0.0.1", proxy.address.port());
    let said = curl(&["-k", "--resolve", &resolve, &url(&proxy, "other.example")]);
    assert_eq!(said, Err(35));
    let err = proxy.going.err();
    for line in [
        format!("\nupstream of localhost: tcp://{place}\n"),
        "\nupstream of other names: none\n".to_owned(),
    ] {
        assert!(err.contains(&line), "{line}: {err}");
    }
    let proxy = Proxied::start(&cli, &[&passes[..], &["--upstream", &other]].concat());
    assert!(is_answered(&proxy, "localhost", &ca));
    let said = curl(&["-k", &url(&proxy, "127.0.0.1")]);
    assert!(said.is_ok(), "{said:?}");
    let slow = Proxied::start(
        &cli,
        &[&passes[..], &["--upstream", &other, "--chaos-latency-ms", "3600000"]].concat(),
    );
    assert_eq!(curl(&["--max-time", "0.2", "-k", &url(&slow, "localhost")]), Err(28));
}

#[test]
fn a_file_that_cannot_act_on_what_is_passed_through_changes_nothing() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", "latency: { fixed_delay_ms: 1 }\n");
    let to = [
        "--tls-passthrough",
        "--api-listen",
        "0",
        "--upstream",
        "tcp://127.0.0.1:1",
    ];
    let proxy = Proxied::start(&cli, &[&to[..], &["--chaos-config", &file]].concat());
    let api = address(&proxy.going.err(), "api: http://").expect("it says where its API is");
    std::fs::write(&file, "grpc: { status_codes: [14] }\n").unwrap();
    proxy.going.until("it says what is wrong", || {
        proxy.going.err().contains("what it said before goes on")
    });
    assert!(proxy.going.err().contains("N011"), "{}", proxy.going.err());
    let config = || curl(&[&format!("http://{api}/api/chaos/config")]).unwrap();
    let said = config();
    assert!(
        said.contains("\"fixed_delay_ms\":1.0,") && !said.contains("grpc"),
        "{said}"
    );
    std::fs::write(&file, "latency: { fixed_delay_ms: 2 }\n").unwrap();
    soon(LIMIT, "the next change acts", || {
        config().contains("\"fixed_delay_ms\":2.0,").then_some(())
    });
}

#[test]
fn what_cannot_be_passed_through_is_refused() {
    let cli = Cli::new();
    let steps = "name: a\nsteps: [{ name: b, duration_seconds: 1, scenario: slow_backend }]\n";
    let orchestration = cli.file("orchestration.yaml", steps);
    let [_, certificate, key] = given(&cli);
    let passes = ["proxy", "--listen", "0", "--tls-passthrough", "--api-listen", "0"];
    for (words, says) in [
        (&[][..], "does not know where connections go"),
        (&["--upstream", "http://127.0.0.1:1"], "the upstream is one of tcp://"),
        (&["--sni", "a=b:1", "--sni", "A.=c:2"], "says twice where `a` is"),
        (&["--upstream", "tcp://a:1", "--chaos-http-errors", "500"], "N011"),
        (&["--upstream", "tcp://a:1", "--chaos-rate-limit", "5"], "N011"),
        (
            &["--upstream", "tcp://a:1", "--chaos-scenario", "service_instability"],
            "N011",
        ),
        (&["--upstream", "tcp://a:1", "--orchestration", &orchestration], "N011"),
    ] {
        let said = cli.refused(&[&passes[..], words].concat());
        assert!(said.contains(says), "{words:?}: {said}");
    }
    assert!(
        cli.refused(&["proxy", "--listen", "0", "--upstream", "tcp://a:1"])
            .contains("--tls-passthrough")
    );
    for words in [
        &["--sni", "a"][..],
        &["--sni", "a=b"],
        &["--sni", "=b:1"],
        &["--sni", "*=b:1"],
        &["--sni", "10.0.0.1=b:1"],
        &["--sni", "*.a.*=b:1"],
        &["--sni", "b\u{fc}cher.test=b:1"],
        &["--sni", " a=b:1"],
        &["--upstream", "tcp://a"],
        &["--upstream", "tcp://a:1", "--tls-cert", &certificate, "--tls-key", &key],
        &["--upstream", "tcp://a:1", "--tls-self-signed"],
        &["--upstream", "tcp://a:1", "--allow-exec"],
        &["--upstream", "tcp://a:1", "--allow-upstream", "10.0.0.0/8"],
    ] {
        let said = cli.run(&[&passes[..], words].concat());
        assert_eq!(said.code, 2, "{words:?}: {}", said.err);
    }
    // Where no request is read, there is no API.
    let said = cli.run(&["proxy", "--listen", "0", "--tls-passthrough", "--upstream", "tcp://a:1"]);
    assert!(said.code == 2 && said.err.contains("--api-listen"), "{}", said.err);
    let said = cli.run(&["proxy", "--listen", "0", "--sni", "a=b:1"]);
    assert_eq!(said.code, 2, "{}", said.err);
}
