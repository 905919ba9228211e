//! Who carries an orchestration out.

use std::sync::Arc;

use fracas_core::chaos::{Orchestration, Plan};
use tokio::time::sleep_until;

use super::{How, Run, Stopped};
use crate::service::Shared;

/// Ends a run, however the work at it ends.
#[derive(Debug)]
struct Work {
    shared: Arc<Shared>,
    run: Stopped,
}

impl Drop for Work {
    fn drop(&mut self) {
        // It is over, unless this was cut off.
        let _ended = self.with(|run, shared| run.end(shared, How::Stopped));
    }
}

/// Why none begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another one goes on.
    Another,
    /// The proxy ends.
    Ends,
}

/// Begins: its first steps are on when this returns.
pub(crate) fn start(shared: &Arc<Shared>, orchestration: Orchestration, plan: Plan) -> Result<(), Refused> {
    let mut place = shared.orchestra.lock();
    if shared.orchestra.is_closed() {
        return Err(Refused::Ends);
    }
    if place.as_ref().is_some_and(Run::goes_on) {
        return Err(Refused::Another);
    }
    let run = place.insert(Run::new(orchestration, plan));
    run.begin_steps(shared);
    let work = Work {
        shared: Arc::clone(shared),
        run: run.stopped.clone(),
    };
    drop(place);
    tokio::spawn(work.carry_out());
    Ok(())
}

impl Work {
    async fn carry_out(self) {
        while let Some(until) = self.with(|run, _| run.begun + run.next()) {
            tokio::select! {
                () = sleep_until(until.into()) => {}
                () = self.run.0.notified() => return,
            }
            // It may be over by now.
            let _turned = self.with(Run::turn);
        }
    }

    /// Does something about the run. `None`: it is over. Meanwhile nobody ends it: what it puts on traffic is not put there after its end.
    fn with<T>(&self, does: impl FnOnce(&mut Run, &Shared) -> T) -> Option<T> {
        let mut place = self.shared.orchestra.lock();
        let same = |run: &&mut Run| run.goes_on() && Arc::ptr_eq(&run.stopped.0, &self.run.0);
        place.as_mut().filter(same).map(|run| does(run, &self.shared))
    }
}
