"""The front page: what the visitor may see here."""

from starlette.responses import Response

from asyncauth.pages.visit import Visit


async def show_front(visit: Visit) -> Response:
    """Links."""
    return visit.render("front.html", user=visit.known_user)
