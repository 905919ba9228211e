//! How many proxies and toxics there may be.

use serde_json::{Value, json};

use super::stand::Stand;

#[tokio::test]
async fn a_proxy_has_64_toxics_and_no_more() {
    let stand = Stand::start();
    let toxic = |number: usize| json!({ "name": format!("t{number}"), "type": "latency" });
    let toxics: Vec<Value> = (0..64).map(toxic).collect();
    let upstream = "127.0.0.1:1".parse().unwrap();
    stand.proxy("full", upstream, &toxics).await;
    let (status, said) = stand.call("POST", "/proxies/full/toxics", &toxic(64)).await;
    assert!(
        status >= 400 && said["error"].as_str().unwrap().contains("64"),
        "{status} {said}"
    );
    // One that goes makes room.
    stand.cure("/proxies/full/toxics/t0").await;
    assert_eq!(stand.call("POST", "/proxies/full/toxics", &toxic(64)).await.0, 200);
    let more: Vec<Value> = (0..65).map(toxic).collect();
    let asked = json!({ "name": "more", "upstream": "127.0.0.1:1", "toxics": more });
    assert!(stand.call("POST", "/proxies", &asked).await.0 >= 400);
    assert_eq!(stand.call("GET", "/proxies/more", &Value::Null).await.0, 404);
}

#[tokio::test]
async fn there_are_1024_proxies_and_no_more() {
    let stand = Stand::start();
    // They are off, so that they need no ports.
    let proxy = |number: usize| json!({ "name": format!("p{number}"), "upstream": "127.0.0.1:1", "enabled": false });
    let all: Vec<Value> = (0..1025).map(proxy).collect();
    assert!(stand.call("POST", "/populate", &json!(all)).await.0 >= 400);
    let (status, said) = stand.call("POST", "/populate", &json!(all[..1024])).await;
    assert_eq!(status, 201, "{said}");
    let (status, said) = stand.call("POST", "/proxies", &all[1024]).await;
    assert!(
        status >= 400 && said["error"].as_str().unwrap().contains("1024"),
        "{status} {said}"
    );
    assert_eq!(stand.call("DELETE", "/proxies/p0", &Value::Null).await.0, 204);
    assert_eq!(stand.call("POST", "/proxies", &all[1024]).await.0, 201);
}
