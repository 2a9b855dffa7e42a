"""Paths -> files and directories of our own: nobody else reads them, and no symbolic link is followed to them."""

import contextlib
import errno
import os
import pwd
from dataclasses import dataclass

from capture.errors import SinkError, SpecError


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom the files belong to."""

    uid: int
    gid: int


def owner_of(user: str | None) -> Owner | None:
    """The user of that name and its primary group; None: whoever runs the capture. Raises SpecError."""
    if user is None:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise SpecError(f"user {user} does not exist; --user names one that `getent passwd` knows") from None
    return Owner(entry.pw_uid, entry.pw_gid)


def cannot(what: str, path: str, error: OSError) -> SinkError:
    """What a failed system call means to a person."""
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
    """A new file, open for writing, mode 0600. Raises OSError, also if there is anything at that path."""
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
    """A new file that takes the place of another in one step: who has that one open sees nothing of this."""
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
    """Make the directory of a file, mode 0700, if only that one is missing; its path if made. Raises OSError."""
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
    """Where the JSON summary of an output lies."""
    return f"{output}.json"


def is_in_own_directory(path: str) -> bool:
    """Whether the directory of a file is ours, so that writing there takes no capability."""
    directory = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return os.stat(directory).st_uid == os.geteuid()


def make_way(path: str) -> None:
    """See that `write_beside` can write there, and take away what an earlier run left. Raises SinkError."""
    temporary = _temporary(path)
    try:
        os.close(create(temporary, None))
        os.unlink(temporary)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise cannot("write", path, error) from None


def write_beside(path: str, text: str, owner: Owner | None = None) -> None:
    """Write a small file whole under its final name, by way of a temporary one. Raises SinkError."""
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
