"""Slack messages on failure and promotion. A problem with Slack never changes a pipeline's result.

Callbacks for YAML: ``on_failure_callback: {callback: callables.notifications.notify_failure, …}``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from batch_serving.notices import claims, reasons
from batch_serving.notices.claims import Claim
from batch_serving.notices.once import announces_once
from batch_serving.shared.extras import hint_of_error

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

TIMEOUT_S = 5  # for one response of Slack; a webhook responds in less than a second
DEADLINE_S = 10  # for the whole exchange, however slowly the bytes arrive
CLAIM_DEADLINE_S = 3  # for the file that lets one sender send: no message waits longer for a storage
MAX_ERROR_CHARACTERS = 1500  # Slack cuts a message at 40,000 characters, readers stop much earlier
REASONS = {
    "task_failure": "a task failed",
    "all_tasks_deadlocked": "none of its tasks can run any more",
    "timed_out": "it took longer than its dagrun_timeout",
}
FAILED, PREVENTED = ("failed",), ("upstream_failed",)
OPEN = ("running", "queued", "scheduled", "up_for_retry", "deferred", "restarting", "None")
SETUP = (
    "To receive these messages in Slack, create an incoming webhook and put its URL into .env: "
    'AIRFLOW_CONN_SLACK_WEBHOOK={"conn_type": "slackwebhook", "password": "<the webhook\'s URL>"}'
)


@announces_once
def notify_failure(
    context: Mapping[str, Any], *, connection: str = "slack_webhook", unless_a_task_failed: bool = False
) -> None:
    """Send to Slack that a task failed: DAG, task, run, try, the error's text and a link to the log.

    Once for each try of a task, however often Airflow calls back. Sends nothing for a task that fails because
    of another one, which was reported itself, and for one that Airflow ended as something else than failed.
    As a callback of a DAG: that a run failed, why, and which of its tasks did. With ``unless_a_task_failed``
    only of a run that fails otherwise, such as by its dagrun_timeout: its tasks report themselves.
    """
    if "reason" in context and not context.get("exception"):
        if not (unless_a_task_failed and context["reason"] == "task_failure"):
            _send("\n".join(_failed_run(context)), connection)
        return
    instance = context["ti"]
    _once(
        lambda: claims.of_task(instance.id, instance.try_number, connection),
        lambda: _send_failed_task(context, connection),
    )


def _send_failed_task(context: Mapping[str, Any], connection: str) -> str:
    """Send the message about a task that failed, and return what came of it."""
    from batch_serving.shared.airflow import is_no_failure

    instance = context["ti"]
    error = context.get("exception")
    if getattr(error, "already_reported", False):
        log.info("not sent to Slack: the task that failed first was reported")
        return "reported with the task that failed first"
    if error is not None and is_no_failure(instance):
        log.info("not sent to Slack: Airflow ended this task, and not as failed")
        return "not failed"
    lines = [
        f":red_circle: *{escaped(instance.dag_id)}.{escaped(_name(instance))}* failed",
        f"run `{escaped(instance.run_id)}`, try {instance.try_number}",
        f"```{escaped(_shorten(_reason(error, instance)))}```",
        f"<{instance.log_url}|Open the log>",
    ]
    return _send("\n".join(lines), connection)


def _name(instance: Any) -> str:
    index = getattr(instance, "map_index", -1)
    return str(instance.task_id) if index in (None, -1) else f"{instance.task_id}[{index}]"


def _reason(error: Any, instance: Any) -> str:
    """Return why a task failed: its error, or why Airflow calls back where its process cannot."""
    if type(error).__name__ == "AirflowTaskTimeout":
        return f"timed out after {instance.task.execution_timeout} (execution_timeout)"
    if isinstance(error, BaseException):
        hint = hint_of_error(str(error))
        return f"{type(error).__name__}: {error}" + (f"\n{hint}" if hint else "")
    return str(error or reasons.of_request() or reasons.UNKNOWN)


def _once(place: Callable[[], UPath], send: Callable[[], str]) -> None:
    """Call ``send``, unless another sender has claimed the message whose claim is at ``place``.

    Where the claim's folder does not answer, the message is sent: twice is better than never.
    """
    claimed: list[bool] = []
    _within(CLAIM_DEADLINE_S, lambda: claimed.append(claims.claim(place()) is not None))
    if claimed == [False]:
        log.info("not sent to Slack: it is, or was, sent by another process")
        return
    outcome = send()
    _within(CLAIM_DEADLINE_S, lambda: Claim(place()).close(outcome))


def _within(seconds: float, call: Callable[[], Any]) -> None:
    """Call a function in a thread, and wait for its end for so long; log what it raises."""

    def run() -> None:
        try:
            call()
        except Exception as error:  # no problem with the output folder may prevent a message
            log.warning("it was not noted that Slack has this message: %s: %s", type(error).__name__, error)

    thread = threading.Thread(target=run, name="claim", daemon=True)
    thread.start()
    thread.join(seconds)


def _failed_run(context: Mapping[str, Any]) -> list[str]:
    """Return the lines about a run that failed, from the context of a DAG's callback.

    Without a task that caused it, the context has only the DAG, the run_id and the reason.
    """
    from batch_serving.shared.airflow import states_of_tasks

    instance = context.get("ti")
    dag_id = instance.dag_id if instance is not None else context["dag"].dag_id
    run_id = instance.run_id if instance is not None else context["run_id"]
    reason = str(context["reason"] or "unknown")
    lines = [
        f":red_circle: *{escaped(dag_id)}* failed: {escaped(REASONS.get(reason, reason))}",
        f"run `{escaped(run_id)}`",
    ]
    states = states_of_tasks(dag_id, run_id)
    if not states and instance is not None:
        states = {instance.task_id: "failed"}
    wanted_by_word: dict[str, tuple[str, ...]] = {"failed": FAILED, "not run because of them": PREVENTED}
    if reason == "timed_out":  # Airflow marks the tasks that are left as skipped, and then calls back
        wanted_by_word["not finished, or skipped"] = (*OPEN, "skipped")
    else:
        wanted_by_word["not finished"] = OPEN
    for word, wanted in wanted_by_word.items():
        if names := sorted(task for task, state in states.items() if state in wanted):
            lines.append(f"{word}: {escaped(_shorten(', '.join(names)))}")
    if instance is not None:
        lines.append(f"<{instance.log_url}|Open the log of {escaped(instance.task_id)}>")
    return lines


def notify_promotion(context: Mapping[str, Any], *, connection: str = "slack_webhook") -> None:
    """Send to Slack which version became the champion, the previous one, and the metric before and after.

    For ``on_success_callback`` of the task whose function is ``callables.promotion.promote``.
    """
    instance = context["ti"]
    result = instance.xcom_pull(task_ids=instance.task_id)
    if not result:
        log.warning("%s returned nothing: there is no promotion to report", instance.task_id)
        return
    model, version = escaped(result["model"]), escaped(result["version"])
    if result.get("rolled_back"):
        title = f":leftwards_arrow_with_hook: *{model}* is rolled back to `{version}`"
    else:
        title = f":trophy: *{model}* has a new champion: `{version}`"
    change = f"{_score(result['before'])} → {_score(result['after'])}"
    lines = [
        title,
        f"previous: `{escaped(str(result['previous'] or 'none'))}`",
        f"{escaped(result['metric'])}: {change} ({escaped(result['reason'])})",
        f"<{instance.log_url}|Open the log>",
    ]
    _send("\n".join(lines), connection)


def _score(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def warn(text: str, *, connection: str = "slack_webhook") -> str:
    """Send a warning to Slack, and return what came of it: something needs attention, no task has failed."""
    return _send(f":warning: {escaped(text)}", connection)


def inform(text: str, *, connection: str = "slack_webhook") -> str:
    """Send to Slack that something is in order again. Return what came of it."""
    return _send(f":white_check_mark: {escaped(text)}", connection)


def announce_once(place: Callable[[], UPath], lines: list[str], connection: str) -> None:
    """Send lines to Slack unless another process has: ``place`` returns where the claim on them is."""
    _once(place, lambda: _send("\n".join(lines), connection))


def _send(text: str, connection: str) -> str:
    """Send ``text``, or log it with the reason why it was not sent; never raises. Return which of the two."""
    from airflow.sdk.log import redact

    message = redact(text)  # it may quote a password of a connection, for example in an exception
    try:
        problem = _deliver(message, connection)
    except ValueError as error:  # from find_connection, whose texts contain no secret
        problem = str(error)
    except Exception as error:  # no problem with Slack may change a pipeline's result
        problem = type(error).__name__
    if problem:
        log.warning("Not sent to Slack (%s). The message was:\n%s\n%s", redact(problem), message, SETUP)
        return "not sent"
    log.info("Sent to Slack:\n%s", message)
    return "sent"


def _deliver(text: str, connection: str) -> str:
    """Post ``text`` through the webhook connection and return what went wrong, or an empty text."""
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    from batch_serving.shared.airflow import find_connection

    if find_connection(connection) is None:
        return f"there is no connection {connection!r}"
    quiet = logging.Logger("slack")  # slack_sdk may log a part of the webhook's URL, which is secret
    quiet.addHandler(logging.NullHandler())
    # No retries, so that a task does not wait for Slack.
    hook = SlackWebhookHook(
        slack_webhook_conn_id=connection, timeout=TIMEOUT_S, retry_handlers=[], logger=quiet
    )
    client = hook.client  # made here, because a thread cannot ask Airflow for the connection
    outcome = [f"no response within {DEADLINE_S} s"]

    def post() -> None:
        try:
            response = client.send(text=text)
        except Exception as error:
            outcome[0] = type(error).__name__  # its text may contain the URL, which is secret
            return
        is_sent = response.status_code == 200
        outcome[0] = "" if is_sent else f"HTTP {response.status_code}: {str(response.body)[:200]}"

    thread = threading.Thread(target=post, name="slack", daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    return outcome[0]


def escaped(text: str) -> str:
    """Escape what is markup in Slack's mrkdwn: &, < and >."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"{text[:MAX_ERROR_CHARACTERS]} …"
