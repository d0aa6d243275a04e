"""Handlers, verifiers, and events in partitions by month."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from lunaria.storage.schema import TransactionId

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BY_MONTH = "RANGE (create_time)"
# A transition table has one name per trigger, so each kind of change needs its own.
TRANSITIONS = {
    "insert": "NEW TABLE AS changed_rows",
    "delete": "OLD TABLE AS changed_rows",
    "update": "NEW TABLE AS changed_rows OLD TABLE AS former_rows",
}


def upgrade() -> None:
    _create_handlers()
    _create_events()
    for table in ("events", "event_details", "event_descriptors"):
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    # The planner takes groups by hours or days for as many as there are times, and sorts every event instead of adding
    # them up. It is to expect few.
    op.execute("ALTER TABLE events ALTER COLUMN create_time SET (n_distinct_inherited = 1000)")
    _create_event_changes()
    _create_broadcasts()


def _time(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _create_handlers() -> None:
    op.create_table(
        "handlers",
        sa.Column("handler_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("handler_type", sa.SmallInteger(), nullable=False),
        sa.Column("lambda_id", sa.Uuid(), nullable=True),
        sa.Column("policies", postgresql.JSONB(), nullable=True),
        _time("create_time"),
        _time("last_update_time"),
        sa.CheckConstraint("handler_type IN (0, 1, 2)", name=op.f("ck_handlers_handler_type")),
        sa.PrimaryKeyConstraint("handler_id", name="pk_handlers"),
    )
    op.create_table(
        "verifiers",
        sa.Column("verifier_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("policies", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("create_time"),
        _time("last_update_time"),
        sa.PrimaryKeyConstraint("verifier_id", name="pk_verifiers"),
    )
    for table, key in (("handlers", "handler_id"), ("verifiers", "verifier_id")):
        op.create_index(f"ix_{table}_account_id_create_time_{key}", table, ["account_id", "create_time", key])
        op.create_index(f"ix_{table}_create_time_{key}", table, ["create_time", key])


def _event_key() -> list["sa.Column[object]"]:
    return [
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        _time("create_time"),
    ]


def _create_events() -> None:
    texts = ("source", "track_id", "city", "area", "district", "street", "house_number", "headwear_apparent_color",
             "sleeve_length", "lower_garment_type", "shoes_apparent_color", "top_match_label",
             "top_match_external_id")  # fmt: skip
    codes = ("gender", "age", "emotion", "mask", "ethnic_group", "liveness", "deepfake", "apparent_gender",
             "apparent_age", "headwear_state", "backpack_state")  # fmt: skip
    op.create_table(
        "events",
        *_event_key(),
        _time("end_time"),
        sa.Column("handler_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Uuid(), nullable=True) for name in ("face_id", "stream_id", "top_match_object_id")),
        *(sa.Column(name, sa.Text(), server_default="", nullable=False) for name in ("external_id", "user_data")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in texts),
        *(sa.Column(name, sa.SmallInteger(), nullable=True) for name in codes),
        *(
            sa.Column(name, sa.ARRAY(sa.Text()), nullable=True)
            for name in ("upper_clothing_colors", "lower_garment_colors")
        ),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("longitude", postgresql.DOUBLE_PRECISION(), nullable=True),
        sa.Column("latitude", postgresql.DOUBLE_PRECISION(), nullable=True),
        sa.Column("top_match_is_event", sa.Boolean(), nullable=True),
        sa.Column("top_match_similarity", postgresql.DOUBLE_PRECISION(), nullable=True),
        sa.Column("meta", postgresql.JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("event_id", "create_time", name="pk_events"),
        postgresql_partition_by=BY_MONTH,
    )
    _create_event_indexes()
    op.create_table(
        "event_details",
        *_event_key(),
        sa.Column("match_result", postgresql.JSONB(), nullable=True),
        sa.Column("face_detections", postgresql.JSONB(), nullable=False),
        sa.Column("body_detections", postgresql.JSONB(), nullable=False),
        sa.Column("attach_result", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "create_time", name="pk_event_details"),
        postgresql_partition_by=BY_MONTH,
    )
    op.create_table(
        "event_descriptors",
        *_event_key(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("coding", sa.SmallInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("score", sa.REAL(), nullable=True),
        sa.CheckConstraint("coding IN (0, 1)", name=op.f("ck_event_descriptors_coding")),
        sa.CheckConstraint("kind IN ('face', 'body')", name=op.f("ck_event_descriptors_kind")),
        sa.PrimaryKeyConstraint("event_id", "create_time", "kind", "version", name="pk_event_descriptors"),
        postgresql_partition_by=BY_MONTH,
    )


def _create_event_indexes() -> None:
    estimates = ("end_time", "gender", "age", "emotion", "mask", "ethnic_group", "liveness", "deepfake",
                 "apparent_gender", "apparent_age", "headwear_state", "backpack_state", "top_match_similarity",
                 "headwear_apparent_color", "sleeve_length", "lower_garment_type", "shoes_apparent_color")  # fmt: skip
    values = ("handler_id", "source", "stream_id", "track_id", "city", "area", "district", "street", "house_number")
    known = ("face_id", "top_match_label", "top_match_object_id", "top_match_external_id")
    by_value = ("account_id", "create_time")
    op.create_index("events_by_time", "events", [*by_value, *estimates])
    op.create_index("events_by_id", "events", ["account_id", "event_id"])
    op.create_index("ix_events_create_time", "events", ["create_time"])
    for name in values:
        op.create_index(f"events_by_{name}", "events", [name, *by_value])
    op.create_index("events_by_position", "events", ["latitude", "longitude", *by_value])
    conditions = {name: f"{name} IS NOT NULL" for name in known} | {"external_id": "external_id <> ''"}
    for name, condition in conditions.items():
        op.create_index(f"events_by_{name}", "events", [name, *by_value], postgresql_where=sa.text(condition))
    op.create_index(
        "events_by_content",
        "events",
        ["tags", "upper_clothing_colors", "lower_garment_colors", "meta"],
        postgresql_using="gin",
        postgresql_ops={"meta": "jsonb_path_ops"},
    )
    op.create_index("events_with_meta", "events", by_value, postgresql_where=sa.text("meta IS NOT NULL"))
    op.create_index(
        "events_with_user_data",
        "events",
        by_value,
        postgresql_include=["event_id", "user_data"],
        postgresql_where=sa.text("user_data <> ''"),
    )
    found = op.get_bind().execute(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")).first()
    if found is not None:  # the first schema has made it where it may be made
        op.create_index(
            "events_user_data_trgm",
            "events",
            ["user_data"],
            postgresql_using="gin",
            postgresql_ops={"user_data": "gin_trgm_ops"},
        )


def _create_event_changes() -> None:
    """The log of events whose descriptors changed. Triggers of the parent see what goes through it, one call each."""
    op.create_table(
        "event_changes",
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("transaction_id", TransactionId(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_event_changes"),
    )
    op.create_index("ix_event_changes_transaction_id", "event_changes", ["transaction_id"])
    for function, rows in (
        ("note_event_changes", "SELECT event_id FROM changed_rows"),
        ("note_event_updates", "SELECT event_id FROM changed_rows UNION SELECT event_id FROM former_rows"),
    ):
        op.execute(
            f"""
            CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO event_changes (event_id) SELECT DISTINCT event_id FROM ({rows}) AS events_touched;
                RETURN NULL;
            END $$
            """  # noqa: S608
        )
    for change, transition in TRANSITIONS.items():
        function = "note_event_updates" if change == "update" else "note_event_changes"
        op.execute(
            f"CREATE TRIGGER event_descriptors_{change}_noted AFTER {change.upper()} ON event_descriptors "
            f"REFERENCING {transition} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )


def _create_broadcasts() -> None:
    """Messages of a moment: nothing is lost with them, so they need not outlive a crash."""
    op.create_table(
        "broadcasts",
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_broadcasts"),
        prefixes=["UNLOGGED"],
    )
