"""What a schema cannot say: each check is a function from document to diagnostics, and all are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.argument_checks import check_arguments, check_task_keys, check_types
from schemas.diagnostics import Diagnostic
from schemas.documents import Document
from schemas.graph_checks import check_branches, check_dependencies, check_joins
from schemas.path_checks import check_no_code_by_file, check_paths
from schemas.text_checks import check_references, check_secrets, check_templates
from schemas.time_checks import check_dates, check_schedule

CHECKS: tuple[Callable[[Document], Iterator[Diagnostic]], ...] = (
    check_no_code_by_file,
    check_paths,
    check_task_keys,
    check_types,
    check_arguments,
    check_schedule,
    check_dates,
    check_dependencies,
    check_branches,
    check_joins,
    check_templates,
    check_references,
    check_secrets,
)
