"""What Alembic runs: always in the transaction of a connection that it is given."""

from alembic import context

from novasystem.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
