"""Root reads everything: give that up for a moment, so that a test as root meets access that is denied."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

OVERRIDES = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@contextlib.contextmanager
def denied_as_others_are() -> Iterator[None]:
    """Obey the permissions of files in this thread, as a user other than root does."""
    header, sets = _Header(VERSION, 0), (_Sets * 2)()
    _call("capget", header, sets)
    before = sets[0].effective
    sets[0].effective = before & ~OVERRIDES
    _call("capset", header, sets)
    try:
        yield
    finally:
        sets[0].effective = before
        _call("capset", header, sets)


def _call(name: str, header: _Header, sets: ctypes.Array[_Sets]) -> None:
    if getattr(_LIBC, name)(ctypes.byref(header), ctypes.byref(sets)):
        raise OSError(ctypes.get_errno(), name)
