"""What must be the same in all parts of a cluster. Where it is not, they fail later, and give no reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from cluster_settings import CONTROL_ONLY, JWT_SECRET, SECRET_KEY
from project import LocalError

SHORTEST_SECRET = 64  # characters of the JWT secret, HS512's block; a shorter one is refused by workers
SHORTEST_KEY = 16
MOST_SECONDS_APART = 5.0


def check_secrets(control: Mapping[str, str], workers: Mapping[str, Mapping[str, str]]) -> None:
    """Raise LocalError for a secret that is missing, too short, or not the same where it must be."""
    for setting, shortest, harm in (
        (
            JWT_SECRET,
            SHORTEST_SECRET,
            "each try of a task would go back to up_for_retry, without a reason in the UI",
        ),
        (SECRET_KEY, SHORTEST_KEY, "no log of a running task could be read"),
    ):
        if len(control.get(setting, "")) < shortest:
            raise LocalError(
                f"{setting} is missing or has fewer than {shortest} characters: {harm}\n"
                "  to do: remove it from .env, so that one is made, or write a longer one"
            )
    for name, settings in workers.items():
        for setting in (SECRET_KEY, JWT_SECRET):
            if settings.get(setting, control[setting] if setting == JWT_SECRET else "") != control[setting]:
                raise LocalError(
                    f"{setting} of {name} is not that of the API server\n"
                    f"  to do: remove it from the worker.env of {name}"
                )
        known = sorted(set(CONTROL_ONLY) & {*settings} - {JWT_SECRET})
        if known:
            raise LocalError(
                f"{name} has {known[0]}, which a worker does not need and must not know\n"
                f"  to do: remove it from the worker.env of {name}"
            )


def check_clocks(clocks: Mapping[str, Callable[[], float]]) -> None:
    """Raise LocalError if a service's clock is not this machine's: tokens and versions depend on it."""
    for name, ask in clocks.items():
        before = time.time()
        found = ask()
        after = time.time()
        apart = max(before - 1 - found, found - after, 0.0)  # some answer in whole seconds
        if apart > MOST_SECONDS_APART:
            raise LocalError(
                f"the clock of {name} is {apart:.0f} s from this machine's: tokens would expire, and "
                "versions would be named after the wrong time\n"
                "  to do: set the clocks of all machines by NTP"
            )
