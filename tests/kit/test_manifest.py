"""Every connector folder tells the truth about itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import START
from warmline.core.errors import BadSignature, ConfigError
from warmline.kit import signatures
from warmline.kit.manifest import FOLDER, Manifest, make, manifests, read_manifest
from warmline.kit.signatures import require_equal, require_header
from warmline.ports import CAPABILITIES, Channel, Options, Received
from warmline.testing.contract import subject_of

ROLES = {"ats", "crm", "mail", "files"}


@pytest.fixture(params=sorted(manifests()))
def manifest(request: pytest.FixtureRequest) -> Manifest:
    return manifests()[request.param]


@pytest.fixture
def connector(manifest: Manifest, tmp_path: Path) -> Iterator[Any]:
    """With a value for each setting that must have one, and the secrets that verify webhooks."""
    settings: dict[str, object] = {
        s.name: s.default for s in manifest.settings if not s.secret and s.default is not None
    }
    own = subject_of(manifest.name).harness
    settings |= {s.name: "127.0.0.1" for s in manifest.settings if s.required and not s.secret}
    settings |= own.settings
    secrets = {s.name: f"a {s.name}" for s in manifest.settings if s.secret}
    if own.settings or manifest.name not in SIGNED:
        secrets = dict(own.secrets)
    made = make(
        manifest,
        Options(name="x", settings=settings, secrets=secrets, now=lambda: START,
                public_url="https://hire.example.com", folder=tmp_path),
    )  # fmt: skip
    yield made
    if hasattr(made, "close"):
        made.close()


def test_every_folder_is_a_connector() -> None:
    folders = {p.name for p in FOLDER.iterdir() if p.is_dir() and not p.name.startswith("_")}
    assert folders == set(manifests())
    assert {"greenhouse", "hubspot", "lever", "smtp", "files"} <= folders


def test_what_is_declared_is_what_is_implemented(manifest: Manifest, connector: Any) -> None:
    implemented = {
        name for name, protocol in CAPABILITIES.items() if isinstance(connector, protocol)
    }
    assert set(manifest.capabilities) == implemented
    assert len(manifest.capabilities) == len(implemented)
    assert manifest.role in ROLES


def test_every_setting_stands_in_the_connectors_readme(manifest: Manifest) -> None:
    readme = (FOLDER / manifest.name / "README.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \|.*$", readme, re.MULTILINE)
    for setting in manifest.settings:
        assert setting.name in rows
        assert setting.help
        line = next(x for x in readme.splitlines() if x.startswith(f"| `{setting.name}` |"))
        assert not setting.secret or "secret" in line
        assert setting.default in (None, "", {}) or str(setting.default) in line


def test_no_secret_has_a_default(manifest: Manifest) -> None:
    for setting in manifest.settings:
        assert not (setting.secret and setting.default)
        assert not (setting.required and setting.default is not None)


def test_a_capability_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(
        'title = "X"\nrole = "ats"\nclass = "X"\ncapabilities = ["parses", "reads_minds"]\n'
    )
    with pytest.raises(ConfigError, match="reads_minds") as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path))
    assert "lists_changes" in str(caught.value)


# Actions


def test_each_says_which_actions_it_carries_out() -> None:
    assert {name: m.actions for name, m in manifests().items() if m.actions} == {
        "greenhouse": {"candidate.tag", "candidate.flag", "candidate.do_not_contact"},
        "hubspot": {"contact.upsert", "contact.opt_out", "contact.enrol", "contact.leave"},
        "lever": {"candidate.tag", "candidate.flag", "candidate.do_not_contact"},
    }


@pytest.mark.parametrize(
    ("capabilities", "actions", "reason"),
    [
        (["applies_actions"], None, "found none"),
        (["applies_actions"], [], "found none"),
        (
            ["applies_actions"],
            ["contact.upsert", "pigeon.send"],
            r"unknown actions \['pigeon.send'\]",
        ),
        (["parses"], ["contact.upsert"], "expected none"),
    ],
)
def test_actions_are_declared_by_those_who_apply_them(
    tmp_path: Path, capabilities: list[str], actions: list[str] | None, reason: str
) -> None:
    path = tmp_path / "manifest.toml"
    told = 'events = ["candidate.updated"]' if "parses" in capabilities else ""
    lines = ['title = "X"', 'role = "ats"', 'class = "X"', f"capabilities = {capabilities}", told]
    path.write_text("\n".join([*lines, *([] if actions is None else [f"actions = {actions}"])]))
    with pytest.raises(ConfigError, match=reason) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("capabilities", "events", "reason"),
    [
        (["parses"], [], "events: found none"),
        (["parses"], ["candidate.sneezed"], r"unknown events \['candidate.sneezed'\]"),
        (["checks"], ["candidate.updated"], "events: found .* expected none"),
    ],
)
def test_events_are_declared_by_those_who_tell_them(
    tmp_path: Path, capabilities: list[str], events: list[str], reason: str
) -> None:
    path = tmp_path / "manifest.toml"
    lines = ['title = "X"', 'role = "ats"', 'class = "X"', f"capabilities = {capabilities}"]
    path.write_text("\n".join([*lines, f"events = {events}"]))
    with pytest.raises(ConfigError, match=reason):
        read_manifest(path)


# Signatures


def received(signed: Mapping[str, object], *, in_body: bool = False) -> Received:
    return Received(
        channel=Channel.WEBHOOK,
        body=json.dumps(signed).encode() if in_body else b"{}",
        received_at=START,
        headers={} if in_body else {name: str(value) for name, value in signed.items()},
        url="https://hire.example.com/in/x",
    )


SIGNED: dict[str, dict[str, object]] = {
    "anymail": {"signature": "0" * 64},
    "greenhouse": {"signature": f"sha256 {'0' * 64}"},
    "hubspot": {
        "x-hubspot-signature-v3": "A" * 43 + "=",
        "x-hubspot-request-timestamp": str(int(START.timestamp() * 1000)),
    },
    "lever": {
        "token": "t",
        "triggeredAt": int(START.timestamp() * 1000),
        "signature": "0" * 64,
    },
}
IN_BODY = {"lever"}  # the others sign in headers


def receivers() -> list[str]:
    return [n for n, m in sorted(manifests().items()) if "receives_webhooks" in m.capabilities]


def test_each_receiver_has_a_wrong_signature_here() -> None:
    assert receivers() == sorted(SIGNED)


# Its signatures are compared by its library, with Django's constant_time_compare.
BY_ITS_LIBRARY = {"anymail"}


@pytest.mark.parametrize(
    "manifest", [name for name in receivers() if name not in BY_ITS_LIBRARY], indirect=True
)
def test_a_signature_of_the_right_length_is_compared_in_constant_time(
    manifest: Manifest, connector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = signatures.hmac.compare_digest

    def watch(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(signatures.hmac, "compare_digest", watch)
    signed = received(SIGNED[manifest.name], in_body=manifest.name in IN_BODY)
    with pytest.raises(BadSignature):
        connector.verify(signed, now=START)
    ((one, other),) = compared
    assert len(one) == len(other)


@pytest.mark.parametrize("manifest", receivers(), indirect=True)
@pytest.mark.parametrize("value", ["", " ", "é" * 64, "\ud800", "sha256 " + "é" * 64, "0" * 10_000])
def test_a_signature_that_is_none_is_a_bad_signature_and_nothing_worse(
    manifest: Manifest, connector: Any, value: str
) -> None:
    for name in SIGNED[manifest.name]:
        signed = {**SIGNED[manifest.name], name: value}
        spoilt = received(signed, in_body=manifest.name in IN_BODY)
        with pytest.raises(BadSignature):
            connector.verify(spoilt, now=START)
    with pytest.raises(BadSignature):
        connector.verify(received({}), now=START)


@pytest.mark.parametrize("found", ["", "abc", "abd ", "Abcd", "é", "\ud800", "abcd\0"])
def test_only_the_same_text_is_equal(found: str) -> None:
    require_equal("abcd", "abcd", header="x-sign")
    with pytest.raises(BadSignature, match="header x-sign") as caught:
        require_equal(found, "abcd", header="x-sign")
    assert "abcd" not in str(caught.value)
    assert caught.value.hint


def test_a_missing_header_is_named() -> None:
    assert require_header({"x-sign": "1"}, "x-sign") == "1"
    for headers in ({}, {"x-sign": ""}):
        with pytest.raises(BadSignature, match="x-sign is missing"):
            require_header(headers, "x-sign")
