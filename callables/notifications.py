"""Slack messages on failure and promotion. Whatever Slack does, a pipeline's result stays what it was.

Callbacks for YAML: ``on_failure_callback: {callback: callables.notifications.notify_failure, …}``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

TIMEOUT_S = 5  # for one answer of Slack's; a webhook answers in well under a second
DEADLINE_S = 10  # for the whole exchange, however slowly the bytes come
MAX_ERROR_CHARACTERS = 1500  # Slack cuts a message at 40,000; people stop reading far earlier
TROPHY = ":trophy: *{}* has a new champion:"
SETUP = (
    "To receive these in Slack, create an incoming webhook and put its address into .env: "
    'AIRFLOW_CONN_SLACK_WEBHOOK={"conn_type": "slackwebhook", "password": "<the webhook\'s URL>"}'
)


def notify_failure(context: Mapping[str, Any], *, connection: str = "slack_webhook") -> None:
    """Tell Slack that a task failed: DAG, task, run, try, the exception's text and a link to the log.

    Not where the task fails because of another one, which has told: ``fail_as_told``.
    """
    instance = context["ti"]
    error = context.get("exception")
    if getattr(error, "already_told", False):
        log.info("Slack was told by the task that failed first")
        return
    text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error or "unknown")
    lines = [
        f":red_circle: *{_escape(instance.dag_id)}.{_escape(instance.task_id)}* failed",
        f"run `{_escape(instance.run_id)}`, try {instance.try_number}",
        f"```{_escape(_shorten(text))}```",
        f"<{instance.log_url}|Open the log>",
    ]
    _send("\n".join(lines), connection)


def notify_promotion(context: Mapping[str, Any], *, connection: str = "slack_webhook") -> None:
    """Tell Slack which version became the champion, in place of which, and the metric before and after.

    For ``on_success_callback`` of the task whose function is ``callables.promotion.promote``.
    """
    instance = context["ti"]
    result = instance.xcom_pull(task_ids=instance.task_id)
    if not result:
        log.warning("%s returned nothing: no promotion to tell of", instance.task_id)
        return
    before, after = (
        "none" if value is None else f"{value:.4f}" for value in (result["before"], result["after"])
    )
    title = ":leftwards_arrow_with_hook: *{}* is rolled back to" if result.get("rolled_back") else TROPHY
    lines = [
        f"{title.format(_escape(result['model']))} `{_escape(result['version'])}`",
        f"previous: `{_escape(str(result['previous'] or 'none'))}`",
        f"{_escape(result['metric'])}: {before} → {after} ({_escape(result['reason'])})",
        f"<{instance.log_url}|Open the log>",
    ]
    _send("\n".join(lines), connection)


def warn(text: str, *, connection: str = "slack_webhook") -> None:
    """Tell Slack of something that a person should look at, though nothing has failed."""
    _send(f":warning: {_escape(text)}", connection)


def _send(text: str, connection: str) -> None:
    """Send ``text``, or log it with the reason why Slack did not get it; never raises."""
    from airflow.sdk.log import redact

    message = redact(text)  # a connection's password, say, quoted in an exception
    try:
        problem = _deliver(message, connection)
    except ValueError as error:  # from find_connection, whose texts hold no secret
        problem = str(error)
    except Exception as error:  # no fault of Slack's may change a pipeline's result
        problem = type(error).__name__
    if problem:
        log.warning("Slack was not told (%s). The message was:\n%s\n%s", redact(problem), message, SETUP)
    else:
        log.info("Slack was told:\n%s", message)


def _deliver(text: str, connection: str) -> str:
    """Post ``text`` through the webhook connection and return what went wrong, or an empty text."""
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    from callables._airflow import find_connection

    if find_connection(connection) is None:
        return f"there is no connection {connection!r}"
    # One try, so that a task does not wait for Slack; the client is made here because a thread cannot ask
    # Airflow for the connection.
    quiet = logging.Logger("slack")  # slack_sdk would log what may be part of the webhook's address
    quiet.addHandler(logging.NullHandler())
    hook = SlackWebhookHook(
        slack_webhook_conn_id=connection, timeout=TIMEOUT_S, retry_handlers=[], logger=quiet
    )
    client = hook.client
    outcome = [f"no answer within {DEADLINE_S} s"]

    def post() -> None:
        try:
            response = client.send(text=text)
            outcome[0] = (
                ""
                if response.status_code == 200
                else f"HTTP {response.status_code}: {str(response.body)[:200]}"
            )
        except Exception as error:
            outcome[0] = type(error).__name__  # its text may hold the address, which is the secret

    thread = threading.Thread(target=post, name="slack", daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    return outcome[0]


def _escape(text: str) -> str:
    """Escape what Slack's mrkdwn takes for markup: &, < and >."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"{text[:MAX_ERROR_CHARACTERS]} …"
