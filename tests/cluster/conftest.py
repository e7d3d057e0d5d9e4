"""One cluster for the tests of this folder: its parts are killed, one after the other, and nothing may be lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clusters import RunningCluster, started_cluster

# A task that takes a while, with retries, and the same without.
SLOW = """
{name}:
  schedule: none
  max_active_runs: 4
  params: {{seconds: 20}}
  default_args: {{retries: {retries}, retry_delay: 1, retry_exponential_backoff: 0}}
  tasks:
    work:
      operator: airflow.providers.standard.operators.bash.BashOperator
      # The log has the command, too: what it prints looks different.
      bash_command: echo begun | tr a-z A-Z; sleep {{{{ params.seconds }}}}; echo ended | tr a-z A-Z
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """PostgreSQL, Redis, SeaweedFS, Airflow's components and two workers."""
    configs = {
        "slow.yaml": SLOW.format(name="slow", retries=2),
        "slow_once.yaml": SLOW.format(name="slow_once", retries=0),
    }
    with started_cluster(tmp_path_factory.mktemp("cluster"), {}, configs) as found:
        for dag_id in ("train_model", "promote_model", "predict", "collect_weather"):
            found.api.patch(f"/dags/{dag_id}", {"is_paused": False})
        yield found
