"""Slack hears of every failed task, whatever killed it (docs/notifications.md). Airflow loads this plugin.

It does something in two processes only, and there when their job starts: before they fork others.
"""

import importlib
import logging
import os
import sys
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

SETTING = "BATCH_FAILURE_WATCH_S"
DEFAULT_S = 10.0
log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:
    """Watch for failures in the scheduler, and let callbacks know their reason in the DAG processor."""
    if type(component).__name__ != "Job":  # such as a task's process
        return
    try:
        if interval_s() <= 0:
            return
        if "scheduler" in sys.argv:
            watch()
        if "dag-processor" in sys.argv:
            from batch_serving.notices.requests import give_reasons

            give_reasons()
    except Exception:  # Airflow runs without it
        log.exception("failures of killed tasks are not announced")


def interval_s() -> float:
    """Return the seconds between two looks; 0 turns the plugin off."""
    return float(os.environ.get(SETTING) or DEFAULT_S)


def watch() -> None:
    """Start the watcher. What its thread needs is imported here: a fork during an import would lock it."""
    for name in ("airflow.providers.slack.hooks.slack_webhook", "upath.implementations.local"):
        importlib.import_module(name)
    from batch_serving.notices.airflow_database import AirflowDatabase
    from batch_serving.notices.import_errors import ImportErrors
    from batch_serving.notices.watcher import Watcher
    from callables.deadlines import report_stale
    from callables.notifications import inform, warn

    Watcher(AirflowDatabase(), ImportErrors(warn, inform), warn, interval_s(), report_stale).start()


class AnnounceFailures(AirflowPlugin):
    """The plugin, whose listener is this module."""

    name = "announce_failures"
    listeners = (sys.modules[__name__],)
