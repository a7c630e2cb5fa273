"""The latencies as a histogram."""

from collections.abc import Mapping, Sequence
from pathlib import Path

FLOOR_MS = 0.05


def draw(path: Path, latencies: Mapping[str, Sequence[float]]) -> None:
    """Write an SVG: for each name, how often which latency (in seconds) came; below 0.05 ms counts as 0.05 ms."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "asyncauth"  # the same figures make the same file
    figure, axes = pyplot.subplots(len(latencies), 1, sharex=True, figsize=(8, 1 + 1.4 * len(latencies)), squeeze=False)
    top = max(max(values, default=0.001) for values in latencies.values())
    edges = [FLOOR_MS]
    while edges[-1] < top * 1e3:
        edges.append(edges[-1] * 10 ** (1 / 12))
    edges.append(edges[-1] * 10 ** (1 / 12))
    for (name, values), axis in zip(latencies.items(), axes[:, 0], strict=True):
        axis.hist([max(FLOOR_MS, value * 1e3) for value in values], bins=edges, color="#33658a")
        axis.set_xscale("log")
        axis.set_title(f"{name} ({len(values):,})", fontsize=9, loc="left")
        axis.set_yscale("log")
    axes[-1, 0].set_xlabel("milliseconds from the commit having returned to the last grant")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
