"""What a schema cannot say: each check is a function from document to diagnostics, and all are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.argument_checks import check_arguments, check_notifiers, check_types
from schemas.diagnostics import Diagnostic
from schemas.documents import Document
from schemas.graph_checks import check_branches, check_dependencies, check_joins
from schemas.path_checks import check_no_code_by_file, check_paths
from schemas.reference_checks import check_pulls, check_results, check_template_names
from schemas.text_checks import check_environment, check_files, check_templates
from schemas.time_checks import check_assets, check_dates, check_schedule, check_span

Check = Callable[[Document], Iterator[Diagnostic]]
# They look at one place each, so that a mistake elsewhere does not make them wrong.
APART: tuple[Check, ...] = (
    check_no_code_by_file,
    check_paths,
    check_notifiers,
    check_arguments,
    check_schedule,
    check_assets,
    check_dates,
    check_templates,
)
CHECKS: tuple[Check, ...] = (
    *APART,
    check_types,
    check_span,
    check_dependencies,
    check_branches,
    check_joins,
    check_pulls,
    check_results,
    check_template_names,
    check_environment,
    check_files,
)
