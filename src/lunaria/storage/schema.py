"""The tables. Alembic's migrations make them; a test proves that both say the same.

`info={"owner": ...}` names the table whose account owns the rows (see `scope`).
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

BLOB_KINDS = ("face_sample", "body_sample", "image", "object")
ACCOUNT_TYPES = ("user", "advanced_user", "admin")
VISIBILITY_AREAS = ("account", "all")

CODING_FLOAT16 = 0
"""A unit vector of little-endian float16, made by our own networks."""
CODING_CLIENT = 1
"""The 8-bit coding of the API without its header, byte for byte as a client brought it."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id, which never wraps round."""

    cache_ok = True

    def get_col_spec(self, **options: object) -> str:
        return "xid8"


ischema_names["xid8"] = TransactionId  # so that comparing with a database's schema knows it


def _time(name: str, *, nullable: bool = False) -> "Column[object]":
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _text(name: str) -> "Column[str]":
    return Column(name, Text, nullable=False, server_default="")


def _samples(name: str) -> "Column[object]":
    return Column(name, ARRAY(Uuid), nullable=False, server_default=text("'{}'"))


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


def _substring_index(table: str) -> Index:
    """Trigrams for `ILIKE '%...%'`. Only where the extension pg_trgm may be created; without it such filters scan."""
    return Index(
        f"{table}_user_data_trgm", "user_data", postgresql_using="gin", postgresql_ops={"user_data": "gin_trgm_ops"}
    )


def _estimates() -> list["Column[object]"]:
    """What attributes hold besides descriptors: the basic attributes, and the samples that all of it came from."""
    return [
        Column("age", SmallInteger),
        Column("gender", SmallInteger),
        Column("ethnicity", SmallInteger),
        Column("has_basic", Boolean, nullable=False, server_default=text("false")),
        _samples("descriptor_samples"),
        _samples("basic_samples"),
    ]


def _descriptors(name: str, owner: str, key: str) -> Table:
    """Descriptors by model version. `data` is `coding`'s bytes; `score` 0..1 is the usability, null when unknown."""
    return Table(
        name,
        metadata,
        Column(key, Uuid, ForeignKey(f"{owner}.{key}", ondelete="CASCADE"), nullable=False),
        Column("version", Integer, nullable=False),
        Column("coding", SmallInteger, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Column("score", REAL),
        PrimaryKeyConstraint(key, "version"),
        CheckConstraint(f"coding IN ({CODING_FLOAT16}, {CODING_CLIENT})", name="coding"),
    )


accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("login", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("account_type", Text, nullable=False),
    _text("description"),
    _time("create_time"),
    _time("last_update_time"),
    UniqueConstraint("login"),
    _one_of("account_type", ACCOUNT_TYPES),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.account_id", ondelete="CASCADE"), nullable=False),
    Column("token", Text, nullable=False),
    _text("description"),
    _time("expiration_time", nullable=True),
    Column("expiration_text", Text),
    Column("permissions", JSONB, nullable=False),
    Column("visibility_area", Text, nullable=False),
    _time("create_time"),
    _time("last_update_time"),
    _one_of("visibility_area", VISIBILITY_AREAS),
    Index(None, "account_id", "create_time"),
    Index(None, "create_time"),
)
"""`expiration_text` is the time as the client wrote it, which its token repeats; `expiration_time` is for comparing."""

blobs = Table(
    "blobs",
    metadata,
    Column("kind", Text, nullable=False),
    Column("blob_id", Uuid, nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("meta", JSONB, nullable=False, server_default=text("'{}'")),
    _time("create_time"),
    PrimaryKeyConstraint("kind", "blob_id"),
    _one_of("kind", BLOB_KINDS),
    CheckConstraint("size >= 0", name="size"),
    Index(None, "account_id", "kind", "create_time"),
)

attributes = Table(
    "attributes",
    metadata,
    Column("attribute_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    _time("create_time"),
    _time("expires_at"),
    *_estimates(),
    Index(None, "expires_at"),
    Index(None, "account_id"),
)
attribute_descriptors = _descriptors("attribute_descriptors", "attributes", "attribute_id")
attribute_descriptors.info["owner"] = "attributes"

faces = Table(
    "faces",
    metadata,
    Column("face_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("event_id", Uuid),
    _text("user_data"),
    _time("create_time"),
    _text("external_id"),
    _text("avatar"),
    Index(None, "account_id", "create_time", "face_id"),
    Index(None, "account_id", "face_id"),
    Index(None, "create_time", "face_id"),
    Index(None, "external_id", postgresql_where=text("external_id <> ''")),
    Index(None, "event_id", postgresql_where=text("event_id IS NOT NULL")),
    _substring_index("faces"),
)

face_attributes = Table(
    "face_attributes",
    metadata,
    Column("face_id", Uuid, ForeignKey("faces.face_id", ondelete="CASCADE"), primary_key=True),
    _time("create_time"),
    Column("source_attribute_id", Uuid),
    *_estimates(),
    UniqueConstraint("source_attribute_id"),
    info={"owner": "faces"},
)
"""`source_attribute_id` is the temporary attribute that this was copied from: one can serve one face only."""

face_descriptors = _descriptors("face_descriptors", "faces", "face_id")
face_descriptors.info["owner"] = "faces"

lists = Table(
    "lists",
    metadata,
    Column("list_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    _text("user_data"),
    _time("create_time"),
    _time("last_update_time"),
    Index(None, "account_id", "create_time", "list_id"),
    Index(None, "create_time", "list_id"),
    Index(None, "last_update_time"),
    Index(None, "user_data"),
    _substring_index("lists"),
)

list_faces = Table(
    "list_faces",
    metadata,
    Column("list_id", Uuid, ForeignKey("lists.list_id", ondelete="CASCADE"), nullable=False),
    Column("face_id", Uuid, ForeignKey("faces.face_id", ondelete="CASCADE"), nullable=False),
    Column("link_time", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("list_id", "face_id"),
    Index(None, "face_id"),
    info={"owner": "lists"},
)

face_changes = Table(
    "face_changes",
    metadata,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    Column("transaction_id", TransactionId, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("face_id", Uuid, nullable=False),
    Index(None, "transaction_id"),
)
"""Every face that a transaction touched, written by triggers. See `changes` for how to follow it."""

event_changes = Table(
    "event_changes",
    metadata,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    Column("transaction_id", TransactionId, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("event_id", Uuid, nullable=False),
    Index(None, "transaction_id"),
)
"""Every event whose descriptors a transaction touched, likewise."""

database_settings = Table(
    "database_settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
)

broadcasts = Table(
    "broadcasts",
    metadata,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("data", LargeBinary, nullable=False),
    prefixes=["UNLOGGED"],
)
"""Messages between the server processes, for the moment that they need to be read. See `broadcast`."""

handlers = Table(
    "handlers",
    metadata,
    Column("handler_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    _text("description"),
    Column("handler_type", SmallInteger, nullable=False),
    Column("lambda_id", Uuid),
    Column("policies", JSONB(none_as_null=True)),
    _time("create_time"),
    _time("last_update_time"),
    CheckConstraint("handler_type IN (0, 1, 2)", name="handler_type"),
    Index(None, "account_id", "create_time", "handler_id"),
    Index(None, "create_time", "handler_id"),
)
"""`handler_type` 0 static, 1 dynamic, 2 lambda; `policies` are null for all but static ones."""

verifiers = Table(
    "verifiers",
    metadata,
    Column("verifier_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    _text("description"),
    Column("policies", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    _time("create_time"),
    _time("last_update_time"),
    Index(None, "account_id", "create_time", "verifier_id"),
    Index(None, "create_time", "verifier_id"),
)

_BY_MONTH = "RANGE (create_time)"
_IN_TIME_INDEX = (
    "account_id", "create_time", "end_time", "gender", "age", "emotion", "mask", "ethnic_group", "liveness", "deepfake",
    "apparent_gender", "apparent_age", "headwear_state", "backpack_state", "top_match_similarity",
    "headwear_apparent_color", "sleeve_length", "lower_garment_type", "shoes_apparent_color",
)  # fmt: skip
_SEARCHED_VALUES = (
    "handler_id", "source", "stream_id", "track_id", "city", "area", "district", "street", "house_number",
)  # fmt: skip
_SEARCHED_WHERE_KNOWN = ("face_id", "top_match_label", "top_match_object_id", "top_match_external_id")


def _event_indexes() -> list[Index]:
    """Each kind of condition has one that finds its events, also where next to none fulfils it."""
    by_value = ("account_id", "create_time")
    return [
        # Estimates have few values: the newest event with one is near. Where there is none, the index alone is read.
        Index("events_by_time", *_IN_TIME_INDEX),
        Index("events_by_id", "account_id", "event_id"),
        Index(None, "create_time"),
        *(Index(f"events_by_{name}", name, *by_value) for name in _SEARCHED_VALUES),
        *(
            Index(f"events_by_{name}", name, *by_value, postgresql_where=text(f"{name} IS NOT NULL"))
            for name in _SEARCHED_WHERE_KNOWN
        ),
        Index("events_by_external_id", "external_id", *by_value, postgresql_where=text("external_id <> ''")),
        Index("events_by_position", "latitude", "longitude", *by_value),
        Index(
            "events_by_content",
            "tags",
            "upper_clothing_colors",
            "lower_garment_colors",
            "meta",
            postgresql_using="gin",
            postgresql_ops={"meta": "jsonb_path_ops"},
        ),
        # For conditions that no index knows: at least only what has something there is read.
        Index("events_with_meta", *by_value, postgresql_where=text("meta IS NOT NULL")),
        Index(
            "events_with_user_data",
            *by_value,
            postgresql_include=["event_id", "user_data"],
            postgresql_where=text("user_data <> ''"),
        ),
        _substring_index("events"),
    ]


def _event_key() -> list["Column[Any]"]:
    """What rows of all tables of events begin with. Events are never looked up without `create_time` in a hurry."""
    return [
        Column("event_id", Uuid, nullable=False),
        Column("account_id", Uuid, nullable=False),
        _time("create_time"),
    ]


events = Table(
    "events",
    metadata,
    *_event_key(),
    _time("end_time"),
    Column("handler_id", Uuid, nullable=False),
    Column("face_id", Uuid),
    _text("external_id"),
    _text("user_data"),
    Column("source", Text),
    Column("stream_id", Uuid),
    Column("track_id", Text),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("city", Text),
    Column("area", Text),
    Column("district", Text),
    Column("street", Text),
    Column("house_number", Text),
    Column("longitude", DOUBLE_PRECISION),
    Column("latitude", DOUBLE_PRECISION),
    Column("gender", SmallInteger),
    Column("age", SmallInteger),
    Column("emotion", SmallInteger),
    Column("mask", SmallInteger),
    Column("ethnic_group", SmallInteger),
    Column("liveness", SmallInteger),
    Column("deepfake", SmallInteger),
    Column("apparent_gender", SmallInteger),
    Column("apparent_age", SmallInteger),
    Column("headwear_state", SmallInteger),
    Column("headwear_apparent_color", Text),
    Column("sleeve_length", Text),
    Column("upper_clothing_colors", ARRAY(Text)),
    Column("lower_garment_type", Text),
    Column("lower_garment_colors", ARRAY(Text)),
    Column("shoes_apparent_color", Text),
    Column("backpack_state", SmallInteger),
    Column("top_match_label", Text),
    Column("top_match_object_id", Uuid),
    Column("top_match_is_event", Boolean),
    Column("top_match_external_id", Text),
    Column("top_match_similarity", DOUBLE_PRECISION),
    Column("meta", JSONB(none_as_null=True)),
    PrimaryKeyConstraint("event_id", "create_time"),
    *_event_indexes(),
    postgresql_partition_by=_BY_MONTH,
)
"""What events are searched and counted by; codes as the API numbers them, null where nothing was estimated."""

event_details = Table(
    "event_details",
    metadata,
    *_event_key(),
    Column("match_result", JSONB(none_as_null=True)),
    Column("face_detections", JSONB, nullable=False),
    Column("body_detections", JSONB, nullable=False),
    Column("attach_result", ARRAY(Uuid), nullable=False),
    PrimaryKeyConstraint("event_id", "create_time"),
    postgresql_partition_by=_BY_MONTH,
)
"""The parts of an event that are only shown. Apart from `events`, whose rows stay short for searching and counting."""

event_descriptors = Table(
    "event_descriptors",
    metadata,
    *_event_key(),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("coding", SmallInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("score", REAL),
    PrimaryKeyConstraint("event_id", "create_time", "kind", "version"),
    CheckConstraint(f"coding IN ({CODING_FLOAT16}, {CODING_CLIENT})", name="coding"),
    _one_of("kind", ("face", "body")),
    postgresql_partition_by=_BY_MONTH,
)

PARTITIONED_TABLES = (events, event_details, event_descriptors)
"""Tables with a partition for every month of `create_time`, and a default one for times far from now."""

FOLLOWED_TABLES = ("faces", "face_attributes", "face_descriptors", "list_faces")
"""The tables whose changes triggers write to `face_changes`."""
