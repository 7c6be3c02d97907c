"""Sequences as an enrolment began them: every version that was ever loaded is kept with its files,
and an enrolment goes on with its own, whatever the project folder holds by now."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from warmline.config.project import Project
from warmline.config.sequences import LoadedSequence, compile_version
from warmline.core.errors import ConfigError
from warmline.core.mail import CompiledStep
from warmline.store.models import Enrolment, Message, SequenceVersion

log = logging.getLogger("warmline.versions")

# Compiled once a process. A version is named by the hash of its content, so what is kept under a
# name and a version never changes.
_compiled: dict[tuple[str, str], LoadedSequence] = {}
_COMPILED_MAX = 64


def keep(sequences: Iterable[LoadedSequence], now: datetime) -> None:
    """Keep those of these versions that the ledger does not have: somebody is enrolled in them.
    The caller holds the transaction."""
    wanted = {(one.sequence.name, one.sequence.version): one for one in sequences}
    rows = SequenceVersion.objects.filter(version__in={version for _, version in wanted})
    there = set(rows.values_list("sequence", "version"))
    SequenceVersion.objects.bulk_create(
        [
            SequenceVersion(
                sequence=name,
                version=version,
                files={"home": one.files.home, "texts": dict(one.files.texts)},
                since=now,
            )
            for (name, version), one in wanted.items()
            if (name, version) not in there
        ],
        ignore_conflicts=True,
    )


def sequence_of(project: Project, enrolment: Enrolment) -> LoadedSequence | None:
    """The sequence in the version that the enrolment began with; in the present one where that was
    never kept, or cannot be read any more; None where it is gone altogether."""
    present = project.sequences.get(enrolment.sequence)
    if present is not None and present.sequence.version == enrolment.version:
        return present
    return _kept(project, enrolment.sequence, enrolment.version) or present


def _kept(project: Project, name: str, version: str) -> LoadedSequence | None:
    if (name, version) in _compiled:
        return _compiled[name, version]
    row = SequenceVersion.objects.filter(sequence=name, version=version).first()
    if row is None:
        return None
    try:
        loaded = compile_version(row.files["home"], row.files["texts"], project.folder)
    except ConfigError as error:
        log.warning("action=compile_version sequence=%s version=%s: %s", name, version, error)
        return None
    if len(_compiled) >= _COMPILED_MAX:
        _compiled.clear()
    _compiled[name, version] = loaded
    return loaded


def letter_of(project: Project, enrolment: Enrolment, message: Message) -> CompiledStep:
    """The letter that this message is made of. A piece of the library is read as it is now: a new
    piece, or one that was mended, is for whoever is on the sequence already, too. Raises
    LookupError where it is gone."""
    loaded = sequence_of(project, enrolment)
    if loaded is None:
        raise LookupError(enrolment.sequence)
    step = loaded.sequence.step(message.step)
    name = message.piece or (step.name if step else "")
    present = project.sequences.get(enrolment.sequence)
    if "/" in name and present is not None and name in present.letters:
        return present.letters[name]
    if name in loaded.letters:
        return loaded.letters[name]
    # It was planned before somebody moved the enrolment to other files.
    rows = SequenceVersion.objects.filter(sequence=enrolment.sequence).order_by("-id")
    for version in rows.values_list("version", flat=True):
        other = _kept(project, enrolment.sequence, version)
        if other is not None and name in other.letters:
            return other.letters[name]
    raise LookupError(name)
