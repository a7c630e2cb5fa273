"""The code on the pages and in the README runs as it stands there, and prints what stands there."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.page_code import PageError, find_blocks, matches, pages
from tests.e2e.page_place import serve_commands
from tests.e2e.page_runner import PageRunner


@pytest.fixture(autouse=True)
def blocking() -> None:
    """Readers may block their own event loop."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the pages' `asyncauth` runs."""
    with serve_commands(tmp_path_factory.mktemp("commands")) as path:
        yield path


def run(page: Path, folder: Path, commands: Path) -> PageRunner:
    """All blocks of a page."""
    blocks = find_blocks(page)
    with PageRunner(folder, commands) as runner:
        for block in blocks:
            runner.run(block)
        runner.finish()
    return runner


@pytest.mark.parametrize(
    "page", pages(), ids=lambda page: page.name if page.name != "index.md" else str(page.parent.name)
)
def test_a_page(page: Path, tmp_path: Path, commands: Path) -> None:
    """From top to bottom. What is not run says why, in the test's output."""
    run(page, tmp_path, commands)


# ── the runner itself ──

GOOD = """
Here a language says what a fence is.

```python
import os
x = 20
```

1. In a list:

    ```bash
    export WHO=ada; mkdir below; cd below
    ```

```python
import asyncio
await asyncio.sleep(0)
print(x + 1, os.environ["WHO"], os.getcwd().rpartition("/")[2])
```

<!-- output -->
```text
21 … below
```

<!-- file: helper.py -->
```python
def answer() -> int:
    return 42
```

```console
$ echo one \\
    two
one two
$ echo $WHO >&2
ada
```

<!-- eventually -->
```console
$ echo >> times; grep -c '' times
3
```

<!-- fails: ValueError: no -->
```python
from helper import answer
raise ValueError(f"no {answer()}")
```

<!-- fails: exit code 3 -->
```bash
exit 3
```

<!-- typed: correct horse -->
```bash
read first; read again
test "$first, $again" = "correct horse, correct horse"
```

<!-- shown: nobody has such a cluster -->
```bash
false
```

```bash
pip install 'asyncauth[fastapi,sqlite]' uvicorn
make demo
```

```json
{"a": 1}
```
"""


def write(folder: Path, text: str) -> Path:
    """A page."""
    page = folder / "page.md"
    page.write_text(text)
    return page


def test_a_page_with_all_kinds(tmp_path: Path, commands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs, says what it did not run, and leaves the process as it was."""
    before = dict(os.environ), Path.cwd(), list(sys.path)
    run(write(tmp_path, GOOD), tmp_path, commands)
    assert "not run: nobody has such a cluster" in capsys.readouterr().out
    assert (dict(os.environ), Path.cwd(), sys.path) == before
    assert "helper" not in sys.modules


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```\nx\n```", "a fence says what it is"),
        ("```sh\nx\n```", "a fence says what it is"),
        ("```python\nx", "does not end"),
        ("<!-- runn -->\n```bash\ntrue\n```", "no marker 'runn'"),
        ("<!-- shown -->\n```bash\ntrue\n```", "needs a text"),
        ("<!-- typed -->\n```bash\ntrue\n```", "needs a text"),
        ("<!-- typed: y -->\n```bash\nread a; test $a = n\n```", "exit code 1"),
        ("<!-- eventually -->\n```bash\ntrue\n```", "only console blocks"),
        ("<!-- fails -->\n```text\ntrue\n```", "cannot be run"),
        ("```bash\nfalse\ntrue\n```", "exit code 1"),
        ("```bash\necho $UNSET\n```", "unbound variable"),
        ("```bash\npip install 'asyncauth[nothing]'\n```", "no extra nothing"),
        ("```bash\nmake nothing\n```", "exit code 2"),
        ("```console\nls\n```", "begins with a command"),
        ("```console\n$ echo a\nb\n```", "the page says"),
        ("```python\nprint(1)\n```\n<!-- output -->\n```text\n2\n```", "the page says"),
        ("<!-- fails: KeyError -->\n```python\n1\n```", "did not fail"),
        ("<!-- fails: KeyError -->\n```python\n[][0]\n```", "should fail with 'KeyError', but IndexError"),
        ("<!-- file: a.py -->\n```python\n1\n```", "no later block names a.py"),
        ("<!-- prepared: nothing -->\n```python\n1\n```", "nothing is prepared"),
        ("<!-- serve -->\n```bash\nuvicorn nothing:app\n```", "the server did not start"),
    ],
)
def test_a_page_that_is_wrong(tmp_path: Path, commands: Path, text: str, told: str) -> None:
    """Fails, with the reason."""
    with pytest.raises(PageError, match=told):
        run(write(tmp_path, text), tmp_path, commands)


SERVED = """
<!-- prepared: auth -->
<!-- file: main.py -->
```python
from fastapi import FastAPI
from asyncauth import create_auth_manager, close_auth_manager
from contextlib import asynccontextmanager
from asyncauth.web.fastapi import CurrentUser, install

@asynccontextmanager
async def lifespan(app):
    await create_auth_manager()
    yield
    await close_auth_manager()

app = FastAPI(lifespan=lifespan)
install(app)

@app.get("/")
async def front(user: CurrentUser) -> str:
    return user.username
```

<!-- serve -->
```bash
export PLACE=here
uvicorn main:app  # on port 8000
```

```python
token = await auth.login("ada", "correct horse")
os = __import__("os")
os.environ["TOKEN"] = token
```

```console
$ curl -s http://localhost:8000/ -H "Authorization: Bearer $TOKEN"
"ada"
$ echo http://127.0.0.1:8000 $PLACE
http://127.0.0.1:8000 here
```
"""


def test_a_page_with_a_server(tmp_path: Path, commands: Path) -> None:
    """The server has a port of its own, knows the prepared database, and ends with the page."""
    runner = run(write(tmp_path, SERVED), tmp_path, commands)
    assert runner._server.running is None
    assert "Finished server process" in (tmp_path / "state" / "server.log").read_text()


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\n", "a", True),
        ("a …\n", "a b c\n", True),
        ("a …\n", "a\nb", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", True),
        ("a\n…\nd", "a\nb", False),
        ("", "", True),
        ("", "a", False),
        ("a.c", "abc", False),
    ],
)
def test_what_is_the_same(expected: str, printed: str, same: bool) -> None:
    """A dot is a dot; `…` is anything."""
    assert matches(expected, printed) is same
