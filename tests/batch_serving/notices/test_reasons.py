"""Why a task failed, from what Airflow says of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from batch_serving.notices import reasons
from batch_serving.notices.reasons import Limits

LIMITS = Limits(heartbeat_s=300.0, queued_s=600.0)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "{'DAG Id': 'd', 'Task Id': 't', 'Run Id': 'r', 'Hostname': 'worker-3'}",
            "heartbeat lost: its worker on worker-3 has not answered for 300 s",
        ),
        (
            "Task did not emit heartbeat within time limit (300 seconds) and will be terminated.",
            "heartbeat lost: its worker has not answered for 300 s",
        ),
        (
            "Task was requeued more than 2 times and will be failed.",
            "stuck in queue for 600 s, queued again 2 times: no worker took it",
        ),
        (
            "Task was requeued more than 0 times and will be failed.",
            "stuck in queue for 600 s: no worker took it",
        ),
        (
            "Executor K reported that the task instance <T> finished with state failed, but the task instance's "
            "state attribute is queued. Learn more: https://x. Extra info: Pod was OOMKilled",
            "its process ended without a result while the task was queued: Pod was OOMKilled",
        ),
        ("something else", "something else"),
    ],
)
def test_airflows_text_in_plain_words(message: str, words: str) -> None:
    assert reasons.in_words(message, LIMITS) == words


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            [{"event": "Process terminated by signal. Likely out of memory", "signal_name": "SIGKILL"}],
            "its process was killed by SIGKILL, probably out of memory",
        ),
        (
            [{"event": "Process terminated by signal.", "signal_name": "SIGBUS"}],
            "its process was ended by SIGBUS",
        ),
        ([{"event": "Process exited abnormally", "exit_code": 7}], "its process ended with exit code 7"),
        ([{"event": "\n*** Received SIGSEGV ***"}], "its process crashed: SIGSEGV"),
        ([{"event": "what the task printed"}], ""),
        ([], ""),
    ],
)
def test_the_end_of_a_log_says_how_a_process_ended(lines: list[dict], reason: str) -> None:
    assert reasons.in_log([SimpleNamespace(**line) for line in lines]) == reason


def test_a_request_has_its_reason_only_while_it_is_run() -> None:
    with reasons.requested_because("killed"):
        assert reasons.of_request() == "killed"
    assert reasons.of_request() == ""
