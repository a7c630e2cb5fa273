"""Where a login may lead: to a path of this site, and to nothing else."""

from collections.abc import Collection
from urllib.parse import unquote

from asyncauth.web.http import ScopeView, header_values

MAX_LENGTH = 2000
PARAMETER = "next"


def find_safe_path(
    scope: ScopeView, text: str | None, never: Collection[str] = (), origins: Collection[str] = ()
) -> str | None:
    """The path (with its query) that `text` names on this site; None: it names none, or one that is refused.

    A whole URL counts if it is of this host, as Airflow's UI sends it; of that, too, only the path is used, so whatever
    is returned stays on this site.

    Args:
        scope: of the request.
        text: what the client sent. Browsers drop tabs and line ends from a URL, and take `\\` for `/`.
        never: paths that are refused, with all that is below them: the login itself would lead round in a circle.
        origins: that are this site's as well.
    """
    if not text or len(text) > MAX_LENGTH or not text.isprintable() or " " in text or "\\" in text:
        return None
    path = _of_this_site(scope, text, origins)
    if not path.startswith("/") or "//" in path.partition("?")[0].partition("#")[0]:
        return None
    plain = unquote(path.partition("?")[0].partition("#")[0])
    climbs = {".", ".."} & set(plain.split("/"))
    circles = any(f"{plain}/".startswith(f"{one.rstrip('/')}/") for one in never)
    return None if climbs or circles else path


def _of_this_site(scope: ScopeView, text: str, origins: Collection[str]) -> str:
    """The text without `http://` or `https://` and this host: a proxy may have hidden the scheme from us."""
    for origin in origins:
        if text.startswith(f"{origin}/"):
            return text.removeprefix(origin)
    hosts = header_values(scope, b"host")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in {"http", "https"} or len(hosts) != 1:
        return text
    host, slash, path = rest.partition("/")
    return f"{slash}{path}" if slash and host and host.lower() == hosts[0].decode("latin-1").lower() else ""
