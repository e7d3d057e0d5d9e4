"""The Batch Serving page in Airflow's UI (docs/page.md). Airflow loads this plugin in each of its processes.

Only the API server answers requests, and only there is the page itself imported, with the first of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

NAME = "Batch Serving"
PREFIX = "batch-serving"
Message = MutableMapping[str, Any]


async def page(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer a request, as ASGI has it."""
    from batch_page.app import application

    await application()(scope, receive, send)


class BatchServingPage(AirflowPlugin):
    """An entry in the navigation, and a tab on each DAG: a component that shows the page in a frame.

    Airflow's own ``external_views`` put a tab into a frame that may run no script and lead to no other page.
    """

    name = "batch_serving_page"
    fastapi_apps: ClassVar[list[Any]] = [{"app": page, "url_prefix": f"/{PREFIX}", "name": NAME}]
    react_apps: ClassVar[list[Any]] = [
        {
            "name": NAME,
            "bundle_url": f"{PREFIX}/static/frame.js",
            "destination": destination,
            "url_route": route,
            "nav_top_level": True,
            "icon": f"{PREFIX}/static/icon.svg",
        }
        for destination, route in (("nav", PREFIX), ("dag", f"{PREFIX}-dag"))
    ]
