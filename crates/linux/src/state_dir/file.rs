//! Single files that root believes: the tool's settings.

use std::fs::File;
use std::path::Path;

use fracas_core::problem::{Problem, Result, codes};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::walk::{check_own, parent};
use crate::privileges::in_user_namespace;

/// Opens a regular file for reading that only the effective user can change, and nobody else replace. `None`: there is none.
///
/// # Errors
/// S004 if it is a symbolic link or no file, belongs to somebody else, or it or a parent can be changed by others.
pub fn private_file(path: &Path) -> Result<Option<File>> {
    let refused = |why: String| {
        Problem::new(
            &codes::BAD_SETTING,
            format!("the settings file {} is not believed", path.display()),
        )
        .since(why)
        .next("a settings file belongs to the user who runs Fracas and is writable by nobody else, its directories too")
    };
    let absolute = std::path::absolute(path).map_err(|error| refused(error.to_string()))?;
    let Some(name) = absolute.file_name() else {
        return Err(refused("it has no name".to_owned()));
    };
    let directory = match parent(&absolute) {
        Ok(Some(directory)) => directory,
        Ok(None) => return Ok(None),
        Err((why, next)) => {
            // Advice on a directory of the state is none on one of settings, but that on namespaces is.
            let next = next.filter(|_| in_user_namespace());
            return Err(match next {
                Some(next) => refused(why).next(next),
                None => refused(why),
            });
        }
    };
    // Not blocking: a FIFO in its place would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = match openat(&directory, name, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(refused("it is a symbolic link".to_owned())),
        Err(error) => return Err(refused(format!("it cannot be opened: {error}"))),
    };
    let stat = fstat(&fd).map_err(|error| refused(format!("it cannot be looked at: {error}")))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refused("it is not a regular file".to_owned()));
    }
    check_own(&absolute, &stat).map_err(|(why, _)| refused(why))?;
    Ok(Some(File::from(fd)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_of_ours_is_opened_and_a_missing_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        assert!(private_file(&path).unwrap().is_none());
        assert!(private_file(&dir.path().join("no/such/config.yaml")).unwrap().is_none());
        fs::write(&path, "x").unwrap();
        let mut text = String::new();
        private_file(&path).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }

    #[test]
    fn what_others_could_change_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let problem = private_file(&path).unwrap_err();
        assert_eq!(problem.code.id, "S004");
        assert!(problem.line().contains("0666"), "{problem}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = dir.path().join("link.yaml");
        symlink(&path, &link).unwrap();
        assert!(private_file(&link).unwrap_err().line().contains("symbolic link"));
        assert!(private_file(dir.path()).unwrap_err().line().contains("regular file"));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(private_file(&path).unwrap_err().line().contains("parent"));
    }
}
