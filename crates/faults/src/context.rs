//! What a fault gets besides its parameters and its undo.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId, trace_name};
use fracas_core::observer::Observer;
use fracas_core::problem::Result;
use fracas_core::seed::Seed;
use fracas_core::target::Target;
use fracas_docker::Engine;
use fracas_linux::child::Worker;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a fault gets besides its parameters and its undo.
#[derive(Clone)]
pub struct Context {
    /// The run it belongs to.
    pub run: RunId,
    /// Its number within the run.
    pub injection: InjectionId,
    /// The targets of the other set, for a fault that stands between two.
    pub others: Vec<Target>,
    /// Whoever measures while it is on.
    pub observers: Vec<Observer>,
    /// Its place among those that are applied in one go, from 0: what is staggered waits so many times.
    pub rank: u32,
    /// The root of what its plan draws.
    pub seed: Seed,
    /// What it may last at most.
    pub at_most: Duration,
    /// The state directory of Fracas, which no fault touches and which is never left without room.
    pub state: PathBuf,
    /// Connections to container engines.
    pub engines: Engines,
    /// Where started workers are kept until they end.
    pub nursery: Nursery,
}

impl Context {
    /// The name for whatever this injection creates in the system.
    pub fn trace_name(&self) -> String {
        trace_name(&self.run, self.injection)
    }
}

/// So much of what a worker tells is read at once.
const TOLD: usize = 64 << 10;

/// No address.
const ANY: &str = "";

/// Connections to container engines by address, made once.
#[derive(Clone, Default)]
pub struct Engines(Arc<Mutex<HashMap<String, Engine>>>);

impl Engines {
    /// The engine at this address. Connects at the first call; the guardian makes that call before it says ready.
    pub async fn at(&self, address: &str) -> Result<Engine> {
        let known = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(address).or_else(|| known.get(ANY)).cloned()
        };
        if let Some(engine) = known {
            return Ok(engine);
        }
        let engine = Engine::connect(Some(address)).await?;
        self.keep(address, &engine);
        Ok(engine)
    }

    /// From now on this is the engine at every address that is not known yet: in a sidecar there is one, and a ledger may know it by
    /// another address than whoever recovers.
    pub fn keep_for_all(&self, engine: &Engine) {
        self.keep(ANY, engine);
    }

    /// From now on this is the engine at this address, whichever way leads to it.
    pub fn keep(&self, address: &str, engine: &Engine) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(address.to_owned(), engine.clone());
    }
}

/// What was started and goes on: workers, and what apply leaves to be done later.
///
/// A worker is found by its name in the system, so that a stranger can end it; here it is only kept from becoming a zombie. What
/// apply leaves to be done later is a task of this very process: it ends with it, so that a stranger, who undoes only what a dead
/// guardian left, has nothing to look for.
#[derive(Clone, Default)]
pub struct Nursery {
    workers: Arc<Mutex<Vec<Worker>>>,
    later: Arc<Mutex<HashMap<String, Later>>>,
    words: Arc<Mutex<HashMap<String, String>>>,
    /// How many threads still do what an apply has begun, by the name of the injection.
    busy: Arc<watch::Sender<HashMap<String, usize>>>,
}

/// Something that an apply has begun in a thread: it goes on also when nobody waits for it any more.
pub struct Deed {
    name: String,
    busy: Arc<watch::Sender<HashMap<String, usize>>>,
}

impl Drop for Deed {
    fn drop(&mut self) {
        self.busy.send_modify(|busy| {
            if let Some(count) = busy.get_mut(&self.name) {
                *count -= 1;
                if *count == 0 {
                    busy.remove(&self.name);
                }
            }
        });
    }
}

/// Something that apply left to be done later.
struct Later {
    task: JoinHandle<()>,
    note: Note,
}

/// What something that goes on says of itself.
#[derive(Clone, Default)]
pub struct Note(Arc<Mutex<String>>);

impl Note {
    /// Replaces what was said.
    pub fn say(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// What was said last; empty at first.
    pub fn said(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Nursery {
    /// Keeps a worker until it ends.
    pub fn keep(&self, worker: Worker) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    /// Hangs up on the worker with this pid: it comes to its end in its own way. Whether it was started here: nobody else can.
    pub fn hang_up(&self, pid: u32) -> bool {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut its = workers.iter().filter(|worker| worker.process.identity().pid == pid);
        let Some(worker) = its.next() else { return false };
        // Who does not hear it is killed by whoever hangs up.
        let _deaf = worker.socket.shutdown(std::net::Shutdown::Write);
        true
    }

    /// What the worker with this pid has told since it was listened to last; empty also where it was started by somebody else.
    pub fn told_by(&self, pid: u32) -> Vec<u8> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(worker) = workers.iter().find(|worker| worker.process.identity().pid == pid) else {
            return Vec::new();
        };
        let mut told = vec![0; TOLD];
        // Not blocking, as its start has left it. Of one that hung up nothing more comes.
        let length = (&worker.socket).read(&mut told).unwrap_or_default();
        told.truncate(length);
        told
    }

    /// Lets go of workers that have ended.
    pub fn reap(&self) {
        self.workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain_mut(|worker| matches!(worker.try_reap(), Ok(None)));
    }

    /// Notes that an apply begins something in a thread, until what is given is dropped.
    pub fn begin(&self, name: String) -> Deed {
        let busy = Arc::clone(&self.busy);
        busy.send_modify(|busy| *busy.entry(name.clone()).or_default() += 1);
        Deed { name, busy }
    }

    /// Waits until no thread does what an apply of this injection has begun: a revert that comes before its apply has ended would find
    /// nothing to undo. At most so long. Whether that is so.
    pub async fn idle(&self, name: &str, limit: Duration) -> bool {
        let mut busy = self.busy.subscribe();
        let idle = busy.wait_for(|busy| !busy.contains_key(name));
        // The sender is here: it cannot be gone.
        tokio::time::timeout(limit, idle).await.is_ok()
    }

    /// Does something later, under the name of the injection. It must have an end of its own; what was under that name is ended.
    pub fn later<W>(&self, name: String, work: impl FnOnce(Note) -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let note = Note::default();
        let task = tokio::spawn(work(note.clone()));
        if let Some(former) = self.later_lock().insert(name, Later { task, note }) {
            former.task.abort();
        }
    }

    /// Ends what goes on under this name, and returns when it does nothing any more. Whether there was anything.
    pub async fn end(&self, name: &str) -> bool {
        let Some(later) = self.later_lock().remove(name) else {
            return false;
        };
        let going = !later.task.is_finished();
        later.task.abort();
        // Cancelled or done: either way it does nothing any more.
        let _ended = later.task.await;
        going
    }

    /// Whether something still goes on under this name, and what it says of itself.
    pub fn goes_on(&self, name: &str) -> (bool, String) {
        self.later_lock().get(name).map_or((false, String::new()), |later| {
            (!later.task.is_finished(), later.note.said())
        })
    }

    /// Keeps what a way back said of its own success, under the name of the injection: where nothing can be looked at, that is all the
    /// evidence there is. A stranger has none, and takes the way back himself. `None` forgets it.
    pub fn take_word(&self, name: &str, word: Option<String>) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        match word {
            Some(word) => words.insert(name.to_owned(), word),
            None => words.remove(name),
        };
    }

    /// What was said last, if it was not forgotten since.
    pub fn word(&self, name: &str) -> Option<String> {
        self.words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    fn later_lock(&self) -> MutexGuard<'_, HashMap<String, Later>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_on_later_ends_when_it_is_told_to() {
        let nursery = Nursery::default();
        assert!(!nursery.end("a").await);
        nursery.later("a".into(), |note| async move {
            note.say("begun".into());
            std::future::pending::<()>().await;
        });
        while nursery.goes_on("a").1.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(nursery.goes_on("a"), (true, "begun".to_owned()));
        assert!(nursery.end("a").await);
        assert_eq!(nursery.goes_on("a"), (false, String::new()));
    }

    #[tokio::test]
    async fn what_an_apply_has_begun_is_waited_for_by_its_name() {
        let nursery = Nursery::default();
        let short = Duration::from_millis(10);
        assert!(nursery.idle("a", short).await);
        let (one, other) = (nursery.begin("a".into()), nursery.begin("a".into()));
        assert!(nursery.idle("b", short).await);
        drop(one);
        assert!(!nursery.idle("a", short).await, "the other one goes on");
        let thread = std::thread::spawn(move || drop(other));
        assert!(nursery.idle("a", Duration::from_secs(20)).await);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn what_is_done_does_not_go_on_and_what_it_said_stays() {
        let nursery = Nursery::default();
        nursery.later("a".into(), |note| async move { note.say("done".into()) });
        while nursery.goes_on("a").0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(nursery.goes_on("a"), (false, "done".to_owned()));
        assert!(!nursery.end("a").await);
    }
}
