"""Airflow's permissions: who asks, and which DAGs they may read."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, HTTPException, Request

from batch_page.asked import LANGUAGE_COOKIE, Asked, language_of


def asked(request: Request, user: Annotated[Any, Depends(get_user)]) -> Asked:
    """Return the request of a user who is logged in; 401 for anyone else."""
    readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    return Asked(
        readable=frozenset(readable),
        language=language_of(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language")),
        root=request.scope.get("root_path", "").rstrip("/"),
        path=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        query=dict(request.query_params),
    )


def asked_about_dag(dag_id: str, asking: Annotated[Asked, Depends(asked)]) -> Asked:
    """Return the same for a page about a DAG; 403 if this user may not read it, or there is none."""
    if dag_id not in asking.readable:
        raise HTTPException(403, "this DAG does not exist, or you may not read it")
    return asking
