"""A disk in memory that the store takes for a real one, and that writes down all that happens to it."""

import errno
import os
import stat as modes
import threading

from modelhub.store.fsops import FsOps

from .history import TOP, Inode, Mark, Meta, Name, Resize, Sync, Tree, Write

START = 1_700_000_000 * 10**9
_BLOCK = 4096


def _error(code, name=None):
    return OSError(code, os.strerror(code), name)


class Opened:
    """One open file."""

    def __init__(self, inode, append):
        self.inode = inode
        self.append = append


class Disk(FsOps):
    """The operations of a store, on a tree in memory. `log` has every change since `settle`.

    Its clock goes on by a microsecond with every operation; `clock` is for the store.
    """

    hardlinks = reflinks = True
    room = 1 << 40

    def __init__(self, tree=None, now=START):
        self.now = now
        self.tree = tree or Tree.empty(now)
        self.open_files = {}
        self._locks = {}
        self._next_fd = 1000
        self._next_ino = max(self.tree.inodes) + 1
        self._mutex = threading.RLock()
        self.settle()

    def clock(self):
        return self.now

    def settle(self):
        """All that happened so far is durable; the log begins anew."""
        self.log = []
        self.start = self.tree.copy()

    def promise(self, what):
        """Whatever is cut off from here on, `what` holds."""
        self.log.append(Mark(what))

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name.startswith("_") or not hasattr(FsOps, name):
            return found

        def alone(*args, **named):
            with self._mutex:
                self.now += 1000
                return found(*args, **named)

        return alone

    # Changes

    def _do(self, op):
        self.log.append(op)
        self.tree.apply(op)

    def _born(self, mode):
        number, self._next_ino = self._next_ino, self._next_ino + 1
        inode = Inode(number, mode, self.now, self.now)
        self.tree.inodes[number] = inode
        # A file without a name is nothing that a cut could lose.
        self.start.inodes[number] = Inode(number, mode, self.now, self.now)
        return number

    def _file(self, fd):
        try:
            return self.open_files[fd]
        except KeyError:
            raise _error(errno.EBADF) from None

    def _inode(self, fd):
        return self.tree.inodes[self._file(fd).inode]

    def _place(self, path, dir_fd):
        """The folder that has `path`'s last part, and that part."""
        folder = self.tree.inodes[TOP] if path.startswith("/") else self._inode(dir_fd)
        *above, last = path.strip("/").split("/")
        for name in above:
            folder = self._child(folder, name)
            if modes.S_ISLNK(folder.mode):
                raise _error(errno.ELOOP, name)
        if not folder.is_folder:
            raise _error(errno.ENOTDIR, path)
        return folder, last

    def _child(self, folder, name):
        if not folder.is_folder:
            raise _error(errno.ENOTDIR, name)
        if name not in folder.names:
            raise _error(errno.ENOENT, name)
        return self.tree.inodes[folder.names[name]]

    def _look(self, path, dir_fd):
        folder, last = self._place(path, dir_fd)
        return self._child(folder, last) if last else folder

    # The operations

    def open(self, path, flags, mode=0o600, *, dir_fd=None):
        folder, last = self._place(path, dir_fd)
        if last in folder.names or not last:
            if flags & os.O_EXCL:
                raise _error(errno.EEXIST, path)
            inode = self._child(folder, last) if last else folder
        elif flags & os.O_CREAT:
            inode = self.tree.inodes[self._born(modes.S_IFREG | mode)]
            self._do(Name(folder.number, last, inode.number, self.now))
        else:
            raise _error(errno.ENOENT, path)
        if modes.S_ISLNK(inode.mode):
            raise _error(errno.ELOOP, path)
        if flags & os.O_DIRECTORY and not inode.is_folder:
            raise _error(errno.ENOTDIR, path)
        if flags & os.O_TRUNC and inode.data:
            self._do(Resize(inode.number, 0, self.now))
        self._next_fd += 1
        self.open_files[self._next_fd] = Opened(inode.number, bool(flags & os.O_APPEND))
        return self._next_fd

    def close(self, fd):
        self._file(fd)
        del self.open_files[fd]
        self._locks = {ino: holder for ino, holder in self._locks.items() if holder != fd}

    def pread(self, fd, buffer, offset):
        data = self._inode(fd).data[offset : offset + len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def pwrite(self, fd, data, offset):
        self._do(Write(self._file(fd).inode, offset, bytes(data), self.now))
        return len(data)

    def append(self, fd, data):
        assert self._file(fd).append
        return self.pwrite(fd, data, len(self._inode(fd).data))

    def fsync(self, fd):
        self.log.append(Sync(self._file(fd).inode))

    def fdatasync(self, fd):
        self.log.append(Sync(self._file(fd).inode, meta=False))

    def truncate(self, fd, size):
        self._do(Resize(self._file(fd).inode, size, self.now))

    def drop_cached(self, fd):
        self._file(fd)

    def fstat(self, fd):
        return self._stat(self._inode(fd))

    def lstat(self, path, *, dir_fd=None):
        return self._stat(self._look(path, dir_fd))

    def _stat(self, inode):
        times = (inode.mtime, inode.mtime, inode.ctime)
        links = self.tree.links(inode.number)
        size = len(inode.data)
        basic = (inode.mode, inode.number, 7, links, 0, 0, size, *(one // 10**9 for one in times))
        names = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")
        blocks = -(-size // _BLOCK) * 8
        return os.stat_result(basic, {**dict(zip(names, times, strict=True)), "st_blocks": blocks})

    def free(self, fd):
        return self.room - sum(len(inode.data) for inode in self.tree.inodes.values())

    def fchmod(self, fd, mode):
        self._do(Meta(self._file(fd).inode, mode, None, self.now))

    def futime(self, fd, atime_ns, mtime_ns):
        self._do(Meta(self._file(fd).inode, None, mtime_ns, self.now))

    def link(self, source, target, *, source_fd, target_fd):
        if not self.hardlinks:
            raise _error(errno.EPERM)
        inode = self._look(source, source_fd)
        self._new_name(target, target_fd, inode.number)

    def _new_name(self, path, dir_fd, number):
        folder, last = self._place(path, dir_fd)
        if last in folder.names:
            raise _error(errno.EEXIST, path)
        self._do(Name(folder.number, last, number, self.now))

    def rename(self, source, target, *, source_fd=None, target_fd=None):
        old, name = self._place(source, source_fd)
        inode = self._child(old, name)
        new, last = self._place(target, target_fd)
        if new.names.get(last) == inode.number:
            return  # two names of one file: POSIX leaves both
        if last in new.names and self.tree.inodes[new.names[last]].is_folder != inode.is_folder:
            raise _error(errno.EISDIR, target)
        self._do(Name(new.number, last, inode.number, self.now, (old.number, name)))

    def symlink(self, content, path, *, dir_fd):
        number = self._born(modes.S_IFLNK | 0o777)
        for tree in (self.tree, self.start):
            tree.inodes[number].data = content.encode()
        self._new_name(path, dir_fd, number)

    def readlink(self, path, *, dir_fd):
        return self._look(path, dir_fd).data.decode()

    def reflink(self, source, target):
        if not self.reflinks:
            raise _error(errno.EOPNOTSUPP)
        self._do(Write(self._file(target).inode, 0, self._inode(source).data, self.now))

    def share(self, fd, start, length):
        self._file(fd)

    def is_shared(self, fd, start):
        self._file(fd)
        return False

    def enable_verity(self, fd):
        self._file(fd)
        raise _error(errno.EOPNOTSUPP)

    def copy_range(self, source, target, offset, count):
        return self.pwrite(target, self._inode(source).data[offset : offset + count], offset)

    def unlink(self, path, *, dir_fd=None):
        folder, last = self._place(path, dir_fd)
        if self._child(folder, last).is_folder:
            raise _error(errno.EISDIR, path)
        self._do(Name(folder.number, last, None, self.now))

    def mkdir(self, path, mode=0o777, *, dir_fd=None):
        self._new_name(path, dir_fd, self._born(modes.S_IFDIR | mode))

    def rmdir(self, path, *, dir_fd):
        folder, last = self._place(path, dir_fd)
        if self._child(folder, last).names:
            raise _error(errno.ENOTEMPTY, path)
        self._do(Name(folder.number, last, None, self.now))

    def writable(self, path, *, dir_fd):
        return self._look(path, dir_fd).is_folder

    def listdir(self, fd):
        return list(self._inode(fd).names)

    def try_lock(self, fd):
        return self._locks.setdefault(self._file(fd).inode, fd) == fd
