//! What a machine has of control groups, for `fracas doctor`.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Controller, Roots, Version};

/// The controllers of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// One entry for each controller that there is.
    pub controllers: Vec<Hierarchy>,
    /// The controllers that there are not.
    pub missing: Vec<Controller>,
}

/// Where a controller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Which.
    pub controller: Controller,
    /// By which interface.
    pub version: Version,
    /// Where its root is mounted.
    pub mount: PathBuf,
}

impl Layout {
    /// The hierarchy of a controller.
    pub fn of(&self, controller: Controller) -> Option<&Hierarchy> {
        self.controllers.iter().find(|entry| entry.controller == controller)
    }

    /// Whether some controllers are in version 1 and others in version 2.
    pub fn is_hybrid(&self) -> bool {
        let first = self.controllers.first().map(|entry| entry.version);
        self.controllers.iter().any(|entry| Some(entry.version) != first)
    }
}

/// Looks at the machine.
pub fn layout() -> io::Result<Layout> {
    Roots::default().layout()
}

impl Roots {
    /// [`layout`], with this /proc.
    pub fn layout(&self) -> io::Result<Layout> {
        let mut controllers = Vec::new();
        let mut missing = Vec::new();
        for controller in Controller::ALL {
            match self.root(controller)? {
                Some(root) => controllers.push(Hierarchy {
                    controller,
                    version: root.version(),
                    mount: root.path().to_owned(),
                }),
                None => missing.push(controller),
            }
        }
        Ok(Layout { controllers, missing })
    }
}
