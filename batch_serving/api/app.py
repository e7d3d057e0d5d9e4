"""The HTTP side: routes, limits, the token, and the form of answers."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from batch_serving.api.bodies import parse_rows
from batch_serving.api.descriptions import DESCRIPTION, EXAMPLE, HEALTH, MODEL, MODELS, PREDICT
from batch_serving.api.following import Followed, Follower, Served
from batch_serving.api.problems import RefusedError
from batch_serving.api.settings import Settings
from batch_serving.shared.suggestions import did_you_mean

log = logging.getLogger(__name__)

BODY_TIMEOUT_S = 30  # for a body to arrive
FIRST_LOOK_S = 10  # the server answers after that at the latest, also if a storage does not
_BEARER = HTTPBearer(auto_error=False, description="BATCH_SERVE_TOKEN, if the server has one")


def make_app(settings: Settings, follower: Follower) -> FastAPI:
    """Return the application; the follower's threads start and end with it."""
    pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="predict")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        follower.start()
        await run_in_threadpool(follower.wait_for_first, FIRST_LOOK_S)
        _log_models(follower)
        yield
        await run_in_threadpool(follower.stop)
        pool.shutdown(wait=True)

    app = FastAPI(title="Batch serving", description=DESCRIPTION, version="1", lifespan=lifespan)
    _add_errors(app)
    router = APIRouter(dependencies=[Depends(_token_check(settings.token))])
    _add_models(router, follower)
    _add_predict(router, settings, follower, pool)
    app.include_router(router)
    _add_health(app, settings.token, follower)
    return app


def _log_models(follower: Follower) -> None:
    for name, one in sorted(follower.health()["models"].items()):
        log.info("%s: %s", name, one["version"] or one["status"])
    if not follower.models:
        log.warning("there are no models yet: run train_model and promote_model, which make one")


def _add_health(app: FastAPI, token: str, follower: Follower) -> None:
    @app.get("/health", **HEALTH)
    async def health(request: Request) -> Response:
        found = follower.health()
        status = 503 if found["status"] == "starting" else 200
        if not _is_allowed(request.headers.get("authorization", ""), token):
            found = {"status": found["status"]}  # for a probe without the token
        return _json(found, status)


def _add_models(router: APIRouter, follower: Follower) -> None:
    @router.get("/models", **MODELS)
    async def models() -> Response:
        return _json({"models": [_described(one) for _, one in sorted(follower.models.items())]})

    @router.get("/models/{name}", **MODEL)
    async def model(name: str) -> Response:
        one = _find(follower, name)
        served = _served(one)
        return _json({**_described(one), "columns": list(served.model.columns())})

    @router.get("/models/{name}/example", **EXAMPLE)
    async def example(name: str) -> Response:
        row = _served(_find(follower, name)).model.example()
        if row is None:
            raise RefusedError(404, f"model {name!r} has no example", "its rows are what its loader takes")
        return _json({"rows": [row]})


def _add_predict(router: APIRouter, settings: Settings, follower: Follower, pool: ThreadPoolExecutor) -> None:
    at_work = 0

    @router.post("/models/{name}/predict", **PREDICT)
    async def predict(name: str, request: Request) -> Response:
        nonlocal at_work
        served = _served(_find(follower, name))  # before the body: an unknown model needs none
        if at_work >= settings.max_requests:
            raise RefusedError(503, f"{at_work} requests are being answered", "try again", retry_s=1)
        at_work += 1
        try:
            body = await _read_body(request, settings.max_bytes)
            served = _served(_find(follower, name))  # the champion may have changed while the body came
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(pool, _predict, name, served, body, settings.max_rows)
        finally:
            at_work -= 1
        return Response(content, media_type="application/json")


def _predict(name: str, served: Served, body: bytes, max_rows: int) -> bytes:
    """Return the answer to a body; it runs in a thread, for it calculates."""
    answer = served.model.answer(parse_rows(body, max_rows))
    version = served.reference.version
    return _to_json({"model": name, "version": version, "predictions": answer.predictions, **answer.extra})


async def _read_body(request: Request, most: int) -> bytes:
    """Return the body; RefusedError as soon as it is too large, whatever its length was said to be."""
    error = RefusedError(
        413, f"the body has more than {most} bytes", "send fewer rows, or raise BATCH_SERVE_MAX_BYTES"
    )
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said[:20]) > most:
        raise error
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise error
                parts.append(part)
    except TimeoutError:
        raise RefusedError(
            408, f"the body did not arrive within {BODY_TIMEOUT_S} s", "send it again"
        ) from None
    except ClientDisconnect:
        raise RefusedError(400, "the body ended too early") from None
    return b"".join(parts)


def _find(follower: Follower, name: str) -> Followed:
    found = follower.models.get(name)
    if found is None:
        if not follower.is_started:
            raise RefusedError(503, "the server is starting", "try again", retry_s=1)
        known = sorted(follower.models)
        shown = ", ".join(known[:10]) or "none yet"
        hint = did_you_mean(name, known) or f"models: {shown}"
        raise RefusedError(404, f"there is no model {name[:100]!r}", hint)
    return found


def _served(one: Followed) -> Served:
    served = one.served
    if served is not None:
        return served
    if one.trouble is not None:
        raise RefusedError(
            503, f"model {one.name!r} cannot be served: {one.trouble.text}", "see /health", retry_s=5
        )
    if one.looked_at is None:
        raise RefusedError(503, f"model {one.name!r} is being loaded", "try again", retry_s=1)
    raise RefusedError(
        503, f"model {one.name!r} has no champion yet",
        f"promote a version: run promote_model, or `batch models promote {one.name} <version>`", retry_s=5,
    )  # fmt: skip


def _described(one: Followed) -> dict[str, Any]:
    served = one.served
    if served is None:
        return {"model": one.name, "version": None}
    reference = served.reference
    about = {"model": one.name, "version": reference.version, "since": reference.since}
    found = {**about, "loaded_at": served.loaded_at, "sha256": reference.sha256, **reference.facts}
    return {**found, "problem": one.trouble.text} if one.trouble else found


def _token_check(token: str) -> Callable[..., Any]:
    """Return a dependency that refuses a request without the token, before anything of it is read."""

    async def check(request: Request, _: HTTPAuthorizationCredentials | None = Depends(_BEARER)) -> None:  # noqa: B008 # FastAPI reads it
        if not _is_allowed(request.headers.get("authorization", ""), token):
            raise RefusedError(401, "the token is missing or wrong", "send `Authorization: Bearer <token>`")

    return check


def _is_allowed(authorization: str, token: str) -> bool:
    """Return whether a header has the token; the comparison takes the same time wherever they differ."""
    if not token:
        return True
    kind, _, given = authorization.partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return _refused(error)

    @app.exception_handler(HTTPException)
    async def not_found(_: Request, error: HTTPException) -> Response:
        hint = "GET /docs lists the addresses" if error.status_code in (404, 405) else ""
        return _refused(RefusedError(error.status_code, str(error.detail), hint), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return _refused(RefusedError(500, f"the server has failed ({type(error).__name__})", "see its log"))


def _refused(error: RefusedError, headers: dict[str, str] | None = None) -> Response:
    headers = dict(headers or {})
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_s:
        headers["Retry-After"] = str(error.retry_s)
    if error.status in (401, 408, 413):
        headers["Connection"] = "close"  # what is left of the body is not read
    return _json(error.to_json(), error.status, headers)


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_to_json(content), status, headers, media_type="application/json")


def _to_json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
