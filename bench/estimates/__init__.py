"""How accurate each estimate is on labelled data: `python -m bench.estimates`."""
