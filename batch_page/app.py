"""The page as an application that Airflow's API server answers requests with."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.base import RequestResponseEndpoint

from batch_page.access import asked
from batch_page.asked import LANGUAGE_COOKIE, LANGUAGES, Asked
from batch_page.queries import answered_within
from batch_page.rendering import FOLDER, HEADERS, POLICY
from batch_page.view import register
from batch_page.views import configs, models, overview, predictions, quality, weather

A_YEAR_S = 365 * 24 * 3600
VIEWS = (
    overview.VIEW,
    models.VIEW,
    predictions.VIEW,
    quality.VIEW,
    weather.VIEW,
    configs.VIEW,
)  # in the order of the tabs


@cache
def application() -> FastAPI:
    """Return the application: one per process."""
    register(VIEWS)
    app = FastAPI(title="Batch Serving", docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    router = APIRouter(default_response_class=HTMLResponse)
    for view in VIEWS:
        view.add_routes(router)
    router.add_api_route("/language/{language}", _switch_language, methods=["GET"])
    app.include_router(router)
    app.middleware("http")(_in_time_with_headers)
    return app


async def _in_time_with_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    with answered_within():
        response = await call_next(request)
    response.headers.setdefault("Content-Security-Policy", POLICY)
    for name, value in HEADERS.items():
        if name != "Cache-Control" or not request.url.path.startswith(_static(request)):
            response.headers.setdefault(name, value)
    return response


def _static(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/static/"


def _switch_language(language: str, request: Request, asking: Annotated[Asked, Depends(asked)]) -> Response:
    """Remember the language in a cookie, and go back to where the switch was."""
    here = request.query_params.get("here", "")
    back = here if here.startswith(f"{asking.root}/") else f"{asking.root}/"
    answer = RedirectResponse(back, 303)
    if language in LANGUAGES:
        answer.set_cookie(LANGUAGE_COOKIE, language, max_age=A_YEAR_S, path=asking.root, samesite="lax")
    return answer
