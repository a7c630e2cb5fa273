"""What it adds to a request over HTTP, on uvicorn."""

ADAPTERS = (
    "ASGI middleware",
    "ASGI middleware on Starlette",
    "FastAPI CurrentUser",
    "FastAPI requires",
    "Litestar guard",
)
"""By name: `bench.http.apps` has an app for each, and beside it the same with something empty of the same shape."""
CARRIERS = ("header", "cookie")
"""Where the token is."""
