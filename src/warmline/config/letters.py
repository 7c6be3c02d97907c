"""The letters' files: front matter and Markdown, in the folders beside the layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from warmline.config.yaml_lines import parse_yaml, read_text
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
    """Front matter (subject, preheader, topic) between two `---` lines, then the Markdown. Raises
    ConfigError."""
    text = read_text(path)
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


def split_front_matter(path: Path, text: str) -> tuple[str, str, int]:
    """The YAML, the Markdown, and the line where the Markdown begins."""
    parts = text.split("\n---", 1)
    if not text.startswith("---\n") or len(parts) != 2:
        raise ConfigError(
            "expected the file to begin with `---`, `subject: …`, `---`", file=str(path), line=1
        )
    body = parts[1].lstrip("-").removeprefix("\n")
    return parts[0][4:], body, text[: len(text) - len(body)].count("\n") + 1
