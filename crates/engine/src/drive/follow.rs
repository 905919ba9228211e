//! Targets that restart are followed: the fault is put on again, and counted.

use std::collections::{BTreeMap, BTreeSet};

use fracas_core::event::What;
use fracas_core::ids::InjectionId;
use fracas_core::problem::Said;
use fracas_core::run::Input;
use fracas_core::target::Target;
use fracas_docker::Engine;
use fracas_guardian::Client;
use fracas_targets::Followed;
use tokio::sync::mpsc;

use super::{Back, PlannedMap, lives_in_target};

/// Who follows.
pub(super) struct Follower {
    planned: PlannedMap,
    engine: Option<Engine>,
    /// Whether the targets are seen by the guardian alone, in its sidecar.
    far: bool,
    /// Those that are being looked at or put on again.
    busy: BTreeSet<InjectionId>,
    restarts: BTreeMap<String, u32>,
}

/// What was found, or how far it has come.
pub(super) enum Step {
    /// These targets are the same, or there is nothing to put a fault on.
    Nothing(Vec<InjectionId>),
    /// The target of these came back as another.
    Restarted(Vec<InjectionId>, Box<Target>),
    /// The old is undone: it was gone.
    Undone(Vec<InjectionId>, Box<Target>),
    /// They are planned on the new, or could not be.
    Planned(Vec<InjectionId>, Result<(), Said>),
    /// They are on again, or could not be.
    Applied(Vec<(InjectionId, Result<(), Said>)>),
}

impl Follower {
    pub(super) fn new(planned: PlannedMap, engine: Option<Engine>, far: bool) -> Self {
        Self {
            planned,
            engine,
            far,
            busy: BTreeSet::new(),
            restarts: BTreeMap::new(),
        }
    }

    /// Looks for a target again, from where it can be seen.
    fn follow(
        &self,
        target: Target,
        client: &Client,
    ) -> impl Future<Output = fracas_core::problem::Result<Followed>> + Send + 'static {
        let asked = self.far.then(|| client.follow(target.clone()));
        let engine = self.engine.clone();
        async move {
            match asked {
                Some(asked) => asked.await,
                None => fracas_targets::follow(&target, engine.as_ref()).await,
            }
        }
    }

    /// Every injection of the run.
    pub(super) fn all(&self) -> Vec<InjectionId> {
        self.planned.keys().copied().collect()
    }

    /// Looks at the targets of these, one look per target.
    pub(super) fn look(&mut self, injections: &[InjectionId], client: &Client, back: &mpsc::UnboundedSender<Back>) {
        let mut by_target: BTreeMap<&str, (Target, Vec<InjectionId>)> = BTreeMap::new();
        for injection in injections {
            let Some((target, undo)) = self.planned.get(injection) else {
                continue;
            };
            if lives_in_target(*undo) && !self.busy.contains(injection) {
                by_target
                    .entry(&target.identity)
                    .or_insert_with(|| (target.clone(), Vec::new()))
                    .1
                    .push(*injection);
            }
        }
        let looks: Vec<_> = by_target.into_values().collect();
        for (target, injections) in looks {
            self.busy.extend(&injections);
            let (followed, back) = (self.follow(target, client), back.clone());
            tokio::spawn(async move {
                let step = match followed.await {
                    Ok(Followed::Restarted(now)) => Step::Restarted(injections, now),
                    // What cannot be looked at now is looked at again.
                    Ok(Followed::Same | Followed::Gone) | Err(_) => Step::Nothing(injections),
                };
                let _ = back.send(Back::Follow(step));
            });
        }
    }

    /// A look at the targets of these that an earlier fault of the run restarts, before they get another; gives those that came back
    /// as others. `None`: there are none.
    pub(super) fn look_before(
        &self,
        injections: &[InjectionId],
        client: &Client,
    ) -> Option<impl Future<Output = Vec<(InjectionId, Target)>> + Send + 'static> {
        let restarting = |injection: InjectionId, target: &Target| {
            self.planned
                .range(..injection)
                .any(|(_, (other, undo))| other.identity == target.identity && !lives_in_target(*undo))
        };
        let looked: Vec<(InjectionId, Target)> = injections
            .iter()
            .filter_map(|id| Some((*id, self.planned.get(id)?.0.clone())))
            .filter(|(id, target)| restarting(*id, target))
            .collect();
        if looked.is_empty() {
            return None;
        }
        let looks: Vec<_> = looked
            .into_iter()
            .map(|(injection, target)| (injection, self.follow(target, client)))
            .collect();
        Some(async move {
            let mut moved = Vec::new();
            for (injection, look) in looks {
                if let Ok(Followed::Restarted(now)) = look.await {
                    moved.push((injection, *now));
                }
            }
            moved
        })
    }

    /// These targets are others now.
    pub(super) fn moved(&mut self, moved: &[(InjectionId, Target)]) {
        for (injection, target) in moved {
            if let Some((planned, _)) = self.planned.get_mut(injection) {
                *planned = target.clone();
            }
        }
    }

    /// Goes on, as long as the injections are still to be on. Gives what happened and what the machine must know.
    pub(super) fn step(
        &mut self,
        step: Step,
        still: &dyn Fn(InjectionId) -> bool,
        client: &Client,
        back: mpsc::UnboundedSender<Back>,
    ) -> (Vec<What>, Vec<Input>) {
        let mut events = Vec::new();
        let mut inputs = Vec::new();
        match step {
            Step::Nothing(injections) => self.rest(&injections),
            Step::Restarted(injections, _) | Step::Undone(injections, _) | Step::Planned(injections, Ok(()))
                if !injections.iter().copied().all(still) =>
            {
                self.rest(&injections);
            }
            Step::Restarted(injections, target) => {
                let times = self.restarts.entry(target.identity.clone()).or_default();
                *times += 1;
                events.push(What::TargetRestarted {
                    target: target.identity.clone(),
                    times: *times,
                });
                let undone = client.revert(injections.clone());
                tokio::spawn(async move {
                    let step = match undone.await {
                        Ok(_) => Step::Undone(injections, target),
                        Err(_) => Step::Nothing(injections),
                    };
                    let _ = back.send(Back::Follow(step));
                });
            }
            Step::Undone(injections, target) => {
                for injection in &injections {
                    if let Some((planned, _)) = self.planned.get_mut(injection) {
                        *planned = (*target).clone();
                    }
                }
                let planned = client.retarget(
                    injections
                        .iter()
                        .map(|injection| (*injection, (*target).clone()))
                        .collect(),
                );
                tokio::spawn(async move {
                    let result = match planned.await {
                        Ok(plans) => plans.into_iter().find_map(Result::err).map_or(Ok(()), Err),
                        Err(problem) => Err(Said::from(&*problem)),
                    };
                    let _ = back.send(Back::Follow(Step::Planned(injections, result)));
                });
            }
            Step::Planned(injections, Ok(())) => {
                let applied = client.apply(injections.clone());
                tokio::spawn(async move {
                    let results = applied.await.unwrap_or_else(|problem| {
                        injections.iter().map(|id| (*id, Err(Said::from(&*problem)))).collect()
                    });
                    let _ = back.send(Back::Follow(Step::Applied(results)));
                });
            }
            Step::Planned(injections, Err(said)) => {
                self.rest(&injections);
                inputs.push(Input::Applied(
                    injections.into_iter().map(|id| (id, Err(said.clone()))).collect(),
                ));
            }
            Step::Applied(results) => {
                let injections: Vec<_> = results.iter().map(|(id, _)| *id).collect();
                self.rest(&injections);
                // What was taken off meanwhile was refused on purpose.
                if injections.iter().copied().all(still) {
                    inputs.push(Input::Applied(results));
                }
            }
        }
        (events, inputs)
    }

    fn rest(&mut self, injections: &[InjectionId]) {
        self.busy.retain(|injection| !injections.contains(injection));
    }
}
