//! An eye on a proxy.

use crate::client::curl;
use crate::stand::{LIMIT, Wish, soon, wish};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_look_is_at_what_ended_since_the_look_before_the_last() {
    let proxy = wish("latency: { fixed_delay_ms: 40 }").bind();
    let mut eye = proxy.watch();
    let proxy = Wish::serve(proxy, LIMIT);
    assert_eq!((eye.look().p50_ms, eye.last_look().p50_ms), (None, None));
    curl(&[&proxy.url("/")]).await;
    // An answer is measured when it has ended, and its client may know that first. The last look takes nothing from one that comes all the same.
    soon("it is measured", || eye.last_look().p50_ms.is_some()).await;
    let look = eye.look();
    assert!(look.p50_ms.is_some_and(|p50| p50 >= 40.0), "{look:?}");
    // A moment after a look there is still what that one saw, of which a look sees nothing more.
    let last = eye.last_look();
    assert_eq!((last.p50_ms, last.p99_ms), (look.p50_ms, look.p99_ms));
    assert_eq!(eye.look().p50_ms, None);
    assert_eq!(eye.last_look().p50_ms, None);
    // What was counted is seen also behind the end.
    proxy.ended().await;
    let all: u64 = eye.last_look().counts.requests.iter().map(|(_, count)| count).sum();
    assert_eq!(all, 1);
}
