"""The call that an action failed with, kept on the action: redacted, bounded, and gone once it is
done."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from warmline.core.actions import Action as CoreAction
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.kit.exchange import Recorded
from warmline.store.db import writing
from warmline.store.models import Action

log = logging.getLogger("warmline.exchanges")

# A try that is put off is no failure yet; so many in a row are worth a look.
LONG_TRIES = 3
# Fields whose values are a person's.
_PERSONAL = ("name", "email", "recruiter_owner", "interviewer")


def keep_exchanges(
    token: str,
    claimed: Sequence[Action],
    outcomes: Mapping[int, Outcome],
    asked: Mapping[int, CoreAction],
    calls: Recorded,
) -> None:
    """Keep, for each action that failed, the call that says so. `asked`: those that were put to the
    connector. By compare-and-swap on the claim, like its outcome."""
    changed: list[tuple[int, dict[str, object] | None]] = []
    for row in claimed:
        outcome = outcomes[row.pk]
        if _failed(row, outcome):
            found = _of(asked[row.pk], calls) if row.pk in asked else None
            if found is not None or row.pk not in asked:
                changed.append((row.pk, found))
        elif outcome.kind is not OutcomeKind.LATER and row.exchange is not None:
            changed.append((row.pk, None))
    if not changed:
        return
    with writing():
        for pk, exchange in changed:
            Action.objects.filter(pk=pk, claimed_by=token).update(exchange=exchange)


def _failed(row: Action, outcome: Outcome) -> bool:
    if outcome.kind is OutcomeKind.LATER:
        return outcome.after_s is None and row.attempts + 1 >= LONG_TRIES
    return outcome.kind in (OutcomeKind.REFUSED, OutcomeKind.UNKNOWN)


def _of(core: CoreAction, calls: Recorded) -> dict[str, object] | None:
    records = (*(core.tags.records if core.tags else ()), *core.records)
    try:
        return calls.about(
            (core.contact.external_id, *core.contact.emails, *records), personal=_personal(core)
        )
    except Exception:  # what is shown to people must not stop the work
        log.exception("action=keep_exchange key=%s", core.key)
        return None


def _personal(core: CoreAction) -> set[str]:
    """Each value as a whole, and its words: vendors repeat a first name alone."""
    values = {core.fields.get(name, "") for name in _PERSONAL} | set(core.contact.emails)
    words = {word.strip(",;()") for value in values for word in value.split()}
    return {value for value in values | words if value}
