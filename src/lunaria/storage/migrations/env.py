"""Alembic calls this; the connection comes from `lunaria.storage.migrate`, which also holds the transaction."""

from alembic import context

from lunaria.storage.schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("Migrations run through lunaria.storage.migrate (`lunaria db upgrade`)")
context.configure(connection=connection, target_metadata=metadata, compare_type=True)
context.run_migrations()
