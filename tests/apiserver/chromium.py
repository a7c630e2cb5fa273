"""A headless Chromium, told what to do by its DevTools protocol."""

import base64
import itertools
import json
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from tests.servers.find import HOST, find_program
from tests.waiting import poll

GIVE_UP_SECONDS = 60.0
SERVER_ERROR = -32000
"""JSON-RPC's; Chromium has it for all that ends with a page: its target, its context, its frame."""
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--window-size=1280,800"),
)

_WAYS: dict[str, Any] = {"max_size": None, "open_timeout": GIVE_UP_SECONDS}
"""How to connect: a picture is large."""


class PageGoneError(Exception):
    """The page that was asked went away for another one before it answered."""


class Chromium:
    """One page of one browser; it ends with the block.

    Raises:
        ServerError: Chromium is not installed.
    """

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._numbers = itertools.count(1)
        self._page: ClientConnection | None = None
        self._open = ExitStack()
        program = find_program("chromium", "chromium-browser", "google-chrome", package="chromium")
        self._process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        try:
            port, path = self._find_port()
            with connect(f"ws://{HOST}:{port}{path}", **_WAYS) as browser:
                page = poll(lambda: self._find_page(browser), lambda: "Chromium opened no page", GIVE_UP_SECONDS)
            self._page = self._open.enter_context(connect(f"ws://{HOST}:{port}/devtools/page/{page}", **_WAYS))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of some JavaScript."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def type_into(self, selector: str, text: str) -> None:
        """Put the cursor into an input, and type."""
        assert self.evaluate(f"document.querySelector({json.dumps(selector)}).focus() === undefined")
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key."""
        with suppress(PageGoneError):  # that may be what the key is pressed for
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, text="\r" if key == "Enter" else "")

    def wait_for(self, expression: str) -> Any:
        """The value of some JavaScript, once it is true. Pages may come and go meanwhile."""
        there = f"!!document.body && ({expression})"  # between two pages it is not

        def ask() -> Any:
            with suppress(PageGoneError):
                return self.evaluate(there)

        return poll(ask, lambda: f"{expression}: {self._describe()}", GIVE_UP_SECONDS)

    def cookies(self) -> list[dict[str, Any]]:
        """All cookies."""
        return list(self.call("Storage.getCookies")["cookies"])

    def photograph(self) -> bytes:
        """What one sees, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol."""
        assert self._page is not None, "the browser is used as a context manager"
        return self._send(self._page, method, **parameters)

    def _send(self, socket: ClientConnection, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(socket.recv(GIVE_UP_SECONDS))).get("id") != number:
            continue  # an event
        if answer.get("error", {}).get("code") == SERVER_ERROR:
            raise PageGoneError(answer["error"]["message"])
        assert "result" in answer, answer
        return dict(answer["result"])

    def _find_port(self) -> tuple[str, str]:
        file = self._profile / "DevToolsActivePort"

        def read() -> list[str]:
            assert self._process.poll() is None, "Chromium ended"
            words = file.read_text().split() if file.exists() else []
            return words if len(words) == 2 else []  # it may be about to write it

        port, path = poll(read, lambda: "Chromium did not start", GIVE_UP_SECONDS)
        return port, path

    def _find_page(self, browser: ClientConnection) -> str | None:
        targets = self._send(browser, "Target.getTargets")["targetInfos"]
        return next((str(target["targetId"]) for target in targets if target["type"] == "page"), None)

    def _describe(self) -> str:
        return str(self.evaluate("location.href + '\\n' + document.body?.innerText"))[:2000]

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._open.close()
