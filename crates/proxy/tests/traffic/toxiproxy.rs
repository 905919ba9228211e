//! The API of Toxiproxy, and what its toxics do to connections.

mod api;
mod bounds;
mod carried;
mod stand;
mod toxics;
