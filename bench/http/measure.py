"""Processor time that our adapters add to a request over HTTP, on uvicorn. Floor: an empty one of the same shape."""

import sys
from collections.abc import Sequence
from statistics import median

from bench.data import filled
from bench.figures import Figure
from bench.http.apps import FAMILIES
from bench.http.load import CONNECTIONS, BenchServer, Spent, serving
from bench.http.requests import by_cookie, by_header
from bench.http.server import PEER
from bench.measure import Measure, Medians, Sample, interleaved
from bench.parts import started
from bench.sizes import Sizes

LIMITS = {"header": 6, "cookie": 9}
"""Where the token is → microseconds."""
ROUNDS = 10
SLICE = 200
"""After so many requests the empty one and ours take turns: what a request costs drifts by a tenth within seconds."""


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """The same requests to the empty app and to ours, in turn."""
    slices, count = max(1, sizes.http_requests // SLICE), max(CONNECTIONS, min(SLICE, sizes.http_requests))
    async with filled(url, lambda filler: filler.subjects(CONNECTIONS)):
        async with started(url) as auth:
            tokens = [(user_id, auth.issue_token(user_id)) for user_id in range(1, CONNECTIONS + 1)]
        requests = {
            "header": [by_header(number, token) for number, token in tokens],
            "cookie": [by_cookie(number, token) for number, token in tokens],
        }
        with serving([sys.executable, "-m", "bench.http.server"], {"url": url}) as server:
            pairs = [
                _pair(server, f"{family}, empty", f"{family}, {carrier}", requests[carrier], slices, count)
                for family in FAMILIES
                for carrier in LIMITS
            ]
            peer = _pair(server, "ASGI middleware, empty", PEER, requests["header"], slices, count)
            found = await interleaved(min(ROUNDS, sizes.rounds), *pairs, peer)
    return [_figure(found, family, carrier) for family in FAMILIES for carrier in LIMITS]


def _pair(server: BenchServer, empty: str, ours: str, requests: Sequence[bytes], slices: int, count: int) -> Measure:
    async def measure() -> Sample:
        spent: dict[str, list[Spent]] = {"empty": [], "ours": []}
        sides = (("empty", empty), ("ours", ours))
        for turn in range(slices):
            for kind, name in sides[:: (-1) ** turn]:  # or who comes second would have all of a slow drift
                spent[kind].append(server.ask(name, requests, count))
        pairs = zip(spent["ours"], spent["empty"], strict=True)
        return {
            **{f"{ours}: {kind}": median(one.cpu for one in each) for kind, each in spent.items()},
            **{f"{ours}: {kind} wall": median(one.wall for one in each) for kind, each in spent.items()},
            f"{ours}: added": median(one.cpu - beside.cpu for one, beside in pairs),
        }

    return measure


def _figure(found: Medians, family: str, carrier: str) -> Figure:
    name = f"{family}, {carrier}"
    notes = {
        "µs of a request, empty": found[f"{name}: empty"] * 1e6,
        "ours": found[f"{name}: ours"] * 1e6,
        "requests a second, empty": round(1 / found[f"{name}: empty wall"]),
        "with ours": round(1 / found[f"{name}: ours wall"]),
    }
    peers = {}
    if name == "ASGI middleware, header":
        peers = {PEER: found[f"{PEER}: added"] * 1e6}
        notes[f"with {PEER}"] = round(1 / found[f"{PEER}: ours wall"])
    what = f"{family}: processor time that a token in the {carrier} adds"
    return Figure(what, "µs", found[f"{name}: added"] * 1e6, LIMITS[carrier], peers=peers, notes=notes)
