"""Errors say what to do next and who must act.

`who`: `operator` must change something; `vendor` trouble passes or must be reported there;
`nobody` means that Warmline goes on by itself.
"""

from __future__ import annotations


class WarmlineError(Exception):
    """Base of all: its text is fit for a user. It never holds a secret or an address."""

    who = "operator"

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class ConfigError(WarmlineError):
    """The project folder is wrong: where, what was found, what was expected."""

    def __init__(
        self, reason: str, *, file: str = "", line: int | None = None, hint: str = ""
    ) -> None:
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{place}{reason}", hint=hint)
        self.file = file
        self.line = line


class BadSignature(WarmlineError):
    """A delivery that its sender did not sign, or signed with another secret."""


class Malformed(WarmlineError):
    """Bytes that are not what the vendor documents: where, what was found and expected."""

    who = "vendor"


class AuthFailed(WarmlineError):
    """The vendor refused our credentials."""


class Throttled(WarmlineError):
    """The vendor asks us to wait `after_s` seconds."""

    who = "nobody"

    def __init__(self, reason: str, *, after_s: float) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Unreachable(WarmlineError):
    """Nothing was sent, or the vendor said it did nothing: safe to try again."""

    who = "nobody"


class Refused(WarmlineError):
    """The vendor said no, and would say so again. `status` is its HTTP or SMTP code."""

    def __init__(self, reason: str, *, status: int | None = None, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.status = status


class Unsure(WarmlineError):
    """It was sent and no answer came: `find` first, then decide."""

    who = "nobody"
