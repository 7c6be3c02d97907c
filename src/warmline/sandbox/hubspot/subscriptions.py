"""Communication preferences v4: who may be mailed, kept by address and not by contact."""

from __future__ import annotations

from typing import Any

from warmline.sandbox.clock import Now, iso_ms

DEFINITIONS = (
    (1001, "Career news", "Stories and news from the teams that hire."),
    (1002, "Job alerts", "Open roles that fit a profile."),
    (1003, "One to one", "Personal messages from recruiters."),
)
STATES = frozenset({"SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"})
SELF = "CONTACT"  # the person did it themselves; an API may not undo that
API = "API"


class SubscriptionError(Exception):
    """The vendor answers 400 with this sentence."""


class Subscriptions:
    """Statuses by address. An address that nobody has spoken for has none."""

    def __init__(self, now: Now) -> None:
        """Nobody has subscribed or unsubscribed."""
        self._now = now
        self._states: dict[tuple[str, int], tuple[str, str, str]] = {}  # state, by, at
        self._left: dict[str, tuple[str, str]] = {}  # unsubscribed from all: by, at

    def definitions(self) -> list[dict[str, Any]]:
        """The kinds of mail."""
        return [
            {
                "id": str(number),
                "name": name,
                "description": text,
                "purpose": "Marketing",
                "communicationMethod": "Email",
                "isActive": True,
                "isDefault": number == DEFINITIONS[0][0],
                "isInternal": False,
                "businessUnitId": 0,
            }
            for number, name, text in DEFINITIONS
        ]

    def statuses(self, email: str) -> list[dict[str, Any]]:
        """Every kind of mail with its state for the address."""
        return [self._status(email.lower(), number, name) for number, name, _ in DEFINITIONS]

    def set(self, email: str, subscription_id: int, state: str, by: str = API) -> dict[str, Any]:
        """Write one state. Raises SubscriptionError."""
        names = {number: name for number, name, _ in DEFINITIONS}
        email = email.lower()
        if subscription_id not in names:
            raise SubscriptionError(f"Subscription {subscription_id} does not exist.")
        if state not in STATES:
            raise SubscriptionError(f"statusState must be one of {', '.join(sorted(STATES))}.")
        kept = self._states.get((email, subscription_id))
        left_themselves = (kept and kept[:2] == ("UNSUBSCRIBED", SELF)) or (
            self._left.get(email, ("", ""))[0] == SELF
        )
        if state == "SUBSCRIBED" and by == API and left_themselves:
            raise SubscriptionError(
                f"{email} has unsubscribed and cannot be resubscribed by the API."
            )
        self._states[email, subscription_id] = (state, by, iso_ms(self._now()))
        return self._status(email, subscription_id, names[subscription_id])

    def unsubscribe_all(self, email: str, by: str = API) -> None:
        """No more mail to this address; a person's own word is never weakened."""
        email = email.lower()
        if self._left.get(email, ("", ""))[0] != SELF:
            self._left[email] = (by, iso_ms(self._now()))

    def forget(self, email: str) -> None:
        """As if the address had never said no: somebody takes it back in the account."""
        self._left.pop(email.lower(), None)

    def none_at_all(self, email: str) -> bool:
        """Whether the address has opted out of everything."""
        return email.lower() in self._left

    def unsubscribed_from_all(self, email: str) -> list[dict[str, Any]]:
        """Empty when the address has not opted out of everything."""
        found = self._left.get(email.lower())
        if found is None:
            return []
        return [
            {
                "channel": "EMAIL",
                "status": "UNSUBSCRIBED",
                "wideStatusType": "PORTAL_WIDE",
                "subscriberIdString": email.lower(),
                "businessUnitId": 0,
                "source": found[0],
                "timestamp": found[1],
            }
        ]

    def _status(self, email: str, number: int, name: str) -> dict[str, Any]:
        state, by, at = self._states.get((email, number), ("NOT_SPECIFIED", "", None))
        if email in self._left:
            state, (by, at) = "UNSUBSCRIBED", self._left[email]
        return {
            "channel": "EMAIL",
            "subscriberIdString": email,
            "subscriptionId": number,
            "subscriptionName": name,
            "status": state,
            "source": by,
            "legalBasis": None,
            "legalBasisExplanation": None,
            "businessUnitId": 0,
            "timestamp": at,
        }
