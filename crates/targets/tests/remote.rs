//! What needs the kernel under the containers is refused on another machine.

use std::io::{Read, Write};
use std::net::TcpListener;

use fracas_docker::Engine;
use fracas_targets::check_local;

#[tokio::test]
async fn an_engine_whose_address_is_elsewhere_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut peer, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            assert!(peer.read(&mut head).unwrap() > 0);
            write!(
                peer,
                "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK"
            )
            .unwrap();
        }
    });
    // The resolver reads 127.1 as 127.0.0.1; as a name it is any other machine.
    let far = Engine::connect(Some(&format!("tcp://127.1:{port}"))).await.unwrap();
    let near = Engine::connect(Some(&format!("tcp://127.0.0.1:{port}"))).await.unwrap();
    server.join().unwrap();
    let problem = check_local(&far).unwrap_err();
    assert_eq!(problem.code.id, "T005");
    assert!(problem.what.contains(&far.address()), "{}", problem.what);
    assert!(check_local(&near).is_ok());
}
