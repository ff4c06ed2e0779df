"""The disk as the store sees it: one method per kind of operation, so that a test can record or fail each."""

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

Stamp = tuple[int, int, int]
"""Time of the last change in ns, size in bytes, inode: equal stamps, equal file."""

NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""What a file system answers that knows no locks: some network drives."""


class Files:
    """File operations. All raise `OSError`, `FileNotFoundError` among them."""

    def make_folder(self, path: Path) -> None:
        """Make a folder in an existing one; nothing happens where it stands already."""
        path.mkdir(exist_ok=True)

    def create(self, path: Path) -> int:
        """A new file, open for writing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)

    def write(self, file: int, data: bytes) -> None:
        """Append all of `data`. Until `sync` it may be in memory only."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]

    def sync(self, file: int) -> None:
        """Wait until an open file's bytes are on the disk."""
        if sys.platform == "darwin":
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # its fsync leaves them in the drive's own memory
        else:
            os.fsync(file)

    def close(self, file: int) -> None:
        """Close an open file, and drop the lock on it."""
        os.close(file)

    def sync_folder(self, path: Path) -> None:
        """Wait until a folder's entries (not what is in them) are on the disk."""
        if sys.platform == "win32":
            return  # folders cannot be opened there
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sync(folder)
        finally:
            os.close(folder)

    def rename(self, old: Path, new: Path) -> None:
        """Move a file or folder within its file system, at once or not at all. A file replaces a file."""
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with all that is in it."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def read(self, path: Path, most: int) -> bytes:
        """A file's bytes; `ValueError` where there are more than `most`."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise ValueError(f"{path.name} has {size} bytes, more than {most}")
            return file.read()

    def names(self, path: Path) -> Sequence[str]:
        """What lies in a folder, sorted."""
        return sorted(os.listdir(path))

    def stamp(self, path: Path) -> Stamp | None:
        """What tells a changed file or folder from an unchanged one; None where there is none."""
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def size(self, path: Path) -> int:
        """The bytes of the files in a folder."""
        with os.scandir(path) as found:
            return sum(each.stat(follow_symlinks=False).st_size for each in found)

    def touch(self, path: Path) -> None:
        """Give a file or folder the time of now."""
        os.utime(path)

    def hold(self, file: int) -> bool:
        """Lock an open file until it is closed or this process ends, however it ends; False where another holds it."""
        if sys.platform == "win32":
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                raise
        return True

    def open(self, path: Path) -> int:
        """An existing or new file, open for `hold`."""
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    @contextmanager
    def lock(self, path: Path, patience: float) -> Iterator[None]:
        """Hold a lock file; `BlockingIOError` where another does for more than `patience` seconds."""
        file = self.open(path)
        try:
            end = time.monotonic() + patience
            while not self.hold(file):
                if time.monotonic() >= end:
                    raise BlockingIOError(errno.EAGAIN, "another process holds the lock", str(path))
                time.sleep(0.01)
            yield
        finally:
            self.close(file)
