//! Keys of a `ChaosScenario`.

mod criteria;
mod params;
mod targets;
mod times;
mod words;

/// A scenario on the containers of the stage, with a part in the middle of its spec.
macro_rules! spec {
    ($($spec:literal),* $(,)?) => {
        concat!(
            "apiVersion: chaos/v1\nkind: ChaosScenario\nmetadata: { name: base }\nspec:\n",
            "  duration: 600ms\n  interval: 100ms\n  warmup: 0s\n  cooldown: 0s\n",
            $($spec),*
        )
    };
}
use spec;
