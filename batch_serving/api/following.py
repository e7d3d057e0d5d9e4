"""Follows the sources: loads the next version beside the one that is served, then moves one reference.

A request takes ``Followed.served`` once and keeps what it has taken, so a swap never meets half a request.
Whatever goes wrong, what is served stays.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch_serving.api.sources import BrokenVersionError, Reference, Servable, Source, SourceAwayError

log = logging.getLogger(__name__)

LOOKS_PER_INTERVAL = 2  # so that an answer is never older than the interval, loading included
TRY_AGAIN_AFTER_S = 30  # a broken version whose file has not changed
SILENT_AFTER_S = 10  # beyond the interval: then a source that has not answered is reported
Announce = Callable[[str], Any]


@dataclass(frozen=True)
class Served:
    """A version that is being served."""

    reference: Reference
    model: Servable
    loaded_at: str


@dataclass(frozen=True)
class Trouble:
    """Why what is served may not be what it should be: ``version`` is broken, or the source is away."""

    text: str
    since: str
    version: str | None = None  # of a broken one
    is_broken: bool = False


@dataclass(frozen=True)
class _Failed:
    """A version that could not be used: what its file was like, and when it is tried again all the same."""

    version: str
    stamp: Any
    again_at: float


class Followed:
    """One model: what is served, and what is wrong."""

    def __init__(self, source: Source, announce: Announce, loading: threading.Lock) -> None:
        """Follow a source; ``announce`` sends a text to Slack, ``loading`` is held during a load."""
        self.source = source
        self.served: Served | None = None
        self.trouble: Trouble | None = None
        self.looked_at: float | None = None  # monotonic; when the source last answered
        self._announce, self._loading = announce, loading
        self._failed: _Failed | None = None
        self._stamp: Any = None
        self._announced: set[str] = set()
        self._suspected: str | None = None  # what was wrong at the last look

    @property
    def name(self) -> str:
        """The model's name."""
        return self.source.name

    def look(self) -> None:
        """Ask the source for the version to serve, and serve it if it can be; never raises."""
        try:
            self._look()
        except SourceAwayError as error:
            self._note(str(error))
        except Exception as error:  # a mistake here must not end the following
            log.exception("%s: cannot be followed", self.name)
            self._note(f"{type(error).__name__}: {error}")
        else:
            self.looked_at = time.monotonic()

    def _look(self) -> None:
        try:
            wanted = self.source.current()
        except BrokenVersionError as error:
            self._serve_something()
            return self._note_broken(str(error), None)
        if wanted is None:
            self._suspected = None
            if self.served is None or (self.trouble is not None and self.trouble.is_broken):
                self.trouble = None  # of a version that no pointer names any more
            if self.served is None:
                return None
            return self._note("its pointer and its history are gone; is the store where it was?")
        if self.served is not None and self.served.reference.version == wanted.version:
            return self._check_served(self.served, wanted)
        return self._exchange(wanted)

    def _check_served(self, served: Served, wanted: Reference) -> None:
        """Look whether the file of the served version is still what it was."""
        stamp = self.source.stamp(wanted)
        if stamp != self._stamp:
            try:
                self.source.check_file(wanted)
            except BrokenVersionError as error:
                return self._note_broken(str(error), wanted.version)
            self._stamp = stamp
        self._recovered()
        if served.reference != wanted:  # the same version, promoted again
            self.served = Served(wanted, served.model, served.loaded_at)
        return None

    def _exchange(self, wanted: Reference) -> None:
        """Load a version and serve it; if it is broken, keep what is served."""
        stamp = self.source.stamp(wanted)
        if self._is_to_wait(wanted.version, stamp):
            if self.trouble is not None and self.trouble.is_broken:
                self._announce_certain(self.trouble.text, self.trouble.version)
            return
        try:
            with self._loading:
                model = self.source.load(wanted)
        except BrokenVersionError as error:
            self._failed = _Failed(wanted.version, stamp, time.monotonic() + TRY_AGAIN_AFTER_S)
            self._serve_something()
            self._note_broken(str(error), wanted.version)
            return
        before = self.served.reference.version if self.served else "nothing"
        self._stamp = stamp
        self.served = Served(wanted, model, _now())  # the swap
        log.info("%s: serving %s, before %s", self.name, wanted.version, before)
        self._recovered()

    def _is_to_wait(self, version: str, stamp: Any) -> bool:
        failed = self._failed
        if failed is None or (failed.version, failed.stamp) != (version, stamp):
            return False
        return time.monotonic() < failed.again_at

    def _serve_something(self) -> None:
        """Where nothing is served yet, serve what predict_rows would fall back to."""
        if self.served is not None:
            return
        with contextlib.suppress(BrokenVersionError, SourceAwayError), self._loading:
            found = self.source.instead()
            if found is not None:
                self._stamp = self.source.stamp(found[0])
                self.served = Served(*found, _now())
                log.warning("%s: serving %s instead", self.name, found[0].version)

    def _note(self, text: str) -> None:
        """Note that the source is away; a broken version that was noted before stays the greater problem."""
        if self.trouble is not None and (self.trouble.is_broken or self.trouble.text == text):
            return
        since = self.trouble.since if self.trouble is not None else _now()
        self.trouble = Trouble(text, since)
        log.error("%s: %s; %s", self.name, text, self._serving())

    def _note_broken(self, text: str, version: str | None) -> None:
        if self.trouble is None or (self.trouble.version, self.trouble.text) != (version, text):
            self.trouble = Trouble(text, _now(), version, is_broken=True)
            log.error("%s: %s; %s", self.name, text, self._serving())
        self._announce_certain(text, version)

    def _announce_certain(self, text: str, version: str | None) -> None:
        """Announce a broken version or pointer, once, when two looks have seen it.

        A store that is being removed or restored lacks some files for a moment.
        """
        is_certain = self._suspected == text
        self._suspected = text
        key = version or text
        if key in self._announced or not is_certain:
            return
        self._announced.add(key)
        serving = self.served.reference.version if self.served else None
        if self.source.is_new_problem(serving, text):
            self._announce(f"*{self.name}*: {text}; {self._serving()}")

    def _recovered(self) -> None:
        self._failed = self._suspected = None
        if self.trouble is not None:
            log.info("%s: in order again", self.name)
        self.trouble = None

    def _serving(self) -> str:
        if self.served is None:
            return "nothing serves"
        return f"`{self.served.reference.version}` serves on"


class Follower:
    """All models that are served, and the threads that follow their sources."""

    def __init__(
        self,
        sources: list[Source],
        names: Callable[[], list[str]],
        new_source: Callable[[str], Source],
        *,
        poll_s: float,
        announce: Announce,
    ) -> None:
        """Follow ``sources`` in a thread each, and in one those that ``new_source`` makes of ``names``."""
        self.poll_s = poll_s
        self._names, self._new_source, self._announce = names, new_source, announce
        self._loading = threading.Lock()  # one model in flight
        self._own = [Followed(source, announce, self._loading) for source in sources]
        self.models = {one.name: one for one in self._own}
        self.store_trouble: Trouble | None = None
        self._end = threading.Event()
        self._rounds = [threading.Event() for _ in range(len(sources) + 1)]
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads."""
        looks = [self._look_at_store, *(one.look for one in self._own)]
        for look, is_done in zip(looks, self._rounds, strict=True):
            thread = threading.Thread(target=self._follow, args=(look, is_done), name="follow", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait_for_first(self, timeout_s: float) -> bool:
        """Wait until each source has been asked once; False if one takes longer."""
        end = time.monotonic() + timeout_s
        return all(one.wait(max(0.0, end - time.monotonic())) for one in self._rounds)

    @property
    def is_started(self) -> bool:
        """Whether each source has been asked once."""
        return all(one.is_set() for one in self._rounds)

    def stop(self) -> None:
        """End the threads; one that waits for a storage is left behind."""
        self._end.set()
        for thread in self._threads:
            thread.join(1)

    def _follow(self, look: Callable[[], None], is_done: threading.Event) -> None:
        step = self.poll_s / LOOKS_PER_INTERVAL
        following = time.monotonic()
        while not self._end.is_set():
            look()
            is_done.set()
            following = max(following + step, time.monotonic() - step)
            self._end.wait(max(0.0, following - time.monotonic()))

    def _look_at_store(self) -> None:
        """Look at each model of the store; a model that was once seen is looked at from then on."""
        try:
            names = self._names()
            self.store_trouble = None
        except Exception as error:  # the models that are known say the same, each for itself
            names = []
            if self.store_trouble is None or self.store_trouble.text != str(error):
                log.error("the store cannot be read: %s", error)
                self.store_trouble = Trouble(str(error), _now())
        for name in names:
            if name not in self.models:
                self.models = {**self.models, name: self._followed(name)}
        for one in list(self.models.values()):
            if one not in self._own and not self._end.is_set():
                one.look()

    def _followed(self, name: str) -> Followed:
        return Followed(self._new_source(name), self._announce, self._loading)

    def health(self) -> dict[str, Any]:
        """Return the state of all models: ok, degraded (with reason and since when), or starting."""
        models = {name: self._health_of(one) for name, one in sorted(self.models.items())}
        is_degraded = self.store_trouble is not None or any(
            one["status"] == "degraded" for one in models.values()
        )
        status = "degraded" if is_degraded else "ok" if self.is_started else "starting"
        found: dict[str, Any] = {"status": status, "models": models}
        if self.store_trouble is not None:
            found["problem"] = {"reason": self.store_trouble.text, "since": self.store_trouble.since}
        return found

    def _health_of(self, one: Followed) -> dict[str, Any]:
        served, trouble = one.served, one.trouble or self._silence(one)
        found: dict[str, Any] = {"status": "degraded" if trouble else "ok" if served else "no champion"}
        found["version"] = served.reference.version if served else None
        if served:
            found |= {"since": served.reference.since, "loaded_at": served.loaded_at}
        if trouble:
            problem = {"reason": trouble.text, "since": trouble.since}
            found["problem"] = {**problem, "version": trouble.version} if trouble.version else problem
        return found

    def _silence(self, one: Followed) -> Trouble | None:
        """Return that a source has not answered for long: a request to it is still waiting."""
        if one.looked_at is None:
            return None
        silent_s = time.monotonic() - one.looked_at
        if silent_s <= self.poll_s + SILENT_AFTER_S:
            return None
        since = datetime.fromtimestamp(time.time() - silent_s, UTC).isoformat(timespec="seconds")
        return Trouble(f"its source has not answered for {silent_s:.0f} s", since)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
