"""Two versions of a project, played on the same copy: which mails differ, as a pull request would
show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from warmline.flows.simulate.findings import Mail, Simulation

# Two simulations stop at the same quarters of an hour.
_MOVED_S = 15 * 60
SHOWN_MAX = 12


class Kind(StrEnum):
    """What a change of the project does to one mail."""

    ADDED = "added"  # it leaves, and did not before
    REMOVED = "removed"  # it left before, and does not any more
    MOVED = "moved"  # it leaves at another time
    SUBJECT = "subject"  # it has another subject
    TEXT = "text"  # its words are others
    SENDER = "sender"  # it comes from another address


@dataclass(frozen=True, slots=True)
class Change:
    """One mail that differs. `before` or `after` is None where there is none that leaves; `why`
    says why it does not any more, where the policy says so."""

    kind: Kind
    before: Mail | None
    after: Mail | None
    why: str = ""

    @property
    def mail(self) -> Mail:
        mail = self.after or self.before
        assert mail is not None  # noqa: S101 - one of the two is there
        return mail

    @property
    def shift_days(self) -> float:
        if self.before is None or self.after is None:
            return 0.0
        return (self.after.at - self.before.at).total_seconds() / 86400


@dataclass(slots=True)
class Part:
    """What changes in one step (or one piece) of a sequence."""

    sequence: str
    piece: str
    sent_before: int = 0
    sent_after: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    people: set[int] = field(default_factory=set)
    shifts: list[float] = field(default_factory=list)
    subjects: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def shift_days(self) -> float:
        return median(self.shifts) if self.shifts else 0.0


@dataclass(slots=True)
class Comparison:
    old: str
    before: Simulation
    after: Simulation
    changes: list[Change] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    @property
    def people(self) -> int:
        return len({change.mail.candidate for change in self.changes})

    @property
    def counts(self) -> Counter[Kind]:
        return Counter(change.kind for change in self.changes)


_Key = tuple[int, str, str, int]


def compare(old: str, before: Simulation, after: Simulation) -> Comparison:
    found = Comparison(old, before, after)
    was, now, kept = _by_key(before.sent), _by_key(after.sent), _by_key(after.kept)
    parts: dict[tuple[str, str], Part] = {}

    def part(mail: Mail) -> Part:
        return parts.setdefault((mail.sequence, mail.piece), Part(mail.sequence, mail.piece))

    for key in sorted({*was, *now}):
        one, other = was.get(key), now.get(key)
        there = part(other or one)  # type: ignore[arg-type]  # one of the two is there
        there.sent_before += one is not None
        there.sent_after += other is not None
        for change in _changes(one, other, kept.get(key)):
            found.changes.append(change)
            _count(there, change)
    found.parts = sorted(
        (one for one in parts.values() if one.counts), key=lambda p: (p.sequence, p.piece)
    )
    return found


def _by_key(mails: Iterable[Mail]) -> Mapping[_Key, Mail]:
    """By person and piece, so that a step more moves no other; a piece that somebody gets twice is
    counted."""
    times: Counter[tuple[int, str, str]] = Counter()
    found: dict[_Key, Mail] = {}
    for mail in mails:
        named = (mail.candidate, mail.sequence, mail.piece)
        found[(*named, times[named])] = mail
        times[named] += 1
    return found


def _changes(one: Mail | None, other: Mail | None, kept: Mail | None) -> list[Change]:
    if one is None:
        return [Change(Kind.ADDED, None, other)]
    if other is None:
        why = f"{kept.fate}: {kept.reason}" if kept is not None and kept.reason else ""
        return [Change(Kind.REMOVED, one, None, why)]
    found = []
    if abs((other.at - one.at).total_seconds()) >= _MOVED_S:
        found.append(Kind.MOVED)
    if one.subject != other.subject:
        found.append(Kind.SUBJECT)
    if one.words != other.words and one.local[:10] == other.local[:10]:
        found.append(Kind.TEXT)  # on another day a letter may well say another date
    if one.sender != other.sender:
        found.append(Kind.SENDER)
    return [Change(kind, one, other) for kind in found]


def _count(part: Part, change: Change) -> None:
    part.counts[change.kind] += 1
    part.people.add(change.mail.candidate)
    if change.kind is Kind.MOVED:
        part.shifts.append(change.shift_days)
    if change.kind is Kind.SUBJECT and change.before and change.after:
        part.subjects[(change.before.subject, change.after.subject)] += 1
    if change.kind is Kind.REMOVED:
        part.reasons[change.why or "no such mail any more"] += 1


def markdown(found: Comparison) -> str:
    """For a comment on a pull request: figures and letters, nobody's name and no address."""
    after, totals = found.after, found.counts
    lines = [
        f"### Warmline: {after.days} days simulated, against `{_cell(found.old)}`",
        "",
        f"{after.people:,} people in the ledger.",
        f"Mails: {len(found.before.sent):,} before, {len(after.sent):,} now.",
        "",
    ]
    if not found.changes:
        return "\n".join([*lines, "No mail changes.", ""])
    said = ", ".join(f"{totals[kind]:,} {_WORDS[kind]}" for kind in Kind if totals[kind])
    lines += [f"**{said}**; {found.people:,} people are affected.", ""]
    columns = ["sequence", "piece", "before", "now", *map(str, Kind), "people"]
    lines += [f"| {' | '.join(columns)} |", "|---|---|" + "--:|" * (len(columns) - 2)]
    for part in found.parts:
        counts = [f"{part.counts[kind]:,}" for kind in Kind]
        if part.shifts:
            counts[list(Kind).index(Kind.MOVED)] += f" ({part.shift_days:+.1f} days)"
        sent = [f"{part.sent_before:,}", f"{part.sent_after:,}"]
        cells = [_cell(part.sequence), _cell(part.piece), *sent, *counts, f"{len(part.people):,}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for part in found.parts:
        where = f"{_cell(part.sequence)}/{_cell(part.piece)}"
        for (one, other), n in part.subjects.most_common(SHOWN_MAX):
            lines.append(f"- {where}: subject “{_cell(one)}” becomes “{_cell(other)}” ({n:,})")
        for why, n in part.reasons.most_common(SHOWN_MAX):
            lines.append(f"- {where}: {n:,} no longer leave: {_cell(why)}")
    return "\n".join([*lines, "", f"_{NOT_PLAYED}_", ""])


NOT_PLAYED = "Clicks, replies and new applications are not simulated."
_WORDS = {
    Kind.ADDED: "mails added",
    Kind.REMOVED: "removed",
    Kind.MOVED: "moved",
    Kind.SUBJECT: "with another subject",
    Kind.TEXT: "with other words",
    Kind.SENDER: "from another sender",
}
_MARKUP = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#"} | {"\n": " ", "\r": " "})


def _cell(text: str) -> str:
    """As it stands, and never markup: a candidate's name may be in a subject."""
    return text.translate(_MARKUP)
