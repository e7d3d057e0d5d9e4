"""Which models a page may show to its user, and which of them it is about."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import HTTPException

from batch_page.asked import Asked
from batch_page.pipelines import dags_of_model, pipelines


def visible_models(asking: Asked, names: Iterable[str]) -> list[str]:
    """Return the models of a DAG that the user may read; one of no DAG is for those who may read all."""
    everything = {one.dag_id for one in pipelines()} <= asking.readable
    return [
        name
        for name in names
        if (asking.may_read_one_of(dags) if (dags := dags_of_model(name)) else everything)
    ]


def chosen_model(asking: Asked, names: list[str]) -> str:
    """Return the model of ``?model=``, otherwise the first one, empty if there is none; 404 for another."""
    name = asking.query.get("model") or (names[0] if names else "")
    if name and name not in names:
        raise HTTPException(404, "this model does not exist, or you may not see it")
    return name
