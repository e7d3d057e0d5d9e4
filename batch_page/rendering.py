"""Templates become pages. Everything that is shown is escaped, unless it is markup that this package made."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from batch_page.view import all_views

if TYPE_CHECKING:
    from batch_page.asked import Asked

FOLDER = Path(__file__).parent
# Nothing from elsewhere, no script or style but those of this package, and no frame but Airflow's own.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
# A model card is a file of its own, with its styles in it; it is shown as a picture is: it runs nothing.
CARD_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rendered(template: str, asked: Asked, **values: Any) -> str:
    """Return a template's page for a request."""
    values |= {"asked": asked, "_": asked.translate, "views": all_views()}
    return _templates().get_template(template).render(values)


def markup(made: str) -> Markup:
    """Mark text that this package made, with every value in it escaped, as markup."""
    return Markup(made)  # noqa: S704 - each caller escapes what it puts in; tests/batch_page try <script>
