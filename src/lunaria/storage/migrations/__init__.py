"""Alembic's folder: `versions` holds one module per released schema. `lunaria.storage.migrate` runs them."""
