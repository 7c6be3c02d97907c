"""A connector's `manifest.toml`: what it is called, what it can do, what it must be given."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from warmline.core.actions import ActionKind
from warmline.core.errors import ConfigError
from warmline.core.events import EventKind
from warmline.ports import CAPABILITIES, Options

FOLDER = Path(__file__).parent.parent / "connectors"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a connection: a row of the table in the connector's README."""

    name: str
    help: str
    default: object = None
    required: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """`actions` are the kinds of `warmline.core.actions.ActionKind` that it carries out: some
    where it has the capability `applies_actions`, else none. `events` are the kinds of
    `warmline.core.events.EventKind` that it can tell: some where it `parses`, else none."""

    name: str
    title: str
    role: str  # ats, crm, mail or files
    capabilities: tuple[str, ...]
    settings: tuple[Setting, ...]
    class_name: str
    actions: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()


@cache
def manifests() -> Mapping[str, Manifest]:
    """Every connector folder that has a manifest, by name. A folder is all it takes."""
    return {
        path.parent.name: read_manifest(path) for path in sorted(FOLDER.glob("*/manifest.toml"))
    }


def read_manifest(path: Path) -> Manifest:
    """Raises ConfigError where it names a capability, an action or an event that there is none
    of."""
    found = tomllib.loads(path.read_text())
    unknown = set(found["capabilities"]) - set(CAPABILITIES)
    if unknown:
        raise ConfigError(
            f"unknown capabilities {sorted(unknown)}; expected some of {sorted(CAPABILITIES)}",
            file=str(path),
        )
    return Manifest(
        name=path.parent.name,
        title=found["title"],
        role=found["role"],
        capabilities=tuple(found["capabilities"]),
        settings=tuple(Setting(name=k, **v) for k, v in found.get("settings", {}).items()),
        class_name=found["class"],
        actions=_words(path, found, "actions", ActionKind, needs="applies_actions"),
        events=_words(path, found, "events", EventKind, needs="parses"),
    )


def _words(
    path: Path, found: Mapping[str, Any], key: str, words: type[StrEnum], *, needs: str
) -> frozenset[str]:
    """Words of a closed vocabulary: declared by those with the capability, and by nobody else."""
    names = frozenset(found.get(key, ()))
    known = {word.value for word in words}
    if unknown := names - known:
        raise ConfigError(
            f"unknown {key} {sorted(unknown)}; expected some of {sorted(known)}", file=str(path)
        )
    able = needs in found["capabilities"]
    if able and not names:
        raise ConfigError(
            f"{key}: found none, expected some of {sorted(known)}, as it has {needs}",
            file=str(path),
        )
    if names and not able:
        raise ConfigError(
            f"{key}: found {sorted(names)}, expected none without the capability {needs}",
            file=str(path),
        )
    return names


def make(manifest: Manifest, options: Options) -> Any:
    """The connector itself: `warmline.connectors.<name>.connector.<class>(options)`."""
    module = importlib.import_module(f"warmline.connectors.{manifest.name}.connector")
    return getattr(module, manifest.class_name)(options)
