"""Settings: environment over file over default, and errors that name what is wrong."""

from pathlib import Path

import pytest

from lunaria.settings import MASK, Settings, SettingsError, describe, load, masked


def test_defaults() -> None:
    assert load({}) == Settings()


def test_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "lunaria.toml"
    file.write_text('[server]\nport = 6000\nkeep_alive = 5\n[outbound]\nallow = ["cameras.local"]\n')
    settings = load({"LUNARIA_SERVER_PORT": "7000"}, file)
    assert (settings.server.port, settings.server.keep_alive) == (7000, 5)
    assert settings.outbound.allow == ["cameras.local"]
    assert load({"LUNARIA_CONFIG": str(file), "LUNARIA_OUTBOUND_ALLOW": "a,b"}).outbound.allow == ["a", "b"]
    assert load({"LUNARIA_OUTBOUND_ALLOW": ""}, file).outbound.allow == []


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"LUNARIA_SERVER_PORT": "x"}, "server.port"),
        ({"LUNARIA_SERVER_PORT": "70000"}, "server.port"),
        ({"LUNARIA_ACCESS_ACCOUNT_HEADER": "maybe"}, "access.account_header"),
        ({"LUNARIA_MODELS_LICENCE": "closed"}, "models.licence"),
        ({"LUNARIA_CONFIG": "/nowhere/lunaria.toml"}, "/nowhere/lunaria.toml"),
    ],
)
def test_bad_values_are_named(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load(environment)


@pytest.mark.parametrize("text", ["[server]\nprot = 1\n", "[sever]\nport = 1\n", "port = 1\n", "[server", "\x00"])
def test_bad_files(tmp_path: Path, text: str) -> None:
    file = tmp_path / "lunaria.toml"
    file.write_text(text)
    with pytest.raises(SettingsError):
        load({}, file)


@pytest.mark.parametrize(
    ("host", "exposed"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("127.9.9.9", False), ("0.0.0.0", True),
     ("::", True), ("192.168.1.5", True), ("example.org", True), ("", True)],
)  # fmt: skip
def test_who_gets_in_follows_the_address(host: str, exposed: bool) -> None:
    settings = load({"LUNARIA_SERVER_HOST": host})
    assert settings.exposed is exposed
    assert settings.account_header_allowed is settings.registration_open is settings.config_open is not exposed
    opened = load({"LUNARIA_SERVER_HOST": host, "LUNARIA_ACCESS_ACCOUNT_HEADER": "true"})
    assert opened.account_header_allowed


def test_every_setting_is_described() -> None:
    for setting in describe():
        assert setting.description.endswith("."), setting


def test_secrets_are_hidden() -> None:
    environment = {setting.variable: "hush" for setting in describe() if setting.secret}
    assert {"LUNARIA_DATABASE_URL", "LUNARIA_BLOBS_SECRET_KEY", "LUNARIA_ACCESS_ADMIN_PASSWORD"} <= environment.keys()
    shown = masked(load(environment))
    assert "hush" not in str(shown)
    assert shown["database"]["url"] == MASK
    assert masked(Settings())["database"]["url"] == ""
