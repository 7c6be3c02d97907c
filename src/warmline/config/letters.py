"""The letters' files: front matter and Markdown, in the folders beside the layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from warmline.config.yaml_lines import parse_yaml, read_text, read_yaml
from warmline.core.errors import ConfigError
from warmline.core.mail_lint import Letter

LAYOUT = "layout.mjml"
FRONT_MATTER = ("subject", "preheader", "topic")


@dataclass(frozen=True, slots=True)
class LetterFile:
    """One file. `letter.name` is `FOLDER/STEM`, as verbs and headers call it."""

    path: Path
    letter: Letter
    topic: str = ""


def letter_paths(sequences: Path) -> list[Path]:
    """Every letter below the folder, in order: those of sequences, and those of libraries."""
    return sorted(sequences.glob("*/*.md"))


def read_letter(path: Path) -> LetterFile:
    """The letter of a file. Raises ConfigError."""
    return letter_of_text(path, read_text(path))


def letter_of_text(path: Path, text: str) -> LetterFile:
    """Front matter (subject, preheader, topic) between two `---` lines, then the Markdown. Errors
    name `path`. Raises ConfigError."""
    head, body, first_line = split_front_matter(path, text)
    data, lines = parse_yaml(head, str(path), first_line=2)
    if not isinstance(data, dict) or not str(data.get("subject") or "").strip():
        raise ConfigError("expected `subject:` in the front matter", file=str(path), line=1)
    unknown = sorted(set(data) - set(FRONT_MATTER))
    if unknown:
        raise ConfigError(
            f"the front matter holds {unknown}; expected {', '.join(FRONT_MATTER)}",
            file=str(path),
            line=1,
        )
    subject_line = lines.of(("subject",)) or 2
    letter = Letter(
        name=f"{path.parent.name}/{path.stem}",
        subject=str(data["subject"]),
        preheader=str(data.get("preheader") or ""),
        body=body,
        subject_line=subject_line,
        preheader_line=lines.of(("preheader",)) or subject_line,
        first_line=first_line,
    )
    return LetterFile(path, letter, str(data.get("topic") or ""))


def find_letter(sequences: Path, name: str) -> LetterFile:
    """The letter called `SEQUENCE/STEP`: a folder or its sequence's name, and a file without its
    ending or a step's number. Raises ConfigError that names what there is."""
    group, slash, step = name.strip().removesuffix(".md").partition("/")
    folder = _folder(sequences, group)
    if folder is None or not slash:
        there = sorted({path.parent.name for path in letter_paths(sequences)})
        raise ConfigError(
            f"there is no letter {name!r}; expected SEQUENCE/STEP, with one of {there}",
            hint="such as welcome/1 or welcome/01-confirmation",
        )
    stems = _of_the_step(folder, int(step)) if step.isascii() and step.isdecimal() else [step]
    paths = [p for p in letter_paths(sequences) if p.parent == folder and p.stem in stems]
    if len(paths) > 1:
        said = " or ".join(f"{folder.name}/{path.stem}" for path in paths)
        raise ConfigError(f"step {step} of {group} has several letters; say which: {said}")
    if not paths:
        there = [path.stem for path in letter_paths(sequences) if path.parent == folder]
        raise ConfigError(f"{group} has no letter {step!r}; expected one of {there}")
    return read_letter(paths[0])


def _folder(sequences: Path, name: str) -> Path | None:
    for path in sorted({path.parent for path in letter_paths(sequences)}):
        if path.name == name:
            return path
    for path in sorted(sequences.glob("*/sequence.yaml")):
        data, _ = read_yaml(path)
        if isinstance(data, dict) and data.get("name") == name:
            return path.parent
    return None


def _of_the_step(folder: Path, number: int) -> list[str]:
    """The stems of a step's files, however many it may choose from; none where there is no such
    step."""
    path = folder / "sequence.yaml"
    data, _ = read_yaml(path) if path.exists() else ({}, None)
    steps = data.get("steps") if isinstance(data, dict) else None
    if not isinstance(steps, list) or not 0 < number <= len(steps):
        return []
    return [Path(name).stem for name in _files(steps[number - 1])]


def _files(found: object) -> list[str]:
    """Every Markdown file named below a step, whatever chooses between them."""
    if isinstance(found, dict):
        return [name for value in found.values() for name in _files(value)]
    if isinstance(found, list):
        return [name for value in found for name in _files(value)]
    return [found] if isinstance(found, str) and found.endswith(".md") else []


def split_front_matter(path: Path, text: str) -> tuple[str, str, int]:
    """The YAML, the Markdown, and the line where the Markdown begins."""
    parts = text.split("\n---", 1)
    if not text.startswith("---\n") or len(parts) != 2:
        raise ConfigError(
            "expected the file to begin with `---`, `subject: …`, `---`", file=str(path), line=1
        )
    body = parts[1].lstrip("-").removeprefix("\n")
    return parts[0][4:], body, text[: len(text) - len(body)].count("\n") + 1
