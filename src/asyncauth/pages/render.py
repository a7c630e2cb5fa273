"""Templates into responses. All templates are read and compiled when an app is put together, none in a request."""

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.responses import HTMLResponse, Response

FOLDER = Path(__file__).parent
STATIC = {"/static/pages.css": "text/css", "/static/icon.svg": "image/svg+xml; charset=utf-8"}
"""Files for all pages, which anybody may have."""
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'"


def make_headers(*, framed: bool) -> dict[str, str]:
    """Of every page: kept nowhere, no scripts, forms that go to this site alone, and in nobody's frame. `framed`: in
    those of the same origin."""
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": _POLICY + ("; frame-ancestors 'self'" if framed else "; frame-ancestors 'none'"),
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN" if framed else "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


class Renderer:
    """The compiled templates and the style sheet. Reads files: made when the app is, not on the event loop."""

    def __init__(self) -> None:
        sources = {path.name: path.read_text(encoding="utf-8") for path in (FOLDER / "templates").glob("*.html")}
        self._environment = Environment(
            loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters["moment"] = _moment
        for name in sources:
            self._environment.get_template(name)
        self._static = {path: (FOLDER / path[1:]).read_bytes() for path in STATIC}
        self.versions = {path: hashlib.sha256(content).hexdigest()[:12] for path, content in self._static.items()}
        """Of the static files: their addresses change with them."""

    def page(self, template: str, status: int, headers: dict[str, str], values: dict[str, Any]) -> HTMLResponse:
        """A page."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status, headers)

    def static(self, path: str) -> Response:
        """A static file."""
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(self._static[path], headers=headers, media_type=STATIC[path])


@cache
def get_renderer() -> Renderer:
    """The one of this process: the files do not change."""
    return Renderer()


def _moment(value: datetime | None) -> str:
    """A time of FAB's, which has no zone, to the minute."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M")
