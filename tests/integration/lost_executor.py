"""An executor that takes tasks and loses them, as a queue does that no worker listens to."""

from __future__ import annotations

from typing import Any

from airflow.executors.base_executor import BaseExecutor


class LostExecutor(BaseExecutor):
    """It knows what it was given, and starts none of it."""

    def sync(self) -> None:
        """Nothing ever happens to a task."""

    def _process_workloads(self, workloads: Any) -> None:
        for workload in workloads:
            self.queued_tasks.pop(workload.key, None)
            self.running.add(workload.key)

    def revoke_task(self, *, ti: Any) -> None:
        """Forget a task."""
        self.running.discard(ti.key)
        self.queued_tasks.pop(ti.key, None)

    def end(self) -> None:
        """Nothing is running."""

    def terminate(self) -> None:
        """Nothing is running."""
