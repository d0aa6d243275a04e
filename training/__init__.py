"""How the project's own weights were made: one module for each, runnable as `python -m training.<name>`.

What they need beyond the product is in the extra `train`. Each module writes weights into the pack's folder `own` and
the entry of the manifest beside them, with data, licence, date and figures (see `training.record`).
"""
