"""The ROC curve of verification as a small picture."""

from pathlib import Path

from bench.plots import picture
from lunaria.evaluation.verification import Roc

MARKED = (1e-3, 1e-4, 1e-5)


def draw(roc: Roc, file: Path) -> None:
    """True over false acceptance, the latter on a logarithmic scale; points at 1e-3, 1e-4 and 1e-5."""
    rates, accepted = roc.curve()
    with picture(file) as axes:
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
