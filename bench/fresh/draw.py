"""The latencies as histograms."""

from collections.abc import Mapping
from pathlib import Path

FLOOR_MS = 0.05
STEP = 10 ** (1 / 12)
drawn: dict[str, tuple[list[float], list[float]]] = {}
"""What was measured in this process: what a run was → its latencies and those of its datagrams, in seconds."""


def draw(path: Path, latencies: Mapping[str, tuple[list[float], list[float]]]) -> None:
    """Write an SVG: how often which latency came; below 0.05 ms counts as 0.05 ms."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "asyncauth", "svg.fonttype": "none"}  # the same figures make the same, small file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(latencies), 1, sharex=True, figsize=(8, 1 + 1.3 * len(latencies)), squeeze=False)
    edges = [FLOOR_MS]
    while edges[-1] < max(max([*late, *datagrams], default=0.001) for late, datagrams in latencies.values()) * 1e3:
        edges.append(edges[-1] * STEP)
    edges.append(edges[-1] * STEP)
    for (name, (late, datagrams)), axis in zip(latencies.items(), axes[:, 0], strict=True):
        for values, look in ((late, {"color": "#33658a"}), (datagrams, {"color": "#f26419", "histtype": "step"})):
            axis.hist([max(FLOOR_MS, value * 1e3) for value in values], bins=edges, **look)
        axis.set_xscale("log")
        axis.set_title(name, fontsize=9, loc="left")
    axes[-1, 0].set_xlabel("ms from the commit having returned to the last grant; outlined: to a datagram's arrival")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
