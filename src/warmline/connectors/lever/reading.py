"""Records as the ledger keeps them: an opportunity with its names, an opportunity's interviews.

What nobody needs is left out: answers to questions, the text of feedback, where an applicant sat.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from warmline.connectors.lever.api import Account, Row, is_id
from warmline.ports import Record

OPPORTUNITIES, INTERVIEWS, DELETED = "opportunities", "interviews", "deleted"

_OF_OPPORTUNITY = (
    "id", "name", "contact", "stage", "stageChanges", "location", "phones", "emails", "links",
    "archived", "tags", "origin", "createdAt", "updatedAt", "lastInteractionAt", "lastAdvancedAt",
    "urls", "isAnonymized", "dataProtection",
)  # fmt: skip
_OF_APPLICATION = ("id", "type", "posting", "createdAt")
_OF_INTERVIEW = (
    "id", "interviewers", "date", "duration", "location", "conferences", "canceledAt", "stage",
)  # fmt: skip
_OF_FEEDBACK = ("id", "user", "interview", "completedAt", "deletedAt")


class Reading:
    """Of one account. `hint` is the token of the webhook that has something read."""

    def __init__(self, account: Account, *, now: Callable[[], datetime]) -> None:
        self._account = account
        self._now = now

    def opportunity(self, row: Row, hint: str = "") -> Record:
        """Joined with the names behind its ids."""
        account = self._account
        kept = _some(row, _OF_OPPORTUNITY)
        made = row.get("applications")
        if isinstance(made, list):
            kept["applications"] = [
                _some(one, _OF_APPLICATION) if isinstance(one, dict) else one for one in made
            ]
        posting = next((p for a in _dicts(made) if is_id(p := a.get("posting"))), None)
        owner = row.get("owner")
        joined: Row = {
            "opportunity": kept,
            "posting": _some_or_none(
                account.named(f"postings/{posting}") if posting else None,
                ("id", "text", "categories"),
            )
            or ({"id": posting} if posting else None),
            "owner": _user(account.named(f"users/{owner}") if is_id(owner) else None),
            "stages": self._stages(row),
        }
        archived = row.get("archived")
        if isinstance(archived, dict):
            reason = archived.get("reason")
            hired = account.listed("archive_reasons", type="hired")
            joined["hired"] = reason in hired
            named = hired.get(str(reason)) or (
                account.named(f"archive_reasons/{reason}") if is_id(reason) else None
            )
            joined["reason"] = (named or {}).get("text")
        return self._record(OPPORTUNITIES, row, joined, hint)

    def interviews(self, row: Row, hint: str = "", removed: Iterable[str] = ()) -> Record | None:
        """Of one opportunity: its appointments, and the feedback on them. None where it has
        none: most have none. Two calls at most."""
        path = f"opportunities/{row['id']}"
        found = list(self._account.rows(f"{path}/interviews"))
        gone = list(removed)
        if not found and not gone:
            return None
        joined: Row = {
            "opportunity": _some(row, ("id", "contact", "updatedAt")),
            "interviews": [_some(one, _OF_INTERVIEW) for one in found],
            "removed": gone,
            "feedback": [],
            "users": {},
        }
        if any(one.get("feedbackForms") for one in found):
            forms = list(self._account.rows(f"{path}/feedback"))
            joined["feedback"] = [
                {**_some(one, _OF_FEEDBACK), "rating": _rating(one)} for one in forms
            ]
            whose = {user for one in forms if is_id(user := one.get("user"))}
            joined["users"] = {
                number: _user(self._account.named(f"users/{number}")) for number in sorted(whose)
            }
        return self._record(INTERVIEWS, row, joined, hint)

    def deleted(self, opportunity: str = "", contact: str = "") -> Record:
        """`contact` where no opportunity of the person is left."""
        said = {"opportunity": opportunity or None, "contact": contact or None}
        body = json.dumps(said, separators=(",", ":")).encode()
        return Record(f"{DELETED}:{opportunity}:{contact}", body)

    def _stages(self, row: Row) -> Row:
        """The names of every stage that it stood at."""
        stage = row.get("stage")
        ids = {stage.get("id") if isinstance(stage, dict) else stage}
        ids |= {change.get("toStageId") for change in _dicts(row.get("stageChanges"))}
        known = self._account.listed("stages")
        named = {}
        for number in sorted(filter(is_id, ids)):  # a retired stage is in no list
            found = known.get(number) or self._account.named(f"stages/{number}")
            named[number] = (found or {}).get("text")
        return named

    def _record(self, stream: str, row: Row, joined: Row, hint: str) -> Record:
        """The key is that of what Lever said, whenever it was read; a webhook's is its own."""
        plain = json.dumps(joined, separators=(",", ":"), sort_keys=True).encode()
        key = f"{stream}:{row.get('id')}:{hashlib.sha256(plain).hexdigest()[:40]}"
        read_at = int(self._now().timestamp() * 1000)
        whole = {**joined, "read_at": read_at, **({"hint": hint} if hint else {})}
        body = json.dumps(whole, separators=(",", ":")).encode()
        return Record(f"{key}:{hint}" if hint else key, body)


def _rating(feedback: Row) -> object:
    """The answer to the overall question, in Lever's words."""
    fields = _dicts(feedback.get("fields"))
    return next((one.get("value") for one in fields if one.get("type") == "score-system"), None)


def _user(row: Row | None) -> Row | None:
    return _some_or_none(row, ("id", "name", "email"))


def _some_or_none(row: Row | None, keys: Iterable[str]) -> Row | None:
    return None if row is None else _some(row, keys)


def _some(row: Row, keys: Iterable[str]) -> Row:
    return {key: row[key] for key in keys if key in row}


def _dicts(found: Any) -> list[Row]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
