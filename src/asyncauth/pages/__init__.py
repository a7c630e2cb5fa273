"""Pages for people: log in and out, change one's password, manage users and roles. Server-rendered, without JavaScript.
Needs Starlette and Jinja2.

app = FastAPI()
install(app, cookie=CookiePolicy())                                  # asyncauth.web.fastapi
app.mount("/auth", Router(routes=page_routes()))                     # starlette.routing.Router
"""

from asyncauth.pages.options import PageOptions
from asyncauth.pages.routes import page_routes

__all__ = ["PageOptions", "page_routes"]
