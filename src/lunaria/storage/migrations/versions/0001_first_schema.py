"""The first schema: accounts, tokens, blobs, attributes, faces, lists, the log of changed faces."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from lunaria.storage.schema import TransactionId

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FOLLOWED_TABLES = ("faces", "face_attributes", "face_descriptors", "list_faces")
# A transition table has one name per trigger, so each kind of change needs its own.
TRANSITIONS = {
    "insert": "NEW TABLE AS changed_rows",
    "delete": "OLD TABLE AS changed_rows",
    "update": "NEW TABLE AS changed_rows OLD TABLE AS former_rows",
}


def upgrade() -> None:
    _create_tables()
    _create_substring_indexes()
    _create_change_triggers()


def _create_substring_indexes() -> None:
    """Managed servers may refuse the extension; then substring filters scan, which is slower but right."""
    connection = op.get_bind()
    try:
        with connection.begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except sa.exc.DBAPIError:
        return
    for table in ("faces", "lists"):
        op.create_index(
            f"{table}_user_data_trgm",
            table,
            ["user_data"],
            postgresql_using="gin",
            postgresql_ops={"user_data": "gin_trgm_ops"},
        )


def _create_change_triggers() -> None:
    """One trigger call per statement, not per row, so that loading many faces stays fast."""
    for function, rows in (
        ("note_face_changes", "SELECT face_id FROM changed_rows"),
        ("note_face_updates", "SELECT face_id FROM changed_rows UNION SELECT face_id FROM former_rows"),
    ):
        op.execute(
            f"""
            CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO face_changes (face_id) SELECT DISTINCT face_id FROM ({rows}) AS faces_touched;
                RETURN NULL;
            END $$
            """  # noqa: S608
        )
    for table in FOLLOWED_TABLES:
        for change, transition in TRANSITIONS.items():
            function = "note_face_updates" if change == "update" else "note_face_changes"
            op.execute(
                f"CREATE TRIGGER {table}_{change}_noted AFTER {change.upper()} ON {table} "
                f"REFERENCING {transition} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            )


def _create_tables() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("account_type", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_update_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("account_type IN ('user', 'advanced_user', 'admin')", name=op.f("ck_accounts_account_type")),
        sa.PrimaryKeyConstraint("account_id", name="pk_accounts"),
        sa.UniqueConstraint("login", name="uq_accounts_login"),
    )
    op.create_table(
        "attributes",
        sa.Column("attribute_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("age", sa.SmallInteger(), nullable=True),
        sa.Column("gender", sa.SmallInteger(), nullable=True),
        sa.Column("ethnicity", sa.SmallInteger(), nullable=True),
        sa.Column("has_basic", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("descriptor_samples", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("basic_samples", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("attribute_id", name="pk_attributes"),
    )
    op.create_index("ix_attributes_account_id", "attributes", ["account_id"], unique=False)
    op.create_index("ix_attributes_expires_at", "attributes", ["expires_at"], unique=False)
    op.create_table(
        "blobs",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("blob_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("meta", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('face_sample', 'body_sample', 'image', 'object')", name=op.f("ck_blobs_kind")),
        sa.CheckConstraint("size >= 0", name=op.f("ck_blobs_size")),
        sa.PrimaryKeyConstraint("kind", "blob_id", name="pk_blobs"),
    )
    op.create_index(
        "ix_blobs_account_id_kind_create_time", "blobs", ["account_id", "kind", "create_time"], unique=False
    )
    op.create_table(
        "database_settings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_database_settings"),
    )
    op.create_table(
        "face_changes",
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("transaction_id", TransactionId(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("face_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_face_changes"),
    )
    op.create_index("ix_face_changes_transaction_id", "face_changes", ["transaction_id"], unique=False)
    op.create_table(
        "faces",
        sa.Column("face_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=True),
        sa.Column("user_data", sa.Text(), server_default="", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("external_id", sa.Text(), server_default="", nullable=False),
        sa.Column("avatar", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("face_id", name="pk_faces"),
    )
    op.create_index(
        "ix_faces_account_id_create_time_face_id", "faces", ["account_id", "create_time", "face_id"], unique=False
    )
    op.create_index("ix_faces_account_id_face_id", "faces", ["account_id", "face_id"], unique=False)
    op.create_index("ix_faces_create_time_face_id", "faces", ["create_time", "face_id"], unique=False)
    op.create_index(
        "ix_faces_event_id", "faces", ["event_id"], unique=False, postgresql_where=sa.text("event_id IS NOT NULL")
    )
    op.create_index(
        "ix_faces_external_id", "faces", ["external_id"], unique=False, postgresql_where=sa.text("external_id <> ''")
    )
    op.create_table(
        "lists",
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("user_data", sa.Text(), server_default="", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_update_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("list_id", name="pk_lists"),
    )
    op.create_index(
        "ix_lists_account_id_create_time_list_id", "lists", ["account_id", "create_time", "list_id"], unique=False
    )
    op.create_index("ix_lists_create_time_list_id", "lists", ["create_time", "list_id"], unique=False)
    op.create_index("ix_lists_last_update_time", "lists", ["last_update_time"], unique=False)
    op.create_index("ix_lists_user_data", "lists", ["user_data"], unique=False)
    op.create_table(
        "attribute_descriptors",
        sa.Column("attribute_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("coding", sa.SmallInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("score", sa.REAL(), nullable=True),
        sa.CheckConstraint("coding IN (0, 1)", name=op.f("ck_attribute_descriptors_coding")),
        sa.ForeignKeyConstraint(
            ["attribute_id"],
            ["attributes.attribute_id"],
            name="fk_attribute_descriptors_attribute_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("attribute_id", "version", name="pk_attribute_descriptors"),
    )
    op.create_table(
        "face_attributes",
        sa.Column("face_id", sa.Uuid(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_attribute_id", sa.Uuid(), nullable=True),
        sa.Column("age", sa.SmallInteger(), nullable=True),
        sa.Column("gender", sa.SmallInteger(), nullable=True),
        sa.Column("ethnicity", sa.SmallInteger(), nullable=True),
        sa.Column("has_basic", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("descriptor_samples", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("basic_samples", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(["face_id"], ["faces.face_id"], name="fk_face_attributes_face_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("face_id", name="pk_face_attributes"),
        sa.UniqueConstraint("source_attribute_id", name="uq_face_attributes_source_attribute_id"),
    )
    op.create_table(
        "face_descriptors",
        sa.Column("face_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("coding", sa.SmallInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("score", sa.REAL(), nullable=True),
        sa.CheckConstraint("coding IN (0, 1)", name=op.f("ck_face_descriptors_coding")),
        sa.ForeignKeyConstraint(["face_id"], ["faces.face_id"], name="fk_face_descriptors_face_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("face_id", "version", name="pk_face_descriptors"),
    )
    op.create_table(
        "list_faces",
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("face_id", sa.Uuid(), nullable=False),
        sa.Column("link_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["face_id"], ["faces.face_id"], name="fk_list_faces_face_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["list_id"], ["lists.list_id"], name="fk_list_faces_list_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("list_id", "face_id", name="pk_list_faces"),
    )
    op.create_index("ix_list_faces_face_id", "list_faces", ["face_id"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("expiration_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expiration_text", sa.Text(), nullable=True),
        sa.Column("permissions", postgresql.JSONB(), nullable=False),
        sa.Column("visibility_area", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_update_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("visibility_area IN ('account', 'all')", name=op.f("ck_tokens_visibility_area")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_tokens_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_id", name="pk_tokens"),
    )
    op.create_index("ix_tokens_account_id_create_time", "tokens", ["account_id", "create_time"], unique=False)
    op.create_index("ix_tokens_create_time", "tokens", ["create_time"], unique=False)
