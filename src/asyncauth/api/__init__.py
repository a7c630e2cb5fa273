"""The REST API: the routes of Airflow's FAB provider under the same paths, and ours beside them. Needs FastAPI.

app = make_app(prefix="/auth")                    # an app of its own, to be served or mounted

app.include_router(make_router(prefix="/auth"))   # or routes of an app that `asyncauth.web.fastapi.install` set up
"""

from asyncauth.api.app import make_app, make_router

__all__ = ["make_app", "make_router"]
