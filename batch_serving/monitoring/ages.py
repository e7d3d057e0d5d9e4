"""How old the outputs are: the newest version of a model, its verdict, its predictions, and the weather.

An output is named as in YAML: ``models/<name>``, ``verdicts/<name>``, ``predictions/<name>`` or ``weather``.
Only what is newest is read, so that the cost does not grow with history.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from batch_serving.prediction.places import days_of, folder_of
from batch_serving.registry.history import PRUNED
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import check_model_name
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import read_with_tag
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import entries, newest_in
from batch_serving.shared.run_context import is_time, parse_time
from batch_serving.shared.suggestions import Suggestion, suggest
from batch_serving.weather.csv_files import latest_path

STAMP = "%Y%m%dT%H%M%SZ"  # at the beginning of a version's name
ALL_KINDS = "use models/<name>, verdicts/<name>, predictions/<name> or weather"
RECENT_VERDICTS = 50  # lines of the history that are read: the last ones may be corrupt


@dataclass(frozen=True)
class Newest:
    """The newest part of an output, and since when it is there; None if there is none yet."""

    output: str
    what: str
    moment: datetime | None
    is_not_due: bool = False  # nothing waits for a newer one

    def age(self, now: datetime) -> timedelta | None:
        """Return how old it is."""
        return None if self.moment is None else max(timedelta(0), now - self.moment)


def newest_of(output: str) -> Newest:
    """Return the newest part of an output; InvalidValueError for an unknown output."""
    check_output(output)
    kind, _, name = output.partition("/")
    return KINDS[kind](output, name)


def check_output(output: str) -> None:
    """Raise InvalidValueError unless it is the name of an output."""
    kind, slash, name = output.partition("/")
    if kind not in KINDS:
        near = suggest(kind, KINDS)
        meant = near and (near.name if near.name == "weather" else f"{near.name}{slash}{name}")
        hint = Suggestion(meant, certain=False).hint if meant else ALL_KINDS
        raise InvalidValueError(f"output {output!r} is not known", hint)
    if kind == "weather":
        if slash:
            raise InvalidValueError(f"output {output!r} is not known", "write weather alone")
        return
    if not name:
        raise InvalidValueError(f"output {output!r} names no model", f"write {kind}/<name>")
    check_model_name(name)


def known_outputs() -> Iterator[str]:
    """Yield the outputs that there are."""
    for name in ModelStore.names():
        yield f"models/{name}"
        yield f"verdicts/{name}"
    for entry in entries(output_path("predictions")):
        with contextlib.suppress(InvalidValueError):
            check_model_name(entry.name)
            yield f"predictions/{entry.name}"
    if read_with_tag(latest_path())[0] is not None:
        yield "weather"


def _newest_version(output: str, name: str) -> Newest:
    versions = ModelStore(name).versions()
    if not versions:
        return Newest(output, f"no version of {name}", None)
    return Newest(output, f"version {versions[-1]} of {name}", _made_at(versions[-1]))


def _made_at(version: str) -> datetime | None:
    with contextlib.suppress(ValueError):
        return datetime.strptime(version.partition("-")[0], STAMP).replace(tzinfo=UTC)
    return None


def _newest_verdict(output: str, name: str) -> Newest:
    """Return since when a version waits for its verdict; if none does, the last verdict, which is not due."""
    store = ModelStore(name)
    versions = store.versions()
    if not versions:
        return Newest(output, f"no version of {name}", None, is_not_due=True)
    verdicts = [entry for entry in store.history(RECENT_VERDICTS) if entry.get("verdict") != PRUNED]
    times = (str(entry.get("at")) for entry in reversed(verdicts))
    last = next((parse_time(text) for text in times if is_time(text)), None)
    # All that wait, and not the newest few: the first one names the message that is sent once.
    waiting = None
    for moment in filter(None, map(_made_at, reversed(versions))):
        if last is not None and moment <= last:
            break
        waiting = moment
    if waiting is None:
        return Newest(output, f"the last verdict on {name}", last, is_not_due=True)
    return Newest(output, f"a version of {name} without a verdict", waiting)


def _newest_prediction(output: str, name: str) -> Newest:
    for day in reversed(days_of(name)):
        # Not the last of the names: they begin with the DAG and the kind of run.
        if (written := newest_in(folder_of(name, day), ".csv")) is not None:
            return Newest(output, f"the last prediction with {name}", datetime.fromtimestamp(written, UTC))
    return Newest(output, f"no prediction with {name}", None)


def _newest_weather(output: str, _name: str) -> Newest:
    data, _ = read_with_tag(latest_path())
    if data is None:
        return Newest(output, "no weather", None)
    collected = list(_collected_at(data.decode("utf-8-sig", errors="replace")))
    if not collected:
        return Newest(output, "no weather that can be read in latest.csv", None)
    return Newest(output, "the last weather", max(collected))


def _collected_at(text: str) -> Iterator[datetime]:
    """Yield the times in a file of weather; the pipeline itself reports what is corrupt there."""
    with contextlib.suppress(csv.Error):
        for row in csv.DictReader(io.StringIO(text, newline="")):
            with contextlib.suppress(InvalidValueError):
                yield parse_time(row.get("collected_at") or "")


KINDS: dict[str, Callable[[str, str], Newest]] = {
    "models": _newest_version,
    "verdicts": _newest_verdict,
    "predictions": _newest_prediction,
    "weather": _newest_weather,
}


def in_words(age: timedelta) -> str:
    """Return an age in one or two units, such as ``3 h 5 min``."""
    minutes = int(age.total_seconds() // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{int(age.total_seconds())} s"
