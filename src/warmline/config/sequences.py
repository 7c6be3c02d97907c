"""The sequence folders: `sequence.yaml`, the steps' Markdown and the layout, compiled at start."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from warmline.config.faults import first_fault
from warmline.config.letters import LAYOUT, read_letter
from warmline.config.yaml_lines import read_text, read_yaml
from warmline.core.errors import ConfigError
from warmline.core.mail import CompiledStep, TemplateError
from warmline.core.segments import Segment
from warmline.core.sequences import Sequence, Step, StepClass


class StepFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    day: int = Field(ge=0, le=3650)
    file: str
    step_class: StepClass = Field(alias="class", default=StepClass.MARKETING)


class SequenceFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=64)
    title: str = ""
    segment: Segment
    enrol_within_days: float = Field(default=2.0, gt=0)
    steps: tuple[StepFile, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class LoadedSequence:
    sequence: Sequence
    segment: Segment
    compiled: Mapping[int, CompiledStep]


def load_sequences(folder: Path) -> dict[str, LoadedSequence]:
    """Every sequence folder, by name. Raises ConfigError."""
    if not folder.is_dir():
        return {}
    layout_path = folder / LAYOUT
    found: dict[str, LoadedSequence] = {}
    for path in sorted(folder.glob("*/sequence.yaml")):
        if not layout_path.exists():
            raise ConfigError("is missing: every mail is set in it", file=str(layout_path))
        loaded = _load(path, read_text(layout_path))
        if loaded.sequence.name in found:
            raise ConfigError(f"two sequences are called {loaded.sequence.name!r}", file=str(path))
        found[loaded.sequence.name] = loaded
    return found


def _load(path: Path, layout: str) -> LoadedSequence:
    data, lines = read_yaml(path)
    try:
        file = SequenceFile.model_validate(data)
    except ValidationError as error:
        raise first_fault(error, path, lines) from None
    days = [step.day for step in file.steps]
    if days != sorted(days):
        raise ConfigError(
            f"the steps' days are {days}; expected them in ascending order",
            file=str(path),
            line=lines.of(("steps",)),
        )
    digest = hashlib.sha256(layout.encode())
    digest.update(path.read_bytes())
    steps: list[Step] = []
    compiled: dict[int, CompiledStep] = {}
    for number, step in enumerate(file.steps, start=1):
        step_path = path.parent / step.file
        if step_path.parent != path.parent or not step_path.is_file():
            raise ConfigError(
                f"steps.{number - 1}.file names {step.file!r}; expected a file in {path.parent}",
                file=str(path),
                line=lines.of(("steps", number - 1, "file")),
            )
        text = read_text(step_path)
        digest.update(text.encode())
        compiled[number] = _compile(step_path, layout, f"{file.name}/{step_path.stem}")
        steps.append(
            Step(number=number, day=step.day, name=step_path.stem, step_class=step.step_class)
        )
    return LoadedSequence(
        sequence=Sequence(
            name=file.name,
            title=file.title or file.name,
            version=digest.hexdigest()[:12],
            steps=tuple(steps),
            enrol_within_days=file.enrol_within_days,
        ),
        segment=file.segment,
        compiled=compiled,
    )


def _compile(path: Path, layout: str, name: str) -> CompiledStep:
    letter = replace(read_letter(path).letter, name=name)
    try:
        return letter.compiled(layout)
    except TemplateError as error:
        in_layout = error.part == "layout"
        raise ConfigError(
            f"{error.part}: found {error.found}; expected {error.expected}",
            file=str(path.parent.parent / LAYOUT if in_layout else path),
            line=error.line if in_layout else letter.line(error.part, error.line),
        ) from None
