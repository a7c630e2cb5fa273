"""What users may import: named by `__all__`, importable, typed and documented; and users are shown nothing else."""

import ast
import inspect
import itertools
import re
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = (
    "asyncauth",
    "asyncauth.admin",
    "asyncauth.api",
    "asyncauth.clock",
    "asyncauth.custom_roles",
    "asyncauth.db.migrate",
    "asyncauth.errors",
    "asyncauth.metrics",
    "asyncauth.model",
    "asyncauth.pages",
    "asyncauth.settings",
    "asyncauth.status",
    "asyncauth.trusted",
    "asyncauth.web.asgi",
    "asyncauth.web.cookies",
    "asyncauth.web.fastapi",
    "asyncauth.web.gate",
    "asyncauth.web.http",
    "asyncauth.web.litestar",
    "asyncauth.web.starlette",
    "asyncauth.testing",
)
"""The public modules. `asyncauth.airflow` is public, too, but only Airflow can import what is in it."""
NAMES = [(module, name) for module in MODULES for name in import_module(module).__all__]
REFERENCE = ROOT / "docs" / "reference"
FENCE = re.compile(r"^[ ]*```python\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)
IMPORT = re.compile(r"^\s*from (asyncauth[\w.]*) import (\([^)]*\)|[^\n#]*)", re.MULTILINE)


def public(module: str, name: str) -> object:
    """What stands under a public name."""
    return getattr(import_module(module), name)


def functions(thing: object) -> Iterator[Callable[..., object]]:
    """The function, or what a class of ours defines for users: methods, properties, its making."""
    if inspect.isfunction(thing):
        yield thing
    elif inspect.isclass(thing):
        for name, member in vars(thing).items():
            inner = getattr(member, "fget", None) or getattr(member, "__func__", member)
            ours = getattr(inner, "__module__", "").startswith("asyncauth") and hasattr(inner, "__code__")
            if (
                ours
                and not inner.__code__.co_filename.startswith("<")
                and (not name.startswith("_") or name == "__init__")
            ):
                yield inner


@pytest.mark.parametrize("module", MODULES)
def test_each_module_says_what_is_public(module: str) -> None:
    """What it is for; each name once, and it is there; a star brings those and no others."""
    assert import_module(module).__doc__
    names = import_module(module).__all__
    assert len(names) == len(set(names)) > 0
    assert [name for name in names if name.startswith("_")] == []
    brought: dict[str, object] = {}
    exec(f"from {module} import *", brought)  # noqa: S102
    assert set(brought) - {"__builtins__"} == set(names)


def test_no_class_of_errors_is_forgotten() -> None:
    errors = import_module("asyncauth.errors")
    defined = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)


def test_the_package_itself_has_few_names() -> None:
    """Whoever adds one here has to want it: each can never be taken away again."""
    assert set(import_module("asyncauth").__all__) == {
        *("AuthError", "AuthManager", "Claims", "Decision", "Permission", "Role", "Settings", "TokenPair", "User"),
        *("close_auth_manager", "create_auth_manager", "deserialize_user", "get_auth_manager", "serialize_user"),
    }


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda value: value)
def test_it_is_ours_typed_and_documented(module: str, name: str) -> None:
    """Each parameter and result has a type that can be resolved, and each public thing a docstring."""
    thing = public(module, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert thing.__module__.startswith("asyncauth")
        assert thing.__doc__, f"{name} has no docstring"
    for function in functions(thing):
        hints = function.__annotations__
        parameters = [one for one in inspect.signature(function).parameters if one not in {"self", "cls"}]
        assert [one for one in parameters if one not in hints] == [], function.__qualname__
        assert "return" in hints, function.__qualname__
        assert function.__doc__ or function.__name__.startswith("__"), f"{function.__qualname__} has no docstring"


def test_each_setting_is_described() -> None:
    """In the source alone: Python keeps no docstrings of fields."""
    source = ast.parse((ROOT / "src/asyncauth/settings.py").read_text(encoding="utf-8"))
    (settings,) = (node for node in source.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    described = {
        field.target.id
        for field, text in itertools.pairwise(settings.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
    assert described == set(import_module("asyncauth").Settings.model_fields)


def shown() -> Iterator[tuple[str, str, str]]:
    """What README, docs and examples import from asyncauth: page, module, name."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in FENCE.findall(path.read_text(encoding="utf-8")):
            for module, names in IMPORT.findall(block):
                for name in names.strip("()").split(","):
                    if name.strip():
                        yield str(path.relative_to(ROOT)), module, name.split(" as ")[0].strip()
    for path in sorted((ROOT / "examples").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "asyncauth":
                yield from ((str(path.relative_to(ROOT)), node.module, alias.name) for alias in node.names)


def test_users_are_shown_public_names_only() -> None:
    """What stands in the README is kept by those who read it."""
    found = list(shown())
    assert len(found) > 20
    modules = {*MODULES, "asyncauth.airflow"}
    hidden = {
        (page, module, name)
        for page, module, name in found
        if f"{module}.{name}" not in modules
        and (module not in modules or (module in MODULES and name not in import_module(module).__all__))
    }
    assert hidden == set()


def test_the_reference_has_every_public_name() -> None:
    """By its own name, by that of its module, or under another public name of the same thing."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in REFERENCE.rglob("*.md"))
    named = set(re.findall(r"^::: ([\w.]+)", text, re.MULTILINE))
    here = {f"{module}.{name}" for module, name in NAMES if f"{module}.{name}" in named or module in named}
    things = [public(*one.rsplit(".", 1)) for one in here]
    missing = [
        f"{module}.{name}"
        for module, name in NAMES
        if f"{module}.{name}" not in here and not any(public(module, name) is thing for thing in things)
    ]
    assert missing == []


def test_types_of_public_names_can_be_resolved() -> None:
    """No annotation names what only a type checker can import; those who read hints at run time do (FastAPI does)."""
    optional = {"register_prometheus", "register_opentelemetry"}  # packages that are not needed otherwise
    for module, name in NAMES:
        if inspect.isfunction(thing := public(module, name)) and name not in optional:
            assert typing.get_type_hints(thing)
