"""What importing loads."""

import subprocess
import sys

import pytest

FRAMEWORKS = ("starlette", "fastapi", "litestar", "uvicorn", "flask", "werkzeug")


@pytest.mark.parametrize(
    ("module", "loads"),
    [
        ("asyncauth", set()),
        ("asyncauth.web", set()),
        ("asyncauth.web.asgi", set()),
        ("asyncauth.web.gate", set()),
        ("asyncauth.testing", set()),
        ("asyncauth.web.starlette", {"starlette"}),
        ("asyncauth.web.fastapi", {"starlette", "fastapi"}),
        ("asyncauth.web.litestar", {"litestar"}),
        ("asyncauth.api", {"starlette", "fastapi"}),
        ("asyncauth.pages", {"starlette"}),
    ],
)
def test_an_adapter_loads_its_own_framework_and_no_other(module: str, loads: set[str]) -> None:
    """And the core loads none."""
    code = f"import sys, {module}; print(*(name for name in {FRAMEWORKS!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == loads
