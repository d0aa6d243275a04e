"""Small pictures of figures (extra `bench`); the same figures give the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

MOST_POINTS = 50


@contextmanager
def picture(file: Path) -> Iterator[Any]:
    """Axes to draw on; they are written to the file (svg, png) in the end."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "lunaria"
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["font.sans-serif"] = ["DejaVu Sans"]  # else each text names a dozen fonts
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.4))
    yield axes
    axes.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def draw_roc(curves: Mapping[str, Curve], marks: Mapping[str, tuple[float, float]], title: str, file: Path) -> None:
    """True over false positive rates, a curve for each name; `marks`: the points of thresholds in use."""
    with picture(file) as axes:
        for number, (name, (false, true)) in enumerate(curves.items()):
            axes.plot(*_thinned(false, true), linewidth=1.6, color=f"C{number}", label=name)
            if name in marks:
                axes.plot(*marks[name], "o", markersize=4, color=f"C{number}")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.set_title(title, fontsize=9)
        axes.legend(fontsize=8, loc="lower right")


def draw_histogram(edges: NDArray[np.float64], counts: NDArray[np.int64], labels: tuple[str, str], file: Path) -> None:
    """Bars over bins; `labels` of both axes."""
    with picture(file) as axes:
        axes.bar((edges[1:] + edges[:-1]) / 2, counts, width=np.diff(edges) * 0.9)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])


def draw_ranks(curves: Mapping[str, Sequence[float] | NDArray[np.float64]], title: str, file: Path) -> None:
    """CMC curves from rank 1 on."""
    with picture(file) as axes:
        for name, curve in curves.items():
            axes.plot(np.arange(1, len(curve) + 1), curve, linewidth=1.6, label=name)
        axes.set_xlabel("rank")
        axes.set_ylabel("probes with a right one up to this rank")
        axes.set_ylim(0, 1.01)
        axes.set_title(title, fontsize=9)
        axes.legend(fontsize=8, loc="lower right")


def _thinned(false: NDArray[np.float64], true: NDArray[np.float64]) -> Curve:
    """At most MOST_POINTS corners, spread evenly along the curve."""
    along = np.append(0, np.cumsum(np.abs(np.diff(false)) + np.abs(np.diff(true))))
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], MOST_POINTS)))
    return false[kept], true[kept]
