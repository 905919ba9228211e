//! Parameters of loads and limits on memory and disks.

use fracas_core::params::{DiskIo, DiskThrottle};
use fracas_core::units::{Percent, Size};

use super::Check;

/// There is no more than all of it.
pub(super) const WHOLE: Percent = Percent(100.0);
/// The kernel takes no longer path (PATH_MAX).
const LONGEST_PATH: usize = 4095;
const MOST_WORKERS: u32 = 64;
const LEAST_BLOCK: u64 = 4096;
const MOST_BLOCK: Size = Size::mib(16);
const SLOWEST: Size = Size(1024);

/// The key at the end of a path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

impl Check<'_, '_> {
    /// A size or a share, and not both.
    pub(super) fn amount(
        &mut self,
        base: &str,
        key: &dyn Fn(&str, &str) -> String,
        size: Option<Size>,
        percent: Option<Percent>,
    ) {
        let (size_key, percent_key) = (key("size", "size_mb"), key("percent", "fill_percent"));
        match (size, percent) {
            (Some(_), Some(_)) => {
                let why = format!("cannot be given together with `{}`", last(&size_key));
                self.wrong(&percent_key, &why);
            }
            (None, None) => {
                let why = format!("needs `{}` or `{}`", last(&size_key), last(&percent_key));
                self.wrong(base, &why);
            }
            (Some(size), None) if size < Size::mib(1) => self.wrong(&size_key, "must be at least 1MiB"),
            (None, Some(percent)) if percent.0 <= 0.0 || percent > WHOLE => {
                self.wrong(&percent_key, "must be more than 0% and at most 100%");
            }
            _ => {}
        }
    }

    /// The path of a directory of the target.
    pub(super) fn directory(&mut self, path: &str, directory: &str) {
        if !directory.starts_with('/') {
            self.wrong(path, "must begin with a slash: it is a path of the target");
        } else if directory.len() > LONGEST_PATH || directory.contains('\0') {
            self.wrong(path, "is no path that the kernel takes");
        }
    }

    pub(super) fn disk_io(&mut self, key: &dyn Fn(&str, &str) -> String, io: &DiskIo) {
        self.directory(&key("path", "target_path"), &io.path);
        if io.workers == 0 || io.workers > MOST_WORKERS {
            self.wrong(&key("workers", "workers"), "must be from 1 to 64");
        }
        if io.block_size.0 == 0 || io.block_size > MOST_BLOCK || !io.block_size.0.is_multiple_of(LEAST_BLOCK) {
            self.wrong(
                &key("block_size", "block_size"),
                "must be from 4KiB to 16MiB in steps of 4KiB",
            );
        }
    }

    pub(super) fn disk_throttle(&mut self, base: &str, throttle: &DiskThrottle) {
        self.directory(&format!("{base}.path"), &throttle.path);
        let bytes = [("read_bps", throttle.read_bps), ("write_bps", throttle.write_bps)];
        for (key, size) in bytes {
            if size.is_some_and(|size| size < SLOWEST) {
                self.wrong(&format!("{base}.{key}"), "must be at least 1KiB");
            }
        }
        let counts = [("read_iops", throttle.read_iops), ("write_iops", throttle.write_iops)];
        for (key, count) in counts {
            if count == Some(0) {
                self.wrong(&format!("{base}.{key}"), "must be at least 1");
            }
        }
        if bytes.iter().all(|(_, size)| size.is_none()) && counts.iter().all(|(_, count)| count.is_none()) {
            self.wrong(
                base,
                "needs one of `read_bps`, `write_bps`, `read_iops` and `write_iops`",
            );
        }
    }
}
