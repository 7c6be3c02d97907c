"""Which system wins a field. As a rule it is the source, and its value is written over what stands
there. A field that the CRM is the authority on (`authority:` in warmline.yaml) is only filled where
it is empty there: what a person put in stays."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from warmline.flows.runtime import Runtime
from warmline.ports import ReadsRecords
from warmline.store.models import ExternalId

_HALVES = ("first_name", "last_name")


def owned(runtime: Runtime, target: str) -> frozenset[str]:
    """The fields that this connection is the authority on, a name with its two halves."""
    names = {f for f, owner in runtime.project.file.authority.items() if owner == target}
    return frozenset(names | set(_HALVES) if "name" in names else names)


def held_there(
    runtime: Runtime, target: str, contacts: Iterable[ExternalId], names: Collection[str]
) -> dict[str, frozenset[str]]:
    """Of these fields, those that are not empty there, by record; a record that is gone has none.
    Raises WarmlineError where it cannot be read: then nothing may be written over."""
    ids = [contact.external_id for contact in contacts]
    if not ids:
        return {}
    connector: ReadsRecords = runtime.connectors[target]
    return {
        one.external_id: frozenset(name for name, text in one.fields.items() if text)
        for one in connector.records(ids, tuple(sorted(names)))
    }


def without(
    fields: Mapping[str, str], theirs: Collection[str], held: Collection[str]
) -> dict[str, str]:
    """The fields that may be written: ours, and theirs where nothing stands. `name` goes with its
    halves: the whole of it where neither half may be written."""
    kept = {name: text for name, text in fields.items() if name not in theirs or name not in held}
    if "name" in theirs and set(_HALVES) & set(held):
        for name in ("name", *_HALVES):
            kept.pop(name, None)
    return kept
