"""What a disk may hold after the power was lost: each state that a recorded run of real code can leave.

strace records what a process asks of the file system. What it has not synced may be missing, in part or in another
order: data without fsync of its file, names without fsync of their folder. Like ALICE (Pillai et al., OSDI 2014), whose
model of a file system this is, with nothing promised beyond POSIX.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import programs

CALLS = (
    "openat,open,creat,close,write,pwrite64,writev,pwritev,lseek,ftruncate,truncate,fsync,fdatasync,rename,renameat,"
    "renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,sendfile,copy_file_range,fallocate,dup,dup2,"
    "dup3,fcntl,mmap"
)
LINE = re.compile(r"^(?P<task>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|0x[0-9a-f]+)")
UNFINISHED = re.compile(r"^(?P<task>\d+) +(?P<start>.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(?P<task>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)$")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
DESCRIPTOR = re.compile(r"^(-?\d+|AT_FDCWD)(?:<((?:\\x[0-9a-f]{2})*)>)?")
MARK = b"ACK "
EVERY_CHOICE = 8  # changes of which each choice is tried; of more, the likely ones and some at random
FEW = 30


@dataclass(frozen=True)
class Op:
    """A change, or a promise that earlier changes stay: what it is, of which file or folder."""

    kind: str  # write, trunc, link, unlink, rename, sync, mark
    inode: int = 0
    folder: int = 0
    name: str = ""
    to_folder: int = 0
    to_name: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """Files and folders by number; folder 1 is the root."""

    files: dict[int, bytearray] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {1: {}})

    def copy(self) -> Disk:
        """Return another one with the same content."""
        files = {number: bytearray(data) for number, data in self.files.items()}
        return Disk(files, {number: dict(names) for number, names in self.folders.items()})

    def apply(self, op: Op) -> None:
        """Make a change; one of a name that is not there, for its own change was lost, does what is left of it."""
        names = self.folders.get(op.folder, {})
        if op.kind == "link":
            names[op.name] = op.inode
        elif op.kind == "unlink":
            if names.get(op.name) == op.inode:
                del names[op.name]
        elif op.kind == "rename":
            if names.get(op.name) == op.inode:
                del names[op.name]
            self.folders[op.to_folder][op.to_name] = op.inode
        elif op.kind == "trunc":
            content = self.files[op.inode]
            del content[op.offset :]
            content.extend(bytes(op.offset - len(content)))
        elif op.kind == "write":
            content = self.files[op.inode]
            content.extend(bytes(max(0, op.offset - len(content))))
            content[op.offset : op.offset + len(op.data)] = op.data

    def tree(self, folder: int = 1, prefix: str = "") -> Iterator[tuple[str, bytes | None]]:
        """Yield each path with its content, None for a folder."""
        for name, inode in sorted(self.folders[folder].items()):
            if inode in self.folders:
                yield f"{prefix}{name}", None
                yield from self.tree(inode, f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", bytes(self.files[inode])

    def write_to(self, target: Path) -> None:
        """Write all of it into an empty folder."""
        for name, content in self.tree():
            path = target / name
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content)


@dataclass
class Recording:
    """What a run did below a folder, in its order, and what was there before."""

    before: Disk
    ops: list[Op]


def record(script: str, root: Path, environment: dict[str, str]) -> Recording:
    """Run Python under strace, and return what it did below ``root``."""
    trace = root.parent / "trace.txt"
    before = _read(root)
    strace = [str(programs.find("strace")), "-f", "-y", "-xx", "-s", "50000000", "-e", f"trace={CALLS}"]
    ended = subprocess.run(
        [*strace, "-o", str(trace), sys.executable, "-c", script],
        env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    parser = _Parser(root, before.copy())
    with trace.open(encoding="ascii") as lines:
        for line in _whole(lines):
            parser.take(line)
    trace.unlink()
    assert dict(parser.disk.tree()) == dict(_read(root).tree()), (
        "the recording does not lead to what is there"
    )
    return Recording(before, parser.ops)


def _read(root: Path) -> Disk:
    disk = Disk()
    numbers = {root: 1}
    for folder, folders, names in os.walk(root):
        own = numbers[Path(folder)]
        for name in folders:
            numbers[Path(folder, name)] = number = _next(disk)
            disk.folders[own][name] = number
            disk.folders[number] = {}
        for name in names:
            number = _next(disk)
            disk.folders[own][name] = number
            disk.files[number] = bytearray(Path(folder, name).read_bytes())
    return disk


def _next(disk: Disk) -> int:
    return 1 + max([*disk.folders, *disk.files])


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Yield calls as one line each, where another thread came in between."""
    begun: dict[str, str] = {}
    for line in lines:
        text = line.rstrip("\n")
        if found := UNFINISHED.match(text):
            begun[found["task"]] = found["start"]
        elif found := RESUMED.match(text):
            yield f"{found['task']} {begun.pop(found['task'], '')}{found['rest']}"
        else:
            yield text


class _Parser:
    """Follows one process: which file each descriptor is, and where in it."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self.root, self.disk, self.ops = root, disk, list[Op]()
        self.open: dict[int, list[int]] = {}  # descriptor: number, position, appends

    def take(self, line: str) -> None:
        found = LINE.match(line)
        if found is None or found["result"].startswith(("-", "0x")):
            return
        call, arguments, result = found["call"], found["arguments"], int(found["result"])
        getattr(self, f"_{call}", self._unknown)(arguments, result)

    def _unknown(self, arguments: str, result: int) -> None:
        assert str(self.root) not in _unescaped(arguments), f"a call that is not followed: {arguments[:300]}"

    # --- descriptors ---

    def _openat(self, arguments: str, result: int) -> None:
        place = self._place(arguments)
        self.open.pop(result, None)
        if place is None:
            return
        folder, name = place
        number = self.disk.folders[folder].get(name) if name else folder
        flags = arguments.rpartition('"')[2]
        if number is None:
            number = _next(self.disk)
            self.disk.files[number] = bytearray()
            self._do(Op("link", number, folder, name))
        elif "O_TRUNC" in flags and self.disk.files[number]:
            self._do(Op("trunc", number))
        self.open[result] = [number, 0, "O_APPEND" in flags]

    def _close(self, arguments: str, _: int) -> None:
        self.open.pop(_number(arguments), None)

    def _dup(self, arguments: str, result: int) -> None:
        if (known := self.open.get(_number(arguments))) is not None:
            self.open[result] = known

    _dup2 = _dup3 = _dup

    def _fcntl(self, arguments: str, result: int) -> None:
        if "F_DUPFD" in arguments:
            self._dup(arguments, result)

    def _lseek(self, arguments: str, result: int) -> None:
        if (known := self.open.get(_number(arguments))) is not None:
            known[1] = result

    def _mmap(self, arguments: str, result: int) -> None:
        assert "MAP_SHARED" not in arguments or str(self.root) not in _unescaped(arguments)

    # --- changes ---

    def _write(self, arguments: str, result: int) -> None:
        data = b"".join(bytes.fromhex(text.replace("\\x", "")) for text in TEXT.findall(_after(arguments)))[
            :result
        ]
        known = self.open.get(_number(arguments))
        if known is not None and known[0] in self.disk.files:
            offset = len(self.disk.files[known[0]]) if known[2] else known[1]
            known[1] = offset + result
            self._do(Op("write", known[0], offset=offset, data=data))
        elif data.startswith(MARK):
            self.ops.append(Op("mark", name=data[len(MARK) :].decode().strip()))

    _writev = _write

    def _ftruncate(self, arguments: str, _: int) -> None:
        known = self.open.get(_number(arguments))
        if known is not None:
            size = int(arguments.rpartition(", ")[2])
            if size != len(self.disk.files[known[0]]):
                self._do(Op("trunc", known[0], offset=size))

    def _fsync(self, arguments: str, _: int) -> None:
        known = self.open.get(_number(arguments))
        if known is not None:
            self.ops.append(Op("sync", known[0]))

    _fdatasync = _fsync

    def _mkdir(self, arguments: str, _: int) -> None:
        if (place := self._place(arguments)) is not None:
            number = _next(self.disk)
            self.disk.folders[number] = {}
            self._do(Op("link", number, *place))

    _mkdirat = _mkdir

    def _unlink(self, arguments: str, _: int) -> None:
        if (place := self._place(arguments)) is not None:
            folder, name = place
            self._do(Op("unlink", self.disk.folders[folder][name], folder, name))

    _unlinkat = _rmdir = _unlink

    def _rename(self, arguments: str, _: int) -> None:
        parts = re.split(r"(?<=\"), ", arguments)
        source, target = self._place(parts[0]), self._place(parts[1])
        assert (source is None) == (target is None), "a move between this folder and another"
        if source is not None and target is not None:
            number = self.disk.folders[source[0]][source[1]]
            self._do(Op("rename", number, *source, *target))

    _renameat = _renameat2 = _rename

    def _do(self, op: Op) -> None:
        self.disk.apply(op)
        self.ops.append(op)

    def _place(self, arguments: str) -> tuple[int, str] | None:
        """Return the folder and the name of the first path; None if it is not below the root."""
        texts = TEXT.findall(_after(arguments) if not arguments.startswith('"') else arguments)
        path = Path(_unescaped(texts[0]))
        if not path.is_absolute():
            base = DESCRIPTOR.match(arguments)
            path = Path(_unescaped((base and base[2]) or "")) / path
        path = Path(os.path.normpath(path))
        if path == self.root:
            return 1, ""
        if not path.is_relative_to(self.root):
            return None
        folder = 1
        for name in path.relative_to(self.root).parts[:-1]:
            folder = self.disk.folders[folder][name]
        return folder, path.name


def _number(arguments: str) -> int:
    found = DESCRIPTOR.match(arguments)
    return int(found[1]) if found is not None and found[1] != "AT_FDCWD" else -1


def _after(arguments: str) -> str:
    """Return the arguments after the descriptor and its path."""
    found = DESCRIPTOR.match(arguments)
    return arguments[found.end() :] if found is not None else arguments


def _unescaped(text: str) -> str:
    return re.sub(
        r"(?:\\x[0-9a-f]{2})+",
        lambda m: bytes.fromhex(m[0].replace("\\x", "")).decode("utf-8", "replace"),
        text,
    )


def states(recording: Recording, seed: int = 0) -> Iterator[tuple[list[str], Disk]]:
    """Yield each state that the disk may be in, once, with what had been acknowledged before the power was lost."""
    draw = random.Random(seed)
    kept = recording.before.copy()
    _with_numbers(kept, recording.ops)
    pending: list[Op] = []
    marks: list[str] = []
    seen: set[bytes] = set()
    for op in recording.ops:
        if op.kind == "mark":
            marks = [*marks, op.name]
        elif op.kind == "sync":
            done, pending = _synced(pending, op.inode), _left(pending, op.inode)
            for each in done:
                kept.apply(each)
        else:
            pending.append(op)
        for chosen in _choices(pending, draw):
            disk = kept.copy()
            for each in chosen:
                disk.apply(each)
            digest = _digest(disk, marks)
            if digest not in seen:
                seen.add(digest)
                yield marks, disk


def _with_numbers(disk: Disk, ops: Sequence[Op]) -> None:
    """Give each file and folder that is made later its number: empty, and with no name yet."""
    for op in ops:
        if op.kind in ("write", "trunc"):
            disk.files.setdefault(op.inode, bytearray())
        for folder in (op.folder, op.to_folder):
            if folder:
                disk.folders.setdefault(folder, {})
    for op in ops:
        if op.kind == "link" and op.inode not in disk.folders:
            disk.files.setdefault(op.inode, bytearray())


def _synced(pending: list[Op], number: int) -> list[Op]:
    return [op for op in pending if _is_synced_by(op, number)]


def _left(pending: list[Op], number: int) -> list[Op]:
    return [op for op in pending if not _is_synced_by(op, number)]


def _is_synced_by(op: Op, number: int) -> bool:
    if op.kind in ("write", "trunc"):
        return op.inode == number
    return number in (op.folder, op.to_folder)


def _choices(pending: list[Op], draw: random.Random) -> Iterator[list[Op]]:
    """Yield what of the changes that are not synced has reached the disk."""
    yield pending
    if len(pending) <= EVERY_CHOICE:
        for number in range(2 ** len(pending)):
            yield [op for place, op in enumerate(pending) if number >> place & 1]
    else:
        yield []
    for place, op in enumerate(pending):
        yield [*pending[:place], *pending[place + 1 :]]
        yield [op]
        yield pending[:place]
        if op.kind == "write":
            half = Op("write", op.inode, offset=op.offset, data=op.data[: len(op.data) // 2])
            zeros = Op("write", op.inode, offset=op.offset, data=bytes(len(op.data)))
            for torn in (half, zeros):
                yield [*pending[:place], torn, *pending[place + 1 :]]
    for _ in range(FEW if len(pending) > EVERY_CHOICE else 0):
        yield [op for op in pending if draw.random() < 0.5]


def _digest(disk: Disk, marks: list[str]) -> bytes:
    digest = hashlib.sha256(repr(marks).encode())
    for name, content in disk.tree():
        digest.update(f"{name}\0".encode())
        digest.update(b"/" if content is None else hashlib.sha256(content).digest())
    return digest.digest()
