"""The process settings: one table, read from the environment; a wrong value is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from warmline.config.project import secret_name, secret_values
from warmline.config.settings import TABLE, Settings, database, read, value_or_file
from warmline.core.errors import ConfigError


def settings(tmp_path: Path, **env: str) -> Settings:
    return read({"WARMLINE_PROJECT": str(tmp_path), "WARMLINE_SECRET_KEY": "k", **env})


def fault(tmp_path: Path, **env: str) -> str:
    with pytest.raises(ConfigError) as caught:
        database(settings(tmp_path, **env))
    return f"{caught.value} {caught.value.hint}"


def test_nothing_set_is_a_laptop(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert (found.listen_host, found.listen_port) == ("127.0.0.1", 8025)
    assert (found.tick_s, found.log_level) == (1.0, "INFO")
    assert database(found)["NAME"] == f"{tmp_path}/var/warmline.sqlite3"


def test_every_setting_has_help_and_a_default_of_its_kind() -> None:
    assert len({s.name for s in TABLE}) == len(TABLE)
    for setting in TABLE:
        assert setting.name.startswith("WARMLINE_")
        assert setting.help
        assert isinstance(setting.default, setting.kind)


@pytest.mark.parametrize(
    "listen",
    ["8025", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:99999",
     "127.0.0.1:²", "127.0.0.1:-1", "127.0.0.1:80 25"],
)  # fmt: skip
def test_a_wrong_port_is_named(tmp_path: Path, listen: str) -> None:
    if listen == "8025":
        assert settings(tmp_path, WARMLINE_LISTEN=":8025").listen_host == "127.0.0.1"
        listen = "x8025"
    text = fault(tmp_path, WARMLINE_LISTEN=listen)
    assert repr(listen) in text
    assert "expected HOST:PORT" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WARMLINE_WEB_THREADS", "many"),
        ("WARMLINE_WEB_THREADS", ""),
        ("WARMLINE_WEB_THREADS", "2.5"),
        ("WARMLINE_WEB_THREADS", "0"),
        ("WARMLINE_MAIL_THREADS", "-1"),
        ("WARMLINE_TICK_S", "soon"),
        ("WARMLINE_TICK_S", "0"),
        ("WARMLINE_TICK_S", "nan"),
        ("WARMLINE_TICK_S", "inf"),
    ],
)
def test_a_wrong_number_is_named_with_what_it_is_for(tmp_path: Path, name: str, value: str) -> None:
    text = fault(tmp_path, **{name: value})
    assert f"{name} is {value!r}; expected" in text
    assert next(s.help for s in TABLE if s.name == name) in text


def test_numbers_are_read(tmp_path: Path) -> None:
    found = settings(tmp_path, WARMLINE_WEB_THREADS=" 4 ", WARMLINE_TICK_S="0.25")
    assert (found.web_threads, found.tick_s) == (4, 0.25)


def test_an_address_of_ip_version_6_is_read(tmp_path: Path) -> None:
    found = settings(tmp_path, WARMLINE_LISTEN="[::1]:8025")
    assert (found.listen_host, found.listen_port) == ("[::1]", 8025)


# NAME_FILE: secrets of Docker and systemd


def test_a_setting_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from a file\n")
    env = {"WARMLINE_PROJECT": str(tmp_path), "WARMLINE_SECRET_KEY_FILE": str(path)}
    assert read(env).secret_key == "from a file"
    assert read({**env, "WARMLINE_SECRET_KEY": "said"}).secret_key == "said"


@pytest.mark.parametrize("what", ["missing", "folder", "latin"])
def test_a_file_that_cannot_be_read_is_a_sentence_without_its_contents(
    tmp_path: Path, what: str
) -> None:
    path = tmp_path / what
    if what == "folder":
        path.mkdir()
    elif what == "latin":
        path.write_bytes(b"geheim\xff")
    with pytest.raises(ConfigError, match="X_FILE names a file that cannot be read") as caught:
        value_or_file("X", {"X_FILE": str(path)})
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_secrets_of_a_connection_have_names(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("t")
    env = {"WARMLINE_ATS_WEBHOOK_SECRET": "s", "WARMLINE_ATS_TOKEN_FILE": str(path)}
    assert secret_name("ats", "webhook_secret") == "WARMLINE_ATS_WEBHOOK_SECRET"
    found = secret_values("ats", ("webhook_secret", "token", "none"), env)
    assert found == {"webhook_secret": "s", "token": "t", "none": ""}


# The ledger's address


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_postgresql_url_is_taken_apart(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}://kim:p%40ss%2Fword@db.example.com:5433/warm%20line"
    found = database(settings(tmp_path, WARMLINE_DATABASE_URL=url))
    assert found["ENGINE"].endswith("postgresql")
    assert {k: found[k] for k in ("NAME", "USER", "PASSWORD", "HOST", "PORT")} == {
        "NAME": "warm line",
        "USER": "kim",
        "PASSWORD": "p@ss/word",
        "HOST": "db.example.com",
        "PORT": "5433",
    }


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////srv/warm line.sqlite3", "/srv/warm line.sqlite3"),
        ("sqlite:///var/ledger.sqlite3", "var/ledger.sqlite3"),
        ("sqlite:////srv/a%20b.sqlite3", "/srv/a b.sqlite3"),
    ],
)
def test_a_sqlite_url_is_a_path(tmp_path: Path, url: str, path: str) -> None:
    found = database(settings(tmp_path, WARMLINE_DATABASE_URL=url))
    assert found["NAME"] == path
    assert "synchronous=FULL" in found["OPTIONS"]["init_command"]
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


@pytest.mark.parametrize("odd", ["a#b", "a?b", "a%b"])
def test_the_ledger_lies_in_the_project_folder_whatever_it_is_called(
    tmp_path: Path, odd: str
) -> None:
    found = database(settings(tmp_path / odd))
    assert found["NAME"] == f"{tmp_path}/{odd}/var/warmline.sqlite3"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://kim:hunter2@host/x",
        "hunter2",
        "postgresql://kim:hunter2@host:port/x",
        "postgresql://kim:hunter2@host:99999/x",
        "postgresql://kim:hunter2@host",
        "postgresql://kim:hunter2@[host/x",
        "sqlite://",
        "sqlite:///",
    ],
)
def test_a_wrong_database_url_is_a_sentence_without_the_password(tmp_path: Path, url: str) -> None:
    text = fault(tmp_path, WARMLINE_DATABASE_URL=url)
    assert "WARMLINE_DATABASE_URL" in text
    assert "expected" in text
    assert "hunter2" not in text


# The secret key


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "warmline.yaml").write_text("company: x\n")
    return tmp_path


def key_of(project: Path) -> str:
    return read({"WARMLINE_PROJECT": str(project)}).secret_key


def test_the_secret_key_is_made_once_and_kept_from_others(project: Path) -> None:
    made = key_of(project)
    path = project / "var" / "secret_key"
    assert len(made) >= 50
    assert key_of(project) == made == path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secret_key"]


def test_a_kill_between_making_and_writing_the_key_leaves_no_empty_one(project: Path) -> None:
    """I10: an empty key would stop every start from then on."""
    path = project / "var" / "secret_key"
    path.parent.mkdir()
    path.touch(0o600)
    made = key_of(project)
    assert len(made) >= 50
    assert key_of(project) == made


def test_without_a_project_nothing_is_written(tmp_path: Path) -> None:
    assert key_of(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_cannot_be_kept_stops_the_start(project: Path) -> None:
    """With another key at each start, the links of every mail sent before would stop working."""
    (project / "var").write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match="the key that signs links cannot be kept") as told:
        key_of(project)
    assert "WARMLINE_SECRET_KEY" in told.value.hint
    assert read({"WARMLINE_PROJECT": str(project), "WARMLINE_SECRET_KEY": "given"}).secret_key
