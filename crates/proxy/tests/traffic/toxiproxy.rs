//! The API of Toxiproxy, and what its toxics do to connections.

mod api;
mod bounds;
mod carried;
mod spliced;
mod stand;
mod toxics;
