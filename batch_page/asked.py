"""Who asks for a page, in which language, and what of it may be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from batch_page.korean import KOREAN

LANGUAGES = ("en", "ko")
LANGUAGE_COOKIE = "batch_serving_language"
ZONE = ZoneInfo("Asia/Seoul")


@dataclass(frozen=True)
class Asked:
    """A request of a user who is logged in."""

    readable: frozenset[str]  # the dag_ids whose page this user may see
    language: str
    root: str  # where the page is, such as /batch-serving
    path: str  # of this page, with the query
    query: dict[str, str] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def text(self, english: str, **values: Any) -> str:
        """Return a text in the user's language, with its values filled in."""
        found = KOREAN.get(english, english) if self.language == "ko" else english
        return found.format(**values) if values else found

    @property
    def translate(self) -> Callable[..., str]:
        """The same, under the name that templates use."""
        return self.text

    def url(self, *parts: str, **query: Any) -> str:
        """Return the address of a part of the page."""
        path = "/".join(quote(part, safe="") for part in parts)
        shown = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{self.root}/{path}" + (f"?{urlencode(shown)}" if shown else "")

    def airflow(self, *parts: str) -> str:
        """Return the path of a page of Airflow's UI, for the router of that UI."""
        return "/" + "/".join(quote(part, safe="") for part in parts)

    def airflow_url(self, path: str) -> str:
        """Return the address of a page of Airflow's UI, for a browser without the script."""
        return self.root.rpartition("/")[0] + path

    def may_read_one_of(self, dag_ids: Iterable[str]) -> bool:
        """Whether what these DAGs make may be shown: one of them may be read."""
        return not self.readable.isdisjoint(dag_ids)

    def moment(self, moment: datetime | str | None, *, seconds: bool = False) -> str:
        """Return a moment as people in Korea write it, empty for none; a text is one of ISO 8601."""
        if not moment:
            return ""
        if isinstance(moment, str):
            try:
                moment = datetime.fromisoformat(moment)
            except ValueError:
                return str(moment)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")

    def age(self, moment: datetime) -> str:
        """Return how long ago a moment was, in its largest unit."""
        seconds = max(0, int((self.now - moment).total_seconds()))
        for text, length in (("{count} days ago", 86_400), ("{count} h ago", 3600), ("{count} min ago", 60)):
            if seconds >= length and (length < 86_400 or seconds >= 2 * length):
                return self.text(text, count=seconds // length)
        return self.text("just now")


def language_of(cookie: str | None, accepted: str | None) -> str:
    """Return the language: the one that was switched to, otherwise that of the browser."""
    if cookie in LANGUAGES:
        return str(cookie)
    for part in (accepted or "").split(","):
        name = part.partition(";")[0].strip().lower()[:2]
        if name in LANGUAGES:
            return name
    return LANGUAGES[0]
