use super::*;
use crate::process;

const LONG: Duration = Duration::from_secs(20);

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A program whose only use is to run others; the tests' own, Fracas itself never has one.
fn shell(script: &str) -> Vec<String> {
    argv(&["/bin/sh", "-c", script])
}

/// Waits until the pid is nobody's, or is a zombie that init has yet to reap.
async fn gone(pid: u32) -> bool {
    match Process::find(pid).unwrap() {
        Some(process) => timeout(LONG, process.ended()).await.is_ok(),
        None => true,
    }
}

#[tokio::test]
async fn code_and_output_are_told() {
    let finished = run_bounded(&shell("echo out; echo err >&2; exit 3"), LONG, 100)
        .await
        .unwrap();
    let expected = Finished {
        code: Some(3),
        signal: None,
        stdout: b"out\n".to_vec(),
        stderr: b"err\n".to_vec(),
        timed_out: false,
        truncated: false,
    };
    assert_eq!(finished, expected);
}

#[tokio::test]
async fn arguments_are_passed_as_they_are_and_standard_input_is_empty() {
    let finished = run_bounded(&argv(&["/bin/echo", "$HOME; ls", "*"]), LONG, 100)
        .await
        .unwrap();
    assert_eq!(finished.stdout, b"$HOME; ls *\n");
    let finished = run_bounded(&argv(&["/bin/cat"]), LONG, 100).await.unwrap();
    assert_eq!((finished.code, finished.stdout.len()), (Some(0), 0));
}

#[tokio::test]
async fn more_output_than_is_kept_holds_nobody_up() {
    let finished = run_bounded(&argv(&["/usr/bin/head", "-c", "1000000", "/dev/zero"]), LONG, 1000)
        .await
        .unwrap();
    assert_eq!(
        (finished.code, finished.stdout.len(), finished.truncated),
        (Some(0), 1000, true)
    );
    let finished = run_bounded(&argv(&["/usr/bin/head", "-c", "1000", "/dev/zero"]), LONG, 1000)
        .await
        .unwrap();
    assert_eq!((finished.stdout.len(), finished.truncated), (1000, false));
}

#[tokio::test]
async fn the_limit_ends_the_whole_group() {
    let begin = std::time::Instant::now();
    let script = "/bin/sleep 1000 & echo $!; wait";
    let finished = run_bounded(&shell(script), Duration::from_millis(300), 100)
        .await
        .unwrap();
    assert!(finished.timed_out && begin.elapsed() < LONG);
    assert_eq!((finished.code, finished.signal), (None, Some(libc::SIGKILL)));
    let pid = String::from_utf8(finished.stdout).unwrap().trim().parse().unwrap();
    assert!(gone(pid).await);
}

#[tokio::test]
async fn what_a_program_leaves_running_is_ended_with_it() {
    let begin = std::time::Instant::now();
    let finished = run_bounded(&shell("/bin/sleep 1000 & echo $!"), LONG, 100)
        .await
        .unwrap();
    assert!(!finished.timed_out && begin.elapsed() < LONG);
    assert_eq!(finished.code, Some(0));
    let pid = String::from_utf8(finished.stdout).unwrap().trim().parse().unwrap();
    assert!(gone(pid).await);
}

#[tokio::test]
async fn a_dropped_call_leaves_nobody() {
    let word = format!("{}", 100_000 + std::process::id());
    let script = format!("/bin/sleep {word} & /bin/sleep {word}");
    let ours = || {
        let all = process::all().unwrap();
        let ours = all
            .into_iter()
            .filter(|process| process.command == format!("/bin/sleep {word}"));
        ours.collect::<Vec<_>>()
    };
    let argv = shell(&script);
    let mut call = Box::pin(run_bounded(&argv, LONG, 100));
    let deadline = std::time::Instant::now() + LONG;
    while ours().len() < 2 && std::time::Instant::now() < deadline {
        assert!(
            timeout(Duration::from_millis(10), &mut call).await.is_err(),
            "it still runs"
        );
    }
    let started = ours();
    assert_eq!(started.len(), 2);
    drop(call);
    for process in started {
        assert!(gone(process.identity.pid).await);
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_an_error_with_its_name() {
    let error = run_bounded(&argv(&["/nowhere/x"]), LONG, 100).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("cannot run /nowhere/x"), "{error}");
    assert_eq!(
        run_bounded(&[], LONG, 100).await.unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
}

/// The kernel's signal for the death of a parent comes when the thread ends that started the child (prctl(2)).
#[tokio::test]
async fn a_program_outlives_the_thread_that_asked_for_it() {
    let script = shell("/bin/sleep 1; exit 7");
    let mut running = Box::pin(async move { run_bounded(&script, LONG, 100).await });
    let runtime = tokio::runtime::Handle::current();
    let asked = std::thread::spawn(move || {
        let _runtime = runtime.enter();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(running.as_mut().poll(&mut context).is_pending());
        running
    });
    let running = asked.join().unwrap();
    assert_eq!(running.await.unwrap().code, Some(7));
}
