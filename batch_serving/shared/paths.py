"""Where files are: relative to the project, below the output folder, or at a URL."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from batch_serving.shared import object_storage
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.extras import setup_command
from batch_serving.shared.root import PROJECT_ROOT

if TYPE_CHECKING:
    from upath import UPath

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://(.*)$", re.DOTALL)


def project_path(location: str) -> UPath:
    """Return ``location`` as a path: a URL unchanged, anything else relative to the project.

    Raises InvalidValueError for a URL without a place, or of a storage that is not installed.
    """
    from upath import UPath

    url = _URL.match(location)
    if url is not None and url[1].lower() != "file":
        return _at_url(location, url[1].lower(), url[2].rstrip("/"))
    local = location if url is None else url[2]
    return UPath(PROJECT_ROOT / Path(local).expanduser())


def _at_url(location: str, scheme: str, place: str) -> UPath:
    from upath import UPath

    if not place.strip("/"):
        raise InvalidValueError(f"{location!r} names no place", f"write {scheme}://bucket/prefix")
    if "::" in place:  # to fsspec, what follows is another URL
        raise InvalidValueError(f"{location!r} has '::' in it", "use another prefix or name")
    # What another worker wrote a moment ago must be seen: listings are not cached.
    of_s3 = scheme in ("s3", "s3a")
    options = object_storage.options() if of_s3 else {"use_listings_cache": False}
    try:
        found = UPath(f"{scheme}://{place}", **options)
        _ = found.fs  # imports what the storage needs
    except ImportError as error:
        hint = setup_command("s3") if of_s3 else str(error)
        raise InvalidValueError(f"the storage of {location!r} is not installed", hint) from None
    except ValueError:
        raise InvalidValueError(
            f"{location!r} is in no known kind of storage", "write s3://bucket/prefix"
        ) from None
    return found


def output_path(*parts: str) -> UPath:
    """Return a path below the output folder, which ``BATCH_OUTPUT`` names (default ``output``)."""
    return project_path(os.environ.get("BATCH_OUTPUT") or "output").joinpath(*parts)


def relative_to_project(path: Path | UPath) -> str:
    """Return ``path`` as messages show it: relative to the project if it is inside."""
    text = str(path)
    return text.removeprefix(f"{PROJECT_ROOT}{os.sep}")


def safe_name(text: str) -> str:
    """Return a file name for ``text``, for example a run_id; different texts get different names."""
    slug = _UNSAFE.sub("-", text).strip(".-")[:100]
    return slug if slug == text else f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def is_local(path: Path | UPath) -> bool:
    """Return whether ``path`` is on this machine's disk."""
    return getattr(path, "protocol", "") in ("", "file", "local")
