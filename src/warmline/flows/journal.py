"""Changes to rows, written down as they are made, so that they can be taken back.

Taking back is a compare-and-swap a field: what somebody has changed since stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import models

# One entry: the rows of a model, and each field's value before and after; or rows that were made.
Entry = dict[str, Any]


class Journal:
    """What one undertaking changed, in order. `entries` is JSON."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def update(
        self,
        rows: Collection[models.Model],
        *,
        before: dict[str, Any] | None = None,
        **values: Any,
    ) -> None:
        """Set these values on rows of one model. `before`: what taking back brings, where that is
        not what stood there."""
        groups: dict[str, tuple[Entry, list[int]]] = {}
        for row in rows:
            fields = {
                name: [_plain((before or {}).get(name, getattr(row, name))), _plain(value)]
                for name, value in values.items()
                if getattr(row, name) != value
            }
            if not fields:
                continue
            entry, ids = groups.setdefault(
                repr(fields), ({"model": row._meta.model_name, "set": fields}, [])
            )
            ids.append(row.pk)
            for name in fields:
                setattr(row, name, values[name])
        for entry, ids in groups.values():
            model = apps.get_model("warmline", entry["model"])
            changed = {name: values[name] for name in entry["set"]}
            model._default_manager.filter(pk__in=ids).update(**changed)
            self.entries.append({**entry, "ids": ids})

    def made(self, rows: Sequence[models.Model], **identity: Any) -> None:
        """These rows were made. Taking back removes those that still have these values."""
        if rows:
            self.entries.append(
                {
                    "model": rows[0]._meta.model_name,
                    "ids": [row.pk for row in rows],
                    "made": {name: _plain(value) for name, value in identity.items()},
                }
            )


def take_back(entries: Sequence[Entry]) -> None:
    """Undo the entries, the last one first. The caller holds the transaction."""
    for entry in reversed(entries):
        model = apps.get_model("warmline", entry["model"])
        rows = model._default_manager.filter(pk__in=entry["ids"])
        if "made" in entry:
            rows.filter(**_values(model, entry["made"])).delete()
        else:
            _set_back(model, rows, entry["set"])


def _set_back(
    model: type[models.Model], rows: models.QuerySet[Any], changed: dict[str, list[Any]]
) -> None:
    """All fields of a row that still hold what was put there, in one statement: two of them may
    stand in one unique key, and PostgreSQL's JSON keeps no order of fields."""
    before = _values(model, {name: pair[0] for name, pair in changed.items()})
    after = _values(model, {name: pair[1] for name, pair in changed.items()})
    alike: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        still = tuple(name for name in sorted(changed) if getattr(row, name) == after[name])
        alike.setdefault(still, []).append(row.pk)
    for names, ids in alike.items():
        if names:
            there = model._default_manager.filter(
                pk__in=ids, **{name: after[name] for name in names}
            )
            there.update(**{name: before[name] for name in names})


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _values(model: type[models.Model], found: dict[str, Any]) -> dict[str, Any]:
    """Back from JSON, as the fields have them."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    return {
        name: value if value is None else fields[name].to_python(value)
        for name, value in found.items()
    }
