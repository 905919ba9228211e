//! Which things are broken, and why those: selectors, protection, blast radius, chance by seed, and following what restarts.
//!
//! Nothing here changes anything. Every candidate that is left out is named with its reason.

mod choose;
mod container;
mod discover;
mod follow;
mod observers;
mod pattern;
mod process;
mod protect;

pub use choose::{Chosen, Decision};
pub use discover::{Discovery, check_local, discover, needs_engine};
pub use follow::{Followed, follow};
pub use observers::{Guarded, protected};
