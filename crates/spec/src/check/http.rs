//! Parameters of the fault on requests.

use fracas_core::params::Http;

use super::Check;
use super::packets::Key;
use crate::chaos::{Chaos as _, Finds};

impl Check<'_, '_> {
    pub(super) fn http(&mut self, key: Key<'_>, http: &Http) {
        if http.port == 0 {
            self.wrong(&key("port", "target_port"), "must be from 1 to 65535");
        }
        // What seed 0's keys became is checked where they are read.
        if !self.native() {
            return;
        }
        let chaos = key("chaos", "chaos");
        let mut finds = Finds::new(self.root, self.problems);
        http.chaos.check(&mut finds, &format!("{chaos}."));
        for (path, _) in http.chaos.listeners() {
            let what = "names a listener of `fracas proxy`: this fault stands in front of one port and has none";
            self.wrong(&format!("{chaos}.{path}"), what);
        }
        if !http.chaos.does_anything() {
            self.wrong(&chaos, "does nothing: no block of it is on");
        }
    }
}
