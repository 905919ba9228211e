//! Work that may never be answered: a file system in user space answers when its owner likes, and the kernel's links have a single lock.

use std::io;
use std::time::Duration;

use fracas_core::problem::{Code, Problem, Result, codes};
use tokio::sync::oneshot;

use crate::Context;
use crate::say::OrSay;

/// What a healthy disk does in time.
const LIMIT: Duration = Duration::from_secs(10);
/// The guardian's memory is locked, also that of its threads.
const STACK: usize = 256 << 10;

/// Does something beside everything else, in a thread of its own, and waits for it for 10 s. A thread that hangs is left behind; it
/// ends with the process.
///
/// # Errors
/// `what` failed, in a sentence without a full stop, with the code.
pub(crate) async fn bounded<T: Send + 'static>(
    code: &'static Code,
    what: impl Fn() -> String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    bounded_for(LIMIT, code, what, work).await
}

/// As [`bounded`], for a thread that changes something. Where nobody waits for it any more it goes on, and the revert waits for it
/// instead ([`crate::Nursery::idle`]).
pub(crate) async fn deed<T: Send + 'static>(
    cx: &Context,
    what: impl Fn() -> String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let begun = cx.nursery.begin(cx.trace_name());
    let work = move || {
        let done = work();
        drop(begun);
        done
    };
    bounded(&codes::FAULT_APPLY, what, work).await
}

/// As [`bounded`], for so long.
pub(crate) async fn bounded_for<T: Send + 'static>(
    limit: Duration,
    code: &'static Code,
    what: impl Fn() -> String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let (tell, told) = oneshot::channel();
    // Kept here as well: where no thread can be had, a revert is done in this one.
    let work = std::sync::Arc::new(std::sync::Mutex::new(Some(work)));
    let theirs = std::sync::Arc::clone(&work);
    let thread = std::thread::Builder::new()
        .name("fracas-bounded".to_owned())
        .stack_size(STACK);
    let spawned = thread.spawn(move || {
        if let Some(work) = take(&theirs) {
            // Nobody waits any more: then nobody needs the answer.
            let _late = tell.send(work());
        }
    });
    if spawned.is_err() {
        let work = take(&work).ok_or_else(|| Problem::new(code, what()))?;
        return work().or_say(code, what);
    }
    match tokio::time::timeout(limit, told).await {
        Ok(Ok(answer)) => answer.or_say(code, what),
        Ok(Err(_)) => Err(Problem::new(code, what()).since("the thread that did it panicked")),
        Err(_) => Err(Problem::new(code, what()).since(format!("it did not answer within {limit:?}"))),
    }
}

fn take<W>(work: &std::sync::Mutex<Option<W>>) -> Option<W> {
    work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_and_errors_come_back_and_a_panic_is_an_error() {
        let what = || "it failed".to_owned();
        let code = &codes::FAULT_REVERT;
        assert_eq!(bounded(code, what, || Ok(7)).await.unwrap(), 7);
        let failed = bounded(code, what, || Err::<(), _>(io::Error::other("no")))
            .await
            .unwrap_err();
        assert_eq!((failed.code.id, failed.what.as_str()), ("F007", "it failed"));
        let panicked = bounded(code, what, || -> io::Result<()> { panic!("at once") })
            .await
            .unwrap_err();
        assert!(panicked.to_string().contains("panicked"), "{panicked}");
    }

    #[tokio::test]
    async fn who_never_answers_is_not_waited_for() {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let limit = Duration::from_millis(20);
        let late = bounded_for(
            limit,
            &codes::FAULT_REVERT,
            || "it hangs".to_owned(),
            move || {
                let _until_dropped = held.recv();
                Ok(())
            },
        );
        let late = late.await.unwrap_err();
        assert!(late.to_string().contains("did not answer within 20ms"), "{late}");
        drop(hold);
    }
}
