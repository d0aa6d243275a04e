"""Every setting, its default and its meaning, in one place.

A setting is read from the environment (`LUNARIA_<SECTION>_<NAME>`), else from the TOML file named by
`LUNARIA_CONFIG` (section `[section]`, key `name`; default `lunaria.toml` in the current folder), else its
default holds.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct, field

PREFIX = "LUNARIA_"
MASK = "*****"
MEBIBYTE = 1024 * 1024

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class SettingsError(Exception):
    """A setting is unknown or has a bad value; the message names it."""


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    host: Annotated[
        str,
        Meta(description="Address to listen on. Any other than a loopback address switches to exposed mode."),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 5000
    hosts: Annotated[
        list[str],
        Meta(
            description="Further names by which clients may address a server in local mode (comma-separated in the environment). Others than these and loopback ones are refused there, so that a web page cannot reach the server through a name of its own."
        ),
    ] = field(default_factory=list)
    body_limit: Annotated[int, Meta(ge=1024, description="Largest request body in bytes (413 beyond).")] = (
        256 * MEBIBYTE
    )
    body_budget: Annotated[
        int, Meta(ge=1024, description="Bytes of request bodies that all requests together may hold (503 beyond).")
    ] = 1024 * MEBIBYTE
    body_timeout: Annotated[
        float, Meta(gt=0, description="Seconds within which a request body must arrive (408 beyond).")
    ] = 60.0
    processing_timeout: Annotated[
        float, Meta(gt=0, description="Seconds within which a request must be answered (503 beyond).")
    ] = 600.0
    keep_alive: Annotated[int, Meta(ge=1, description="Seconds an idle connection stays open.")] = 15


class Access(Struct, frozen=True, forbid_unknown_fields=True):
    account_header: Annotated[
        bool | None,
        Meta(description="Whether Luna-Account-Id works as a credential. Unset: in local mode only."),
    ] = None
    open_registration: Annotated[
        bool | None,
        Meta(description="Whether POST /6/accounts needs no credentials. Unset: in local mode only."),
    ] = None
    anonymous_reading: Annotated[
        bool, Meta(description="Whether requests that only read need no credentials and see every account.")
    ] = False
    open_config: Annotated[
        bool | None, Meta(description="Whether GET /6/config needs no admin. Unset: in local mode only.")
    ] = None
    credential_cache: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds for which a verified password is remembered, so that its slow hash is not computed for every request. A changed password counts at once.",
        ),
    ] = 300.0
    admin_login: Annotated[str, Meta(description="Login of the admin account made at the first start.")] = (
        "root@lunaria.local"
    )
    admin_password: Annotated[
        str,
        Meta(
            description="Password of the admin account made at the first start. Empty: a random one, printed once and kept in <data folder>/admin-password.",
            extra_json_schema={"secret": True},
        ),
    ] = ""


class Data(Struct, frozen=True, forbid_unknown_fields=True):
    folder: Annotated[
        str,
        Meta(description="Folder of everything the server keeps: database cluster, blobs, models, secrets."),
    ] = "data"


class Database(Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[
        str,
        Meta(
            description="postgresql://user:password@host:port/name of an external server. Empty: the embedded one.",
            extra_json_schema={"secret": True},
        ),
    ] = ""
    binaries: Annotated[
        str,
        Meta(description="Folder with initdb and postgres for the embedded server. Empty: found by itself."),
    ] = ""
    connections: Annotated[
        int, Meta(ge=2, description="Most connections of one server process, beside one that listens to the others.")
    ] = 20
    statement_timeout: Annotated[float, Meta(gt=0, description="Seconds after which a statement is cancelled.")] = 60.0


class Blobs(Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[
        str,
        Meta(
            description="Where samples, images and objects lie: a folder path or s3://bucket/prefix. Empty: <data folder>/blobs."
        ),
    ] = ""
    endpoint: Annotated[str, Meta(description="Address of an S3-compatible server.")] = ""
    region: Annotated[str, Meta(description="S3 region.")] = "us-east-1"
    access_key: Annotated[str, Meta(description="S3 access key.")] = ""
    secret_key: Annotated[str, Meta(description="S3 secret key.", extra_json_schema={"secret": True})] = ""


class Models(Struct, frozen=True, forbid_unknown_fields=True):
    folder: Annotated[
        str,
        Meta(
            description="Folder of the converted networks; own ones lie in its folder `custom`. Empty: <data folder>/models."
        ),
    ] = ""
    licence: Annotated[
        Literal["all", "open"],
        Meta(description="`open` leaves out networks whose weights or data are for research only."),
    ] = "all"
    preload: Annotated[
        bool,
        Meta(
            description="Whether the networks of all estimates are loaded right after the start, in the background. Otherwise each is loaded when it is first asked for, which saves the memory of those that never are."
        ),
    ] = True
    backend: Annotated[
        Literal["auto", "openvino", "onnxruntime"],
        Meta(description="What runs the networks. `auto`: OpenVINO on x86-64, else ONNX Runtime."),
    ] = "auto"
    device: Annotated[
        Literal["cpu", "cuda"],
        Meta(
            description="Where the networks run. `cuda` needs the package onnxruntime-gpu in the place of onnxruntime; the server refuses to start without a device."
        ),
    ] = "cpu"


class Vision(Struct, frozen=True, forbid_unknown_fields=True):
    workers: Annotated[int, Meta(ge=0, description="Threads that analyse images. 0: one a core.")] = 0
    queue: Annotated[int, Meta(ge=1, description="Images that may wait for a worker (503 beyond).")] = 256
    image_bytes: Annotated[int, Meta(ge=1024, description="Largest encoded image in bytes.")] = 15 * MEBIBYTE
    image_side: Annotated[int, Meta(ge=64, description="Longest side of an image in pixels.")] = 8192
    image_pixels: Annotated[int, Meta(ge=4096, description="Most pixels of one image.")] = 40_000_000
    pixel_budget: Annotated[
        int, Meta(ge=4096, description="Most pixels being decoded at one time, over all requests.")
    ] = 40_000_000
    images_per_request: Annotated[int, Meta(ge=1, description="Most images in one request, and most descriptors.")] = 20


class Estimation(Struct, frozen=True, forbid_unknown_fields=True):
    liveness_threshold: Annotated[
        float, Meta(ge=0, le=1, description="Score from which on a face counts as that of a live person.")
    ] = 0.5
    liveness_quality: Annotated[
        float, Meta(ge=0, le=1, description="Quality below which the liveness of a face counts as unknown.")
    ] = 0.5
    deepfake_threshold: Annotated[
        float, Meta(ge=0, le=1, description="Score from which on a face counts as no deepfake.")
    ] = 0.5


class Matching(Struct, frozen=True, forbid_unknown_fields=True):
    workers: Annotated[int, Meta(ge=0, description="Threads that search. 0: one a core.")] = 0
    queue: Annotated[int, Meta(ge=1, description="Searches that may wait for a worker (503 beyond).")] = 256
    expanded_references: Annotated[
        int, Meta(ge=1, description="Most references after external ids were expanded (31007 beyond).")
    ] = 1000
    raw_pairs: Annotated[int, Meta(ge=1, description="Most pairs of descriptors in one raw matching.")] = 1_000_000
    matches: Annotated[
        int,
        Meta(
            ge=1,
            description="Most matches that one request may ask for: references times the sum of the candidates' limits (31007 beyond, in handlers 34005).",
        ),
    ] = 1_000_000


class Handlers(Struct, frozen=True, forbid_unknown_fields=True):
    candidates: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Most candidates that one entry of a match policy may ask for (34005 beyond).",
        ),
    ] = 100
    saving_queue: Annotated[
        int,
        Meta(
            ge=1,
            description="Events that may wait to be written after their requests were answered, as `wait_saving` 0 has it (503 beyond).",
        ),
    ] = 1000
    saving_bytes: Annotated[
        int,
        Meta(ge=1024, description="Most bytes of the events that wait to be written, with their samples and images."),
    ] = 128 * MEBIBYTE


class Attributes(Struct, frozen=True, forbid_unknown_fields=True):
    cleaning_period: Annotated[
        float, Meta(gt=0, description="Seconds between removals of expired temporary attributes.")
    ] = 60.0


class Events(Struct, frozen=True, forbid_unknown_fields=True):
    statistics_values: Annotated[
        int,
        Meta(
            ge=1000,
            description="Most values, groups times fields, in one answer of event statistics (400 beyond).",
        ),
    ] = 500_000


class Notifications(Struct, frozen=True, forbid_unknown_fields=True):
    subscribers: Annotated[int, Meta(ge=1, description="Most open websockets of one server process (503 beyond).")] = (
        1000
    )
    subscribers_per_account: Annotated[
        int, Meta(ge=1, description="Most open websockets of one account in one server process (503 beyond).")
    ] = 100
    queue: Annotated[
        int, Meta(ge=1, description="Events that may wait for one subscriber; who falls behind is closed (code 1013).")
    ] = 1000
    queue_bytes: Annotated[
        int, Meta(ge=1024, description="Bytes of events that may wait for one subscriber, likewise.")
    ] = 16 * MEBIBYTE
    recheck: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds between checks whether the credentials of an open websocket still admit; it is closed (code 1008) when they do not.",
        ),
    ] = 60.0


class Callbacks(Struct, frozen=True, forbid_unknown_fields=True):
    queue: Annotated[
        int,
        Meta(
            ge=1,
            description="Callbacks that may wait or be on their way, of all receivers, a quarter of them of one account; further ones are dropped.",
        ),
    ] = 10_000
    queue_bytes: Annotated[int, Meta(ge=1024, description="Bytes of callbacks that may wait, likewise.")] = (
        128 * MEBIBYTE
    )
    receiver_queue: Annotated[
        int,
        Meta(ge=1, description="Callbacks that may wait for one receiver, a host to which one account posts."),
    ] = 1000
    connections: Annotated[int, Meta(ge=1, description="Most callbacks on their way at one time.")] = 128
    attempts: Annotated[int, Meta(ge=1, le=20, description="Attempts to deliver a callback before it is given up.")] = 3
    pause: Annotated[
        float, Meta(gt=0, description="Seconds before the second attempt; they double with every further one.")
    ] = 1.0


class Outbound(Struct, frozen=True, forbid_unknown_fields=True):
    allow: Annotated[
        list[str],
        Meta(
            description="Host names, addresses or networks that outgoing requests may reach although they are private (comma-separated in the environment)."
        ),
    ] = field(default_factory=list)
    timeout: Annotated[float, Meta(gt=0, description="Seconds for one outgoing request.")] = 15.0
    redirects: Annotated[
        int, Meta(ge=0, le=10, description="Redirects followed, each checked like the first address.")
    ] = 3


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged.")] = (
        "info"
    )
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="`auto`: console on a terminal, else JSON lines."),
    ] = "auto"


class Documentation(Struct, frozen=True, forbid_unknown_fields=True):
    error_link: Annotated[str, Meta(description="Address of the page about an error; the code is appended.")] = (
        "/docs/dev/errors.html#code-"
    )


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    server: Server = field(default_factory=Server)
    access: Access = field(default_factory=Access)
    data: Data = field(default_factory=Data)
    database: Database = field(default_factory=Database)
    blobs: Blobs = field(default_factory=Blobs)
    models: Models = field(default_factory=Models)
    vision: Vision = field(default_factory=Vision)
    estimation: Estimation = field(default_factory=Estimation)
    matching: Matching = field(default_factory=Matching)
    handlers: Handlers = field(default_factory=Handlers)
    attributes: Attributes = field(default_factory=Attributes)
    events: Events = field(default_factory=Events)
    notifications: Notifications = field(default_factory=Notifications)
    callbacks: Callbacks = field(default_factory=Callbacks)
    outbound: Outbound = field(default_factory=Outbound)
    log: Log = field(default_factory=Log)
    documentation: Documentation = field(default_factory=Documentation)

    @property
    def exposed(self) -> bool:
        """Whether the server can be reached from other machines."""
        if self.server.host == "localhost":
            return False
        try:
            return not ip_address(self.server.host).is_loopback
        except ValueError:
            return True

    @property
    def account_header_allowed(self) -> bool:
        return not self.exposed if self.access.account_header is None else self.access.account_header

    @property
    def registration_open(self) -> bool:
        return not self.exposed if self.access.open_registration is None else self.access.open_registration

    @property
    def config_open(self) -> bool:
        return not self.exposed if self.access.open_config is None else self.access.open_config

    @property
    def data_folder(self) -> Path:
        return Path(self.data.folder).expanduser().absolute()

    @property
    def models_folder(self) -> Path:
        return Path(self.models.folder).expanduser().absolute() if self.models.folder else self.data_folder / "models"

    @property
    def blobs_url(self) -> str:
        return self.blobs.url or str(self.data_folder / "blobs")


class Setting(NamedTuple):
    """One setting as the documentation shows it."""

    section: str
    name: str
    default: Any
    description: str
    secret: bool

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.section}_{self.name}".upper()


def describe() -> Iterator[Setting]:
    """Every setting with its default and meaning, in order."""
    for section in msgspec.structs.fields(Settings):
        defaults = section.type()
        for entry in msgspec.structs.fields(section.type):
            meta: Meta = entry.type.__metadata__[0]
            secret = bool((meta.extra_json_schema or {}).get("secret"))
            yield Setting(section.name, entry.name, getattr(defaults, entry.name), meta.description or "", secret)


def load(environment: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """Read the settings. Raises SettingsError naming the setting that is wrong."""
    environment = os.environ if environment is None else environment
    values = _from_file(file, environment)
    for setting in describe():
        text = environment.get(setting.variable)
        if text is not None:
            value: Any = text.split(",") if isinstance(setting.default, list) and text else text
            values.setdefault(setting.section, {})[setting.name] = (
                [] if value == "" and isinstance(setting.default, list) else value
            )
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"bad setting: {error}") from error


def _from_file(file: Path | None, environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    named = file or (Path(environment[f"{PREFIX}CONFIG"]) if environment.get(f"{PREFIX}CONFIG") else None)
    path = named or Path("lunaria.toml")
    if not path.exists():
        if named is not None:
            raise SettingsError(f"the settings file {path} does not exist")
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def masked(settings: Settings) -> dict[str, dict[str, Any]]:
    """The settings as plain data with every secret hidden; an unset secret shows as empty."""
    shown: dict[str, dict[str, Any]] = msgspec.to_builtins(settings)
    for setting in describe():
        if setting.secret and shown[setting.section][setting.name]:
            shown[setting.section][setting.name] = MASK
    return shown
