"""Accuracy of the estimates on labelled data, your own or known data sets, with what there is to reach.

    python -m bench.estimates ESTIMATE --data PATH [--most N] [--markdown docs/accuracy.md] [--plots docs/images]
    python -m bench.estimates all --data FOLDER ...

PATH is one data set (a zip, a folder, a picture; formats: docs/accuracy.md) or a folder with known data sets by their
names (lfw.zip, utkface.zip, ...), of which only the part is measured on that nothing was trained or chosen on. `all`
measures every estimate whose data lie in FOLDER, and says which were left out. Networks run in this process, through
the analyzer of the product.
"""

import argparse
from pathlib import Path

from bench.estimates.catalogue import ESTIMATES, Estimate
from bench.estimates.run import LeftOutError, Report, Run
from bench.faces import models_folder
from bench.report import add_markdown_argument, progress, publish
from lunaria.evaluation.pairs import EvaluationDataError
from lunaria.vision.packs.store import ModelStore, ModelStoreError


def main(arguments: list[str] | None = None) -> None:
    given = parsed(arguments)
    run = Run(given.data, ModelStore(models_folder(given.models)), given.most, given.plots)
    if given.workers:
        run.workers = given.workers
    names = list(ESTIMATES) if given.estimate == "all" else [given.estimate]
    reports: list[Report] = []
    left_out: dict[str, str] = {}
    for name in names:
        estimate = ESTIMATES[name]
        try:
            if given.estimate == "all":
                _all_data(run, estimate)
            estimate.check(run)
            progress(f"{name} ...")
            measured = estimate.measure(run)
            for report in measured:
                publish(report.name, report.text(run.store), given.markdown)
        except (LeftOutError, EvaluationDataError, ModelStoreError) as error:
            if given.estimate != "all":
                raise SystemExit(f"bench.estimates: {error}") from None
            left_out[name] = str(error)
            continue
        reports += measured
    for name, reason in left_out.items():
        progress(f"left out: {name}: {reason}")
    for report in reports:
        for target in report.targets:
            if not target.met:
                figure, wanted, found, _ = target.row()
                progress(f"MISSED: {report.name}: {figure}: {found}, wanted {wanted}")


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.estimates", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("estimate", choices=["all", *ESTIMATES])
    parser.add_argument("--data", type=Path, required=True, help="a data set, or a folder of known ones")
    parser.add_argument("--models", type=Path, help="folder of the networks")
    parser.add_argument("--most", type=int, help="look at no more pictures than so many of each set")
    parser.add_argument("--workers", type=int, help="pictures at a time (default: one a core)")
    parser.add_argument("--plots", type=Path, help="folder for pictures of curves")
    add_markdown_argument(parser)
    given = parser.parse_args(arguments)
    if not given.data.exists():
        parser.error(f"there is nothing at {given.data}")
    if given.estimate == "all" and not given.data.is_dir():
        parser.error("`all` wants a folder with data sets")
    for name in ("most", "workers"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            parser.error(f"--{name} must be 1 at least")
    return given


def _all_data(run: Run, estimate: Estimate) -> None:
    """Raises LeftOutError when a data set is missing."""
    missing = [name for name in estimate.data if run.part(name) is None]
    if missing:
        raise LeftOutError(f"{run.data} holds no {', '.join(missing)}")


if __name__ == "__main__":
    main()
