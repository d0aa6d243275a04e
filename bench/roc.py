"""The ROC curve as a small picture."""

from pathlib import Path

import matplotlib as mpl

from lunaria.evaluation.verification import Roc

MARKED = (1e-3, 1e-4, 1e-5)


def draw(roc: Roc, file: Path) -> None:
    """True over false acceptance, the latter on a logarithmic scale; points at 1e-3, 1e-4 and 1e-5."""
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "lunaria"  # the same figures give the same bytes
    from matplotlib import pyplot

    rates, accepted = roc.curve()
    figure, axes = pyplot.subplots(figsize=(5, 3.4))
    axes.plot(rates, accepted, linewidth=1.6)
    for rate in MARKED:
        if rate * roc.impostor_pairs >= 1:
            at = roc.true_acceptance(rate)
            axes.plot(rate, at, "o", markersize=4, color="C0")
            axes.annotate(f"{at:.4f}", (rate, at), xytext=(6, -12), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("false acceptance rate")
    axes.set_ylabel("true acceptance rate")
    axes.set_ylim(min(0.85, float(accepted.min())), 1.003)
    axes.set_title(f"{roc.genuine_pairs:,} genuine, {roc.impostor_pairs:,} impostor pairs", fontsize=9)
    axes.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)
