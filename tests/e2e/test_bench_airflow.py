"""What bench/airflow measures with: a load generator that counts what was answered and what was not, and a picture."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.airflow.crew import Measured
from bench.airflow.draw import draw
from bench.airflow.load import Load, run
from bench.airflow.wire import HOST, request

BUSY_SECONDS = 4.0
"""Enough for a few requests on a busy machine."""
NEVER_SECONDS = 60.0
never = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """Answers in one piece, in chunks, with another status, or not at all."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """By path."""
        if self.path == "/never":
            never.wait(NEVER_SECONDS)
            return
        self.send_response(403 if self.path == "/forbidden" else 200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"4\r\nfour\r\n5\r\nfive!\r\n0\r\n\r\n")
        else:
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"four")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[int]:
    """The port of a server."""
    never.clear()
    server = ThreadingHTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        never.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_answer_is_counted() -> None:
    """Connections are kept and used again, whatever form an answer has."""
    paths = ("/", "/chunked", "/forbidden")
    with serving() as port:
        answers = run(Load(port, [request("GET", path, token="t") for path in paths], 4, 60))
    assert answers.statuses == {"200": 40, "403": 20}
    assert (len(answers.latencies), answers.unanswered) == (60, 0)
    assert 0 < Measured(answers, 0.0).quantile(0.5) <= Measured(answers, 0.0).quantile(0.99) < answers.seconds * 1e3


def test_what_hangs_is_not_waited_for() -> None:
    """A run that hangs says how many requests were never answered."""
    with serving() as port:
        answers = run(Load(port, [request("GET", "/never"), request("GET", "/")], 3, 40, BUSY_SECONDS))
    assert answers.unanswered == 3
    assert BUSY_SECONDS <= answers.seconds < NEVER_SECONDS


def test_the_picture(tmp_path: Path) -> None:
    """The same figures make the same file."""
    drawn = {"FAB": [0.1, 0.2, 0.9], "asyncauth": [0.1, 0.1, 0.2]}
    files = [tmp_path / "one.svg", tmp_path / "other.svg"]
    for file in files:
        draw(file, drawn)
    assert files[0].read_text() == files[1].read_text()
    assert "FAB: 3 requests, p50 200 ms" in files[0].read_text()
