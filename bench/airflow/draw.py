"""The latencies of both managers as one picture."""

from collections.abc import Mapping
from pathlib import Path

STEP = 10 ** (1 / 20)
COLOURS = {"FAB": "#f26419", "asyncauth": "#33658a"}


def draw(path: Path, drawn: Mapping[str, list[float]]) -> None:
    """Write an SVG: how often which latency came.

    Args:
        drawn: by manager, latencies in seconds.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "asyncauth", "svg.fonttype": "none"}  # the same figures make the same, small file
    from matplotlib import pyplot

    every = [value * 1e3 for values in drawn.values() for value in values] or [1.0]
    edges = [min(every)]
    while edges[-1] < max(every):
        edges.append(edges[-1] * STEP)
    figure, axes = pyplot.subplots(len(drawn), 1, sharex=True, figsize=(8, 1 + 1.5 * len(drawn)), squeeze=False)
    for (name, values), axis in zip(drawn.items(), axes[:, 0], strict=True):
        in_ms = sorted(value * 1e3 for value in values) or [0.0]
        axis.hist(in_ms, bins=edges, color=COLOURS.get(name))
        p50, p99 = (in_ms[min(len(in_ms) - 1, int(share * len(in_ms)))] for share in (0.5, 0.99))
        axis.axvline(p99, color="black", linewidth=0.8)
        axis.set_xscale("log")
        axis.set_title(f"{name}: {len(in_ms)} requests, p50 {p50:.0f} ms, p99 {p99:.0f} ms", fontsize=9, loc="left")
    axes[-1, 0].set_xlabel("ms until the answer to latest_run, 50 requests at once; the line: 99 of 100 came sooner")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
