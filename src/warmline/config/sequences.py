"""The sequence folders: `sequence.yaml`, letters, library and layout, compiled at start.

A sequence is made of texts by path (`SequenceFiles`), whether they come from the project folder or
from the ledger, which keeps every version that an enrolment began with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from warmline.config.faults import first_fault
from warmline.config.letters import LAYOUT, letter_of_text
from warmline.config.sequence_file import SequenceFile, StepFile
from warmline.config.yaml_lines import Lines, parse_yaml, read_text
from warmline.core.conditions import BadCondition, Condition, checked
from warmline.core.errors import ConfigError
from warmline.core.mail import CompiledStep, TemplateError, compile_step
from warmline.core.segments import Segment
from warmline.core.sequences import HELD_BACK, STEP_SPEAKS_OF, Branch, Monthly, Sequence, Step

FILE = "sequence.yaml"
HERE = "warmline"  # the value of `in:` for a sequence that lives here


@dataclass(frozen=True, slots=True)
class SequenceFiles:
    """The texts of one sequence, by path below the folder of all sequences; `home` is its own
    folder's name, `root` where they were read, for errors."""

    home: str
    texts: Mapping[str, str]
    root: Path

    @property
    def version(self) -> str:
        """Other content, other version. The library is not part of it: new pieces are for whoever
        is on the sequence already, too."""
        digest = hashlib.sha256()
        for name in sorted(self.texts):
            if name == LAYOUT or name.startswith(f"{self.home}/"):
                digest.update(name.encode() + b"\0" + self.texts[name].encode() + b"\0")
        return digest.hexdigest()[:12]

    def path(self, name: str) -> Path:
        return self.root / name


@dataclass(frozen=True, slots=True)
class LoadedSequence:
    """`letters` by the name of their file without its ending; those of the library as
    `library/name`. `topics`: of the letters that have one."""

    sequence: Sequence
    segment: Segment
    letters: Mapping[str, CompiledStep]
    files: SequenceFiles
    topics: Mapping[str, str] = field(default_factory=dict)
    lines: Lines = field(default_factory=Lines, repr=False, compare=False)

    def line_of(self, key: str) -> int | None:
        """Where a key of `sequence.yaml` stands."""
        return self.lines.of((key,))


def load_sequences(folder: Path) -> dict[str, LoadedSequence]:
    """Every sequence folder, by name. Raises ConfigError."""
    if not folder.is_dir():
        return {}
    found: dict[str, LoadedSequence] = {}
    for path in sorted(folder.glob(f"*/{FILE}")):
        loaded = _Reader(_gather(folder, path)).loaded()
        if loaded.sequence.name in found:
            raise ConfigError(f"two sequences are called {loaded.sequence.name!r}", file=str(path))
        found[loaded.sequence.name] = loaded
    return found


def compile_version(home: str, texts: Mapping[str, str], root: Path) -> LoadedSequence:
    """A version that the ledger kept. Raises ConfigError where this Warmline cannot read it."""
    return _Reader(SequenceFiles(home, texts, root)).loaded()


def _gather(folder: Path, path: Path) -> SequenceFiles:
    """Every text that the sequence may name: its own letters, the library's, the layout."""
    home = path.parent.name
    texts = {f"{home}/{FILE}": read_text(path)}
    if not (folder / LAYOUT).exists():
        raise ConfigError("is missing: every mail is set in it", file=str(folder / LAYOUT))
    texts[LAYOUT] = read_text(folder / LAYOUT)
    data, _ = parse_yaml(texts[f"{home}/{FILE}"], str(path))
    for name in _named_files(data):
        letter = path.parent / name
        if letter.parent == path.parent and letter.is_file():
            texts[f"{home}/{name}"] = read_text(letter)
    library = (data.get("monthly") or {}) if isinstance(data, dict) else {}
    named = library.get("library") if isinstance(library, dict) else None
    if isinstance(named, str) and named.isidentifier():
        for piece in sorted((folder / named).glob("*.md")):
            texts[f"{named}/{piece.name}"] = read_text(piece)
    return SequenceFiles(home, texts, folder)


def _named_files(data: object) -> Iterator[str]:
    """Whatever the steps name, in a file that is not checked yet."""
    steps = data.get("steps") if isinstance(data, dict) else None
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict):
            continue
        branches, variants = step.get("branches"), step.get("variants")
        rows = [step, *(branches if isinstance(branches, list) else [])]
        names = [row.get("file") for row in rows if isinstance(row, dict)]
        names += list(variants.values()) if isinstance(variants, dict) else []
        yield from (name for name in names if isinstance(name, str) and name)


class _Reader:
    """One sequence, from its texts."""

    def __init__(self, files: SequenceFiles) -> None:
        self._files = files
        self._path = files.path(f"{files.home}/{FILE}")
        self._letters: dict[str, CompiledStep] = {}
        self._topics: dict[str, str] = {}
        data, self._lines = parse_yaml(files.texts[f"{files.home}/{FILE}"], str(self._path))
        try:
            self._file = SequenceFile.model_validate(data)
        except ValidationError as error:
            raise first_fault(error, self._path, self._lines) from None

    def loaded(self) -> LoadedSequence:
        file = self._file
        hosted = file.lives_in != HERE
        self._check_shape(hosted=hosted)
        sequence = Sequence(
            name=file.name,
            title=file.title or file.name,
            version=self._files.version,
            steps=tuple(self._step(number, row) for number, row in enumerate(file.steps, start=1)),
            enrol_within_days=file.enrol_within_days,
            priority=file.priority,
            reentry_days=file.reentry_days,
            exits=frozenset(file.exits),
            hold=self._condition(file.hold, ("hold",)) if file.hold else None,
            window=file.window.window() if file.window else None,
            monthly=self._monthly(),
            target=file.lives_in if hosted else "",
            host={str(key): str(value) for key, value in file.options.items()},
        )
        return LoadedSequence(
            sequence, file.segment, self._letters, self._files, self._topics, self._lines
        )

    def _fail(self, where: tuple[str | int, ...], reason: str) -> ConfigError:
        return ConfigError(reason, file=str(self._path), line=self._lines.of(where))

    def _check_shape(self, *, hosted: bool) -> None:
        file = self._file
        if not hosted and file.options:
            raise self._fail(("with",), "with is for a sequence that lives in a CRM (`in:`)")
        if hosted and (file.steps or file.monthly):
            part = "steps" if file.steps else "monthly"
            raise self._fail(
                (part,),
                f"{part} of a sequence that lives in {file.lives_in!r}; expected none: its steps "
                "are kept there",
            )
        if not hosted and not file.steps:
            raise self._fail(("steps",), "steps is missing, or empty; expected at least one step")
        days = [step.day for step in file.steps]
        if days != sorted(days):
            raise self._fail(
                ("steps",), f"the steps' days are {days}; expected them in ascending order"
            )
        if file.monthly and days and file.monthly.from_day <= days[-1]:
            raise self._fail(
                ("monthly", "from_day"),
                f"monthly.from_day is {file.monthly.from_day}; expected a day after the last "
                f"step's, {days[-1]}",
            )

    def _step(self, number: int, row: StepFile) -> Step:
        at: tuple[str | int, ...] = ("steps", number - 1)
        ways = [way for way in ("branches", "variants") if getattr(row, way)]
        ways += ["file"] if row.file is not None else []
        if len(ways) != 1:
            raise self._fail(
                at,
                f"step {number} has {' and '.join(ways) or 'no letter'}; expected one of file, "
                "branches and variants",
            )
        branches = tuple(self._branch((*at, "branches"), i, row) for i in range(len(row.branches)))
        variants = tuple(
            (name, self._letter(file, (*at, "variants", name)))
            for name, file in row.variants.items()
        )
        if variants and (len(variants) < 2 or HELD_BACK in row.variants):
            raise self._fail(
                (*at, "variants"),
                f"the variants are {sorted(row.variants)}; expected at least two, and none called "
                f"{HELD_BACK!r}: `holdout:` gives its share",
            )
        used = [b.letter for b in branches] + [letter for _, letter in variants]
        if len(set(used)) < len(used):
            twice = next(one for one in used if used.count(one) > 1)
            raise self._fail(
                at, f"step {number} names the letter {twice!r} twice; expected another one each"
            )
        name = self._letter(row.file, (*at, "file")) if row.file is not None else f"step-{number}"
        return Step(number, row.day, name, row.step_class, branches, variants, holdout=row.holdout)

    def _branch(self, at: tuple[str | int, ...], i: int, row: StepFile) -> Branch:
        branch, last = row.branches[i], len(row.branches) - 1
        if not branch.when and i < last:
            raise self._fail(
                (*at, i),
                f"branch {i + 1} has no `when:` and takes everybody, so that those after it are "
                "never reached; only the last one may",
            )
        when = self._condition(branch.when, (*at, i, "when")) if branch.when else None
        return Branch(self._letter(branch.file, (*at, i, "file")), when)

    def _condition(self, text: str, where: tuple[str | int, ...]) -> Condition:
        try:
            return checked(text, STEP_SPEAKS_OF)
        except BadCondition as error:
            names = ", ".join(STEP_SPEAKS_OF)
            raise self._fail(
                where, f"{where[-1]} is {text!r}: {error}; expected CEL over {names}"
            ) from None

    def _letter(self, name: str, where: tuple[str | int, ...]) -> str:
        """Compile a letter of the sequence's own folder; returns what it is called."""
        key = f"{self._files.home}/{name}"
        text = self._files.texts.get(key)
        if text is None or name == FILE:
            dotted = ".".join(map(str, where))
            raise self._fail(
                where, f"{dotted} names {name!r}; expected a file in {self._path.parent}"
            )
        stem = Path(name).stem
        self._compile(stem, key, text)
        return stem

    def _monthly(self) -> Monthly | None:
        row = self._file.monthly
        if row is None:
            return None
        pieces = [name for name in self._files.texts if name.startswith(f"{row.library}/")]
        if not pieces:
            raise self._fail(
                ("monthly", "library"),
                f"monthly.library is {row.library!r}; expected a folder in {self._files.root} with "
                "at least one piece (*.md)",
            )
        names = [name.removesuffix(".md") for name in sorted(pieces)]
        for name in names:
            self._compile(name, f"{name}.md", self._files.texts[f"{name}.md"])
        topics = {name: self._topics[name] for name in names if name in self._topics}
        return Monthly(row.step_class, row.from_day, row.every_days, tuple(names), topics)

    def _compile(self, called: str, key: str, text: str) -> None:
        if called in self._letters:
            return
        path = self._files.path(key)
        read = letter_of_text(path, text)
        letter = read.letter
        try:
            self._letters[called] = compile_step(
                name=letter.name,
                subject=letter.subject,
                preheader=letter.preheader,
                body=letter.body,
                layout=self._files.texts[LAYOUT],
                first_line=letter.first_line,
            )
        except TemplateError as error:
            in_layout = error.part == "layout"
            raise ConfigError(
                f"{error.part}: found {error.found}; expected {error.expected}",
                file=str(self._files.path(LAYOUT) if in_layout else path),
                line=error.line,
            ) from None
        if read.topic:
            self._topics[called] = read.topic
