"""Paths -> files and directories of our own, which only their owner can read; symbolic links are not followed."""

import contextlib
import errno
import os
import pwd
from dataclasses import dataclass

from capture.errors import SinkError, SpecError

SUMMARY_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Owner:
    """The user and group that files belong to."""

    uid: int
    gid: int


def owner_of(user: str | None) -> Owner | None:
    """Return the user of that name with its primary group; None for the user who runs bicap. Raises SpecError."""
    if user is None:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise SpecError(f"user {user} does not exist; give one from `getent passwd` with --user") from None
    return Owner(entry.pw_uid, entry.pw_gid)


def cannot(what: str, path: str, error: OSError) -> SinkError:
    """Return an error that explains a failed system call to a person."""
    remedy = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the quota is used up",
        errno.EFBIG: "the file is as large as it may be; begin another before that with -C",
        errno.EIO: "the disk does not take it (input/output error); see dmesg",
        errno.EACCES: "not allowed; choose another place",
        errno.EPERM: "not permitted; --user needs CAP_CHOWN, and an immutable directory takes nothing",
        errno.ELOOP: "it is a symbolic link, which is not followed; name the file itself",
        errno.ENOENT: "the directory does not exist",
        errno.EISDIR: "it is a directory; name a file in it",
        errno.EROFS: "the file system is read-only; choose another place",
    }
    return SinkError(f"cannot {what} {path}: {remedy.get(error.errno or 0, error.strerror)}")


def create(path: str, owner: Owner | None) -> int:
    """Make a file with mode 0600 and return its descriptor for writing. Raises OSError, also if the path exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    if owner is not None:
        try:
            os.fchown(descriptor, owner.uid, owner.gid)
        except OSError:
            os.close(descriptor)
            os.unlink(path)
            raise
    return descriptor


def create_over(path: str, owner: Owner | None) -> int:
    """Replace a file by a new one in one step, and return its descriptor; readers of the old one are not affected."""
    temporary = _temporary(path)
    descriptor = create(temporary, owner)
    try:
        os.replace(temporary, path)
    except OSError:
        os.close(descriptor)
        os.unlink(temporary)
        raise
    return descriptor


def make_directory(path: str, owner: Owner | None) -> str | None:
    """Make the directory of a file with mode 0700, if only that one is missing. Raises OSError.

    Returns its path, None if it existed.
    """
    directory = os.path.dirname(path)
    if not directory or os.path.lexists(directory):
        return None
    os.mkdir(directory, 0o700)
    if owner is not None:
        try:
            os.chown(directory, owner.uid, owner.gid, follow_symlinks=False)
        except OSError:
            os.rmdir(directory)
            raise
    return directory


def summary_path(output: str) -> str:
    """Return the path of the JSON summary of an output."""
    return f"{output}{SUMMARY_SUFFIX}"


def is_in_own_directory(path: str) -> bool:
    """True if the directory of a file is ours, so that writing there needs no capability."""
    directory = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return os.stat(directory).st_uid == os.geteuid()


def make_way(path: str) -> None:
    """Check that `write_beside` can write there, and remove the file of an earlier run. Raises SinkError."""
    temporary = _temporary(path)
    try:
        os.close(create(temporary, None))
        os.unlink(temporary)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise cannot("write", path, error) from None


def write_beside(path: str, text: str, owner: Owner | None = None) -> None:
    """Write a small file under a temporary name, and rename it when it is complete. Raises SinkError."""
    temporary = _temporary(path)
    try:
        with open(create(temporary, owner), "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise cannot("write", path, error) from None


def _temporary(path: str) -> str:
    return f"{path}.{os.getpid()}.tmp"
