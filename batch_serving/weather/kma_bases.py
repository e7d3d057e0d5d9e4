"""When KMA makes its ultra-short-term forecast (초단기예보), and which forecast a run needs.

A forecast is known by its base, HH:30 in Korean time. It is served 15 minutes later, holds the next six full
hours, and is kept for about a day.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from batch_serving.weather.kma_errors import WRONG_PARAMETER, Kind, KmaError

KST = ZoneInfo("Asia/Seoul")
PUBLISHED_AFTER = timedelta(minutes=15)
KEPT_FOR = timedelta(hours=24)  # after about a day, at most three, the service rejects a base
GONE_AFTER = timedelta(days=3)
REJECTED_FROM = timedelta(hours=12)  # "wrong parameter" for a base older than this means the base


def target_hour(run_after: datetime) -> datetime:
    """Return the hour that a run forecasts, in KST: the full hour of the run, plus one."""
    return run_after.astimezone(KST).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def newest_base(moment: datetime) -> datetime:
    """Return the newest base that is served at ``moment``."""
    published = moment.astimezone(KST) - PUBLISHED_AFTER
    base = published.replace(minute=30, second=0, microsecond=0)
    return base if base <= published else base - timedelta(hours=1)


def bases_for(run_after: datetime, hour: datetime, now: datetime) -> list[datetime]:
    """Return the bases to request for ``hour``, best first: the run's own, the one before, a later one.

    A run that is late (``now``) may use a base that was not served when the run was due.
    """
    own = newest_base(run_after)
    later = own + timedelta(hours=1)
    bases = [own, own - timedelta(hours=1)]
    if later < hour and later <= newest_base(now):
        bases.append(later)
    return bases


def is_gone(error: KmaError, base: datetime, now: datetime) -> bool:
    """Return whether an error means that the service no longer has ``base``.

    It answers "no data" or rejects the base. After three days it has none, whatever the error is.
    """
    if now - base > GONE_AFTER:
        return error.kind not in (Kind.KEY, Kind.QUOTA)
    return is_too_old(error, base, now) or (now - base > KEPT_FOR and error.kind is Kind.NO_DATA)


def is_too_old(error: KmaError, base: datetime, now: datetime) -> bool:
    """Return whether the service rejects ``base`` because of its age: a newer base may work."""
    return error.code == WRONG_PARAMETER and now - base > REJECTED_FROM
