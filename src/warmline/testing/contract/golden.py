"""Golden events: what each fixture of a folder must parse to, as JSON beside it.

`make golden NAME=…` writes them anew from what the connector says now. Read the difference before
you commit it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from warmline.core.events import Event
from warmline.testing.contract.suite import Subject


def brief(found: Any) -> Any:
    """An event or a fact as a golden file has it: without what is not said."""
    if isinstance(found, datetime):
        return found.isoformat()
    if is_dataclass(found):
        told = {one.name: getattr(found, one.name) for one in fields(found)}
        return {
            name: brief(value)
            for name, value in told.items()
            if name in ("kind", "key", "word") or _said(name, value)
        }
    if isinstance(found, tuple | list):
        return [brief(one) for one in found]
    return {str(k): brief(v) for k, v in found.items()} if isinstance(found, Mapping) else found


def _said(name: str, value: object) -> bool:
    """False says something only where None is another answer."""
    return value not in (None, (), {}, "", False) or (value is False and name == "can_email")


def text_of(events: Iterable[Event]) -> str:
    found = [brief(event) for event in events]
    return json.dumps(found, indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def path_of(folder: Path, name: str) -> Path:
    return folder / "fixtures" / "golden" / f"{name}.json"


def update(subject: Subject) -> list[Path]:
    """Write the golden files of every delivery; those that changed."""
    parsing = subject.part(subject.harness.parsing, "parsing")
    changed = []
    with subject.alone() as made:
        for name, delivery in parsing.deliveries(subject.folder).items():
            path, text = path_of(subject.folder, name), text_of(made.parse(delivery))
            if not path.is_file() or json.loads(path.read_text()) != json.loads(text):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                changed.append(path)
    return changed
