"""One flaw each: connectors that break the contract in one place, and the check that finds it."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.contract.hostile.toy import Toy, deliveries, subject, toy_manifest
from warmline.core.actions import Action, ActionKind
from warmline.core.errors import (
    AuthFailed,
    BadSignature,
    Malformed,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
    WarmlineError,
)
from warmline.core.events import Event, EventKind
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.kit.manifest import Setting
from warmline.ports import Envelope, Finding, Hosted, Needs, Page, Received, Record, Standing
from warmline.testing.contract import Parsing, Subject

# Signatures


class LaxSignature(Toy):
    """Lets everything in."""

    def verify(self, received: Received, *, now: datetime) -> None:
        return


class SignsTheStart(Toy):
    """Looks at the first bytes of the body only."""

    def verify(self, received: Received, *, now: datetime) -> None:
        if received.body[:8] != b'{"action' and received.body[:6] != b'{"type':
            raise BadSignature("another body")


class NoSignatureNeeded(Toy):
    """Where there is no signature, none is compared."""

    def verify(self, received: Received, *, now: datetime) -> None:
        if "x-toy-signature" in received.headers:
            super().verify(received, now=now)


class CrashesOnSignatures(Toy):
    """A signature that is no hexadecimal number is a traceback."""

    def verify(self, received: Received, *, now: datetime) -> None:
        int(received.headers.get("x-toy-signature", "0"), 16)
        super().verify(received, now=now)


class RefusesTheVendor(Toy):
    def verify(self, received: Received, *, now: datetime) -> None:
        raise BadSignature("no")


class KeyOfTheMoment(Toy):
    """A delivery is another one whenever it comes."""

    def delivery_key(self, received: Received) -> str:
        return received.received_at.isoformat()


class AnyTime(Toy):
    """A delivery of last year is as good as one of now."""

    def verify(self, received: Received, *, now: datetime) -> None:
        stamp = received.headers.get("x-toy-timestamp", "0")
        super().verify(received, now=datetime.fromtimestamp(float(stamp), now.tzinfo))


class TellsTheSignature(Toy):
    """An error that says what the signature should have been."""

    def verify(self, received: Received, *, now: datetime) -> None:
        try:
            super().verify(received, now=now)
        except BadSignature as error:
            raise BadSignature(f"{error}: {self.options.secrets['signing_secret']}") from None


# Events


class AnotherEvent(Toy):
    """The fixtures are parsed to something else than the golden files hold."""

    def parse(self, received: Received) -> list[Event]:
        return [replace(event, fields={"more": "x"}) for event in super().parse(received)]


class UndeclaredEvent(Toy):
    def parse(self, received: Received) -> list[Event]:
        told = super().parse(received)
        return [*told, *(replace(e, kind=EventKind.MESSAGE_OPENED, key=e.key + ":o") for e in told)]


class KeysOfTheMoment(Toy):
    """A key that holds the time of arrival: a repeat is another event."""

    def parse(self, received: Received) -> list[Event]:
        mark = received.received_at.isoformat()
        return [replace(event, key=event.key + mark) for event in super().parse(received)]


class CountingKeys(Toy):
    """A key that counts: the order of deliveries makes it."""

    counted = 0

    def parse(self, received: Received) -> list[Event]:
        self.counted += 1
        return [replace(e, key=f"{e.key}:{self.counted}") for e in super().parse(received)]


class KeysOfTheTry(Toy):
    """A key that holds the vendor's count of its tries."""

    def parse(self, received: Received) -> list[Event]:
        tries = json.loads(received.body).get("try", 1)
        return [replace(event, key=f"{event.key}:{tries}") for event in super().parse(received)]


class OneKeyForTwo(Toy):
    def parse(self, received: Received) -> list[Event]:
        return super().parse(received) * 2


class UnknownWordsFail(Toy):
    """A word that nobody knows is an error."""

    def parse(self, received: Received) -> list[Event]:
        events = super().parse(received)
        if any(event.kind is EventKind.UNKNOWN for event in events):
            raise Malformed("$.type: found another word")
        return events


class UnknownWordsVanish(Toy):
    def parse(self, received: Received) -> list[Event]:
        return [e for e in super().parse(received) if e.kind is not EventKind.UNKNOWN]


class CrashesOnRubbish(Toy):
    """What is no JSON is a traceback."""

    def parse(self, received: Received) -> list[Event]:
        json.loads(received.body)
        return super().parse(received)


class RubbishIsNothing(Toy):
    """What is no JSON passes as a delivery without events."""

    def parse(self, received: Received) -> list[Event]:
        try:
            return super().parse(received)
        except Malformed:
            return []


class CrashesOnMissingKeys(Toy):
    """A key that some payloads lack is read all the same."""

    def parse(self, received: Received) -> list[Event]:
        events = super().parse(received)
        json.loads(received.body)["contact"]["email"].lower()
        return events


class NamesNoPlace(Toy):
    """Something is wrong somewhere."""

    def parse(self, received: Received) -> list[Event]:
        try:
            return super().parse(received)
        except Malformed:
            raise Malformed("the webhook cannot be read") from None


class NamesAnotherPlace(Toy):
    def parse(self, received: Received) -> list[Event]:
        try:
            return super().parse(received)
        except Malformed:
            raise Malformed("$.contact.phone: found nothing") from None


class QuotesTheBody(Toy):
    """An error that repeats what it found, addresses and all."""

    def parse(self, received: Received) -> list[Event]:
        try:
            return super().parse(received)
        except Malformed as error:
            raise Malformed(f"{error}: {received.body[:500]!r}") from None


class KeepsHalfCharacters(Toy):
    """Text that no database keeps."""

    def text(self, found: Mapping[str, Any], name: str, where: str = "$") -> str:
        super().text(found, name, where)
        value: str = found[name]
        return value


# Actions


class AppliesEverything(Toy):
    """An action of a kind that it does not declare is done as if it were its own."""

    def guarded(self, action: Action) -> Outcome:
        return super().guarded(replace(action, kind=ActionKind.CONTACT_UPSERT))


class AsksBeforeItRefuses(Toy):
    """Looks the contact up, and only then sees that it cannot do such an action."""

    def guarded(self, action: Action) -> Outcome:
        self.read("anybody")
        return super().guarded(action)


class SortsOutcomes(Toy):
    """Outcomes in the order of the addresses, not of the actions."""

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        return sorted(super().apply(actions), key=lambda outcome: outcome.kind)


class LosesOutcomes(Toy):
    """One that was there already is not told of."""

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        return [one for one in super().apply(actions) if one.kind is not OutcomeKind.REFUSED]


class AlwaysCreates(Toy):
    """Never looks before it creates."""

    def there(self, action: Action) -> dict[str, Any]:
        return {}

    def write(self, email: str, stage: str) -> dict[str, Any]:
        return self.call("POST", "/contacts/new", {"email": email, "stage": stage})


class RemembersWhatItDid(Toy):
    """Idempotent by memory, so a restart does it twice."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.did: dict[str, Outcome] = {}

    def one(self, action: Action) -> Outcome:
        if action.key not in self.did:
            email, stage = action.contact.emails[0], action.fields["stage"]
            made = self.call("POST", "/contacts/new", {"email": email, "stage": stage})
            self.did[action.key] = self.written(made)
        return self.did[action.key]


class FindsNothing(Toy):
    def find(self, action: Action) -> Outcome | None:
        return None


class FindsAnything(Toy):
    """Somebody has the address, so it must have happened."""

    def find(self, action: Action) -> Outcome | None:
        return Outcome(OutcomeKind.DONE)


class FindsTheContact(Toy):
    """The contact is there, so it must have been written: but somebody took the stage back."""

    def find(self, action: Action) -> Outcome | None:
        there = self.read(action.contact.emails[0])
        return Outcome(OutcomeKind.DONE, external_id=there["id"]) if there else None


class NotesBlindly(Toy):
    """Two steps, and the first is taken again when the second one was lost."""

    def one(self, action: Action) -> Outcome:
        email, stage = action.contact.emails[0], action.fields["stage"]
        if self.there(action).get("stage") == stage:
            return Outcome(OutcomeKind.ALREADY_DONE)
        self.written(self.call("POST", "/contacts/new", {"email": email, "stage": "a note"}))
        return self.written(self.write(email, stage))


# Answers


class BelievesTwoHundred(Toy):
    """2xx is done, whatever stands in it."""

    def written(self, made: Mapping[str, Any]) -> Outcome:
        return Outcome(OutcomeKind.DONE)


class BelievesAnySilence(Toy):
    """No answer, no error."""

    def outcome_of(self, error: WarmlineError) -> Outcome:
        return Outcome(OutcomeKind.DONE) if isinstance(error, Unsure) else super().outcome_of(error)


class RepeatsWhatIsInDoubt(Toy):
    """A lost answer to a write is `later`: it is done again, blindly."""

    def outcome_of(self, error: WarmlineError) -> Outcome:
        found = super().outcome_of(error)
        return replace(found, kind=OutcomeKind.LATER) if isinstance(error, Unsure) else found


class DoubtsEverything(Toy):
    """A read that failed leaves a doubt, though nothing was written."""

    def outcome_of(self, error: WarmlineError) -> Outcome:
        found = super().outcome_of(error)
        doubt = isinstance(error, Unreachable | Unsure)
        return replace(found, kind=OutcomeKind.UNKNOWN) if doubt else found


class RaisesRefused(Toy):
    """One action's refusal takes the whole call down."""

    def outcome_of(self, error: WarmlineError) -> Outcome:
        if isinstance(error, Refused):
            raise error
        return super().outcome_of(error)


class ReadsWhatIsNotThere(Toy):
    """A key of the answer is read before it is looked at."""

    def written(self, made: Mapping[str, Any]) -> Outcome:
        return Outcome(OutcomeKind.DONE, external_id=made["id"])


class ForgetsTheSeconds(Toy):
    """Told when to come again, it does not pass it on."""

    def outcome_of(self, error: WarmlineError) -> Outcome:
        return replace(super().outcome_of(error), after_s=None)


class ComesEarlier(Toy):
    def outcome_of(self, error: WarmlineError) -> Outcome:
        found = super().outcome_of(error)
        return replace(found, after_s=1.0) if isinstance(error, Throttled) else found


class GivesUpOnCredentials(Toy):
    """A wrong token is the candidate's fault."""

    def outcome_of(self, error: WarmlineError) -> Outcome:
        if isinstance(error, AuthFailed):
            return Outcome(OutcomeKind.REFUSED, "it cannot be written")
        return super().outcome_of(error)


class TellsItsToken(Toy):
    """A line of the log with the token in it."""

    def one(self, action: Action) -> Outcome:
        logging.getLogger("toy").debug("asking with %s", self.options.secrets["token"])
        return super().one(action)


class TellsTheAddress(Toy):
    """An outcome whose reason is somebody's address."""

    def outcome_of(self, error: WarmlineError) -> Outcome:
        return super().outcome_of(error)

    def guarded(self, action: Action) -> Outcome:
        found = super().guarded(action)
        about = f"{found.reason} about {''.join(action.contact.emails)}"
        return found if found.kind is OutcomeKind.DONE else replace(found, reason=about)


# Reading


class PagesWithoutBound(Toy):
    def asked(self, place: Mapping[str, str]) -> dict[str, str]:
        return {**super().asked(place), "limit": "5"}


class NeverTheLast(Toy):
    """No page says that it is the last."""

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        return (replace(page, last=False) for page in super().changes(stream, cursor, now=now))


class OneKeyForAll(Toy):
    def key(self, row: Mapping[str, Any]) -> str:
        return "contact"


class StepsOverOne(Toy):
    """Its cursor leads past a record."""

    def asked(self, place: Mapping[str, str]) -> dict[str, str]:
        asked = super().asked(place)
        fresh = self.__dict__.setdefault("begun", False)
        self.begun = True
        if not fresh and "after" in asked:
            asked["after"] = str(int(asked["after"]) + 1)
        return asked


class BeginsAnew(Toy):
    """Its cursor leads nowhere: each time everything is read."""

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        return super().changes(stream, "", now=now)


class StartsWithHistory(Toy):
    def start(self, *, now: datetime) -> str:
        return ""


class GoesRound(Toy):
    """Follows whatever is next, for ever."""

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        place = json.loads(cursor) if cursor else {}
        for _ in range(1000):
            body = self.call("GET", "/contacts", params=self.asked(place))
            place = {"after": body["next"]} if body["next"] else {"since": now.isoformat()}
            rows = [Record(self.key(r), json.dumps(r).encode()) for r in body["contacts"]]
            yield Page(stream, tuple(rows), json.dumps(place), not body["next"])
            if not body["next"]:
                return


class GoesRoundTheTwo(GoesRound):
    """Notices a page that names itself, and not two that name each other."""

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        before = ""
        for page in super().changes(stream, cursor, now=now):
            if page.cursor == before:
                raise Malformed("it goes round")
            before = page.cursor
            yield page


class StopsWhereItRounds(Toy):
    """A list that goes round counts as read."""

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        try:
            yield from super().changes(stream, cursor, now=now)
        except Malformed:
            return


class EmptyIsFine(Toy):
    """What could not be read counts as nothing there."""

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        try:
            yield from super().changes(stream, cursor, now=now)
        except Unreachable:
            yield Page(stream, (), cursor, last=True)


class ListCrashes(Toy):
    """A list that is none is a traceback."""

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        try:
            yield from super().changes(stream, cursor, now=now)
        except Malformed as error:
            raise KeyError("contacts") from error


class DropsTheHint(Toy):
    """What it cannot read just now, it takes for nothing."""

    def fetch(self, received: Received) -> Mapping[str, Sequence[Record]]:
        try:
            return super().fetch(received)
        except WarmlineError:
            return {}


class GoneWhenUnread(Toy):
    """Whom it cannot look up, it calls deleted."""

    def missing(self, known: Mapping[str, Collection[str]]) -> list[Event]:
        try:
            return super().missing(known)
        except WarmlineError:
            return [
                Event(EventKind.CANDIDATE_DELETED, f"gone:{one}", "absent", None, None)
                for one in known
            ]


class SkipsTheGone(Toy):
    """A record that is gone is left out."""

    def records(self, ids: Sequence[str], fields: Collection[str]) -> list[Standing]:
        return [one for one in super().records(ids, fields) if one.stands_as]


class TouchesWhatItReads(Toy):
    """Writes to see what stands there."""

    def records(self, ids: Sequence[str], fields: Collection[str]) -> list[Standing]:
        self.call("POST", "/merge", {"keep": "c-1", "join": "c-1"})
        return super().records(ids, fields)


class TakesAnyHost(Toy):
    """A `with:` is believed, whatever it holds."""

    def host_of(self, options: Mapping[str, object]) -> Mapping[str, str]:
        return {key: str(value) for key, value in options.items()}


class HostsEverybody(Toy):
    def hosted(self, host: Mapping[str, str], contacts: Sequence[str]) -> dict[str, Hosted]:
        return dict.fromkeys(contacts, Hosted(on=True))


class HostsNobody(Toy):
    def hosted(self, host: Mapping[str, str], contacts: Sequence[str]) -> dict[str, Hosted]:
        return dict.fromkeys(contacts, Hosted(on=False))


class CannotIsSilent(Toy):
    def cannot(self, host: Mapping[str, str]) -> tuple[str, ...]:
        return ("no",)


class EnrolsToSee(Toy):
    """Puts somebody on it to find out whether it may."""

    def check_host(self, host: Mapping[str, str]) -> list[Finding]:
        self.call("POST", "/merge", {"keep": "c-1", "join": "c-1"})
        return super().check_host(host)


class MergeRaises(Toy):
    def outcome_of(self, error: WarmlineError) -> Outcome:
        raise error


class MergesOnTrust(Toy):
    """They are one as soon as it was asked for."""

    def merged(self, made: Mapping[str, Any]) -> Outcome:
        return Outcome(OutcomeKind.DONE)


class CheckRaises(Toy):
    def check(self, needs: Needs) -> list[Finding]:
        self.call("GET", "/me")
        return super().check(needs)


class CheckIsSilent(Toy):
    """Where nothing can be looked at, nothing is said of the fields."""

    def check(self, needs: Needs) -> list[Finding]:
        found = super().check(needs)
        return found if found[0].verdict == "ok" else found[:1]


class CheckWrites(Toy):
    """Tries whether it may write by writing."""

    def check(self, needs: Needs) -> list[Finding]:
        try:
            self.write("check@toy.example", "x")
        except WarmlineError:
            return super().check(needs)
        return super().check(needs)


class HeedsNoHeader(Toy):
    """Calls until it is told 429, and never looks at what is left."""

    def call(self, method: str, path: str, body: object = None, **more: Any) -> dict[str, Any]:
        self.door._blocked_until = 0.0  # the door keeps it; a connector of one's own may not
        return super().call(method, path, body, **more)


class WaitsForNothing(Toy):
    """Told to wait, it says so without an hour, and is asked again at once."""

    def outcome_of(self, error: WarmlineError) -> Outcome:
        found = super().outcome_of(error)
        return replace(found, after_s=0.0) if isinstance(error, Throttled) else found


# What the folder says


class Undeclared(Toy):
    """Can send mail too, and does not say so."""

    def open(self) -> Any:
        return None


def _settings(**changes: Any) -> Subject:
    more = Setting("extra", help="", **changes)
    return subject(manifest=toy_manifest(settings=(*toy_manifest().settings, more)))


def _lacking() -> Subject:
    manifest = toy_manifest()
    return subject(manifest=replace(manifest, capabilities=(*manifest.capabilities, "sends_mail")))


def _no_golden(folder: Path) -> Mapping[str, Received]:
    found = deliveries(folder)
    return {**found, "without_golden": next(iter(found.values()))}


# Check, then who must fail it, and what it is told.
FLAWS: list[tuple[str, Any, str]] = [
    ("what_is_declared_is_implemented", Undeclared, r"the class has \['sends_mail'\]"),
    ("what_is_declared_is_implemented", _lacking, r"declares \['sends_mail'\]"),
    ("every_setting_stands_in_the_readme", _settings, "no row of a table for the setting extra"),
    (
        "no_secret_has_a_default",
        lambda: _settings(secret=True, default="x"),
        "secret and has",
    ),
    ("no_secret_has_a_default", lambda: _settings(required=True, default="x"), "required and has"),
    (
        "each_exemption_names_a_check_and_a_reason",
        lambda: subject(exempt={"no_such": "because it is so here"}),
        "there is no check no_such",
    ),
    (
        "each_exemption_names_a_check_and_a_reason",
        lambda: subject(exempt={"pages_are_bounded": "no"}),
        "needs a reason",
    ),
    ("actions_declared_are_those_applied", AppliesEverything, "which is not declared: .*done"),
    ("actions_declared_are_those_applied", AsksBeforeItRefuses, "refused only after"),
    ("a_signed_delivery_passes", RefusesTheVendor, "is refused"),
    ("a_signed_delivery_passes", KeyOfTheMoment, "delivery_key"),
    ("a_changed_byte_of_the_body_is_refused", SignsTheStart, "byte 8: it passed"),
    ("a_changed_or_missing_signature_is_refused", NoSignatureNeeded, "no header at all: it passed"),
    ("a_changed_or_missing_signature_is_refused", CrashesOnSignatures, "raised ValueError"),
    ("another_secret_is_refused", LaxSignature, "another secret: it passed"),
    ("another_secret_is_refused", TellsTheSignature, "a secret is told"),
    ("an_old_delivery_is_refused", AnyTime, "signed -301 s away: it passed"),
    ("every_fixture_parses_to_its_golden_events", AnotherEvent, "events are not those of"),
    (
        "every_fixture_parses_to_its_golden_events",
        lambda: subject(parsing=Parsing(_no_golden)),
        "make golden NAME=hostile",
    ),
    ("every_kind_of_event_is_declared", UndeclaredEvent, r"tells \['message.opened'\]"),
    ("a_repeat_gives_the_same_keys", KeysOfTheMoment, "an hour later"),
    ("a_repeat_gives_the_same_keys", CountingKeys, "parsed again"),
    ("a_repeat_gives_the_same_keys", KeysOfTheTry, "as the vendor repeats it"),
    ("no_two_events_of_a_delivery_share_a_key", OneKeyForTwo, "two events have one key"),
    ("an_unknown_word_is_kept", UnknownWordsFail, "an unknown word raised"),
    ("an_unknown_word_is_kept", UnknownWordsVanish, "gives no event"),
    ("rubbish_is_malformed", CrashesOnRubbish, "expected Malformed or events"),
    ("rubbish_is_malformed", RubbishIsNothing, "it passed"),
    ("rubbish_is_malformed", NamesNoPlace, "names no place"),
    ("a_spoilt_place_is_malformed_and_named", CrashesOnMissingKeys, "raised (KeyError|Attrib)"),
    ("a_spoilt_place_is_malformed_and_named", NamesAnotherPlace, "names another place"),
    ("a_spoilt_place_is_malformed_and_named", QuotesTheBody, "repeats an address"),
    ("a_spoilt_place_is_malformed_and_named", KeepsHalfCharacters, "no database keeps"),
    ("outcomes_are_in_order", SortsOutcomes, "one, an undeclared kind, another"),
    ("outcomes_are_in_order", LosesOutcomes, "one, an undeclared kind, another"),
    ("the_same_action_twice_changes_the_vendor_once", AlwaysCreates, "the vendor"),
    ("the_same_action_twice_changes_the_vendor_once", RemembersWhatItDid, "after a restart"),
    ("find_tells_the_truth", FindsNothing, "that it did not happen, and it did"),
    ("find_tells_the_truth", FindsAnything, "before it was tried: find says that it happened"),
    ("find_tells_the_truth", FindsTheContact, "after somebody undid it"),
    ("a_lost_answer_is_looked_for_and_settled", FindsNothing, "find says that it did not happen"),
    ("a_lost_answer_is_looked_for_and_settled", FindsAnything, "find says that it happened"),
    ("a_lost_answer_is_looked_for_and_settled", NotesBlindly, "asked again: .*a note"),
    ("every_answer_is_told_truly", BelievesTwoHundred, "200 with an error inside: done"),
    ("every_answer_is_told_truly", BelievesAnySilence, "done, and it is not so"),
    ("every_answer_is_told_truly", RepeatsWhatIsInDoubt, "expected Unsure or unknown"),
    ("every_answer_is_told_truly", DoubtsEverything, "in doubt, though nothing was written"),
    ("every_answer_is_told_truly", RaisesRefused, "raised Refused"),
    ("every_answer_is_told_truly", ReadsWhatIsNotThere, "raised KeyError"),
    ("every_answer_is_told_truly", ForgetsTheSeconds, "without the seconds to wait"),
    ("every_answer_is_told_truly", ComesEarlier, "to wait 1 s, the vendor said 7"),
    ("every_answer_is_told_truly", GivesUpOnCredentials, "expected AuthFailed"),
    ("every_answer_is_told_truly", TellsItsToken, "a secret is told"),
    ("every_answer_is_told_truly", TellsTheAddress, "an address is told"),
    ("pages_are_bounded", PagesWithoutBound, "a page of 5, at most 3"),
    ("pages_are_bounded", NeverTheLast, "the last page"),
    ("pages_are_bounded", OneKeyForAll, "two records have one key"),
    ("a_cursor_resumes", StepsOverOne, "records are missed"),
    ("a_cursor_resumes", BeginsAnew, "reads all anew"),
    ("a_cursor_resumes", StartsWithHistory, "records of before are read"),
    ("a_listing_without_an_end_is_malformed", GoesRound, "1 pages go round, and no end"),
    ("a_listing_without_an_end_is_malformed", GoesRoundTheTwo, "2 pages go round, and no end"),
    ("a_listing_without_an_end_is_malformed", StopsWhereItRounds, "as if all were read"),
    ("a_listing_survives_every_answer", EmptyIsFine, "nothing was raised"),
    ("a_listing_survives_every_answer", ListCrashes, "raised KeyError"),
    ("what_a_hint_is_about_survives_every_answer", DropsTheHint, "nothing was raised"),
    ("missing_survives_every_answer", GoneWhenUnread, "nothing was raised"),
    ("records_survive_every_answer", SkipsTheGone, "got others or fewer"),
    ("records_survive_every_answer", TouchesWhatItReads, "it wrote"),
    ("a_hosted_sequence_is_told_truly", TakesAnyHost, "expected ConfigError"),
    ("a_hosted_sequence_is_told_truly", HostsEverybody, "is told to be"),
    ("a_hosted_sequence_is_told_truly", HostsNobody, "is told not to"),
    ("a_hosted_sequence_is_told_truly", CannotIsSilent, "expected sentences"),
    ("a_hosted_sequence_is_told_truly", EnrolsToSee, "hosted"),
    ("merging_survives_every_answer", MergeRaises, "expected an outcome"),
    ("merging_survives_every_answer", MergesOnTrust, "they were two still"),
    ("check_never_raises", CheckRaises, "raised"),
    ("check_never_raises", CheckIsSilent, "no finding for"),
    ("check_never_raises", CheckWrites, "it wrote"),
    ("the_rate_limit_is_kept", HeedsNoHeader, "429 came"),
    ("the_rate_limit_is_kept", WaitsForNothing, "not done after"),
]


# Mail: sessions that lie about what the real one did


class Session:
    """The real session, and a place to lie about it."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def send(self, envelope: Envelope) -> Outcome:
        outcome: Outcome = self.real.send(envelope)
        return outcome

    def close(self) -> None:
        self.real.close()


class SendsTwice(Session):
    def send(self, envelope: Envelope) -> Outcome:
        self.real.send(envelope)
        return super().send(envelope)


class SaysUnsent(Session):
    """A mail that was taken is told as `later`."""

    def send(self, envelope: Envelope) -> Outcome:
        found = super().send(envelope)
        return Outcome(OutcomeKind.LATER, "no") if found.kind is OutcomeKind.DONE else found


class Instead(Session):
    """One kind of outcome told as another."""

    was, told = OutcomeKind.UNKNOWN, OutcomeKind.LATER

    def send(self, envelope: Envelope) -> Outcome:
        found = super().send(envelope)
        return replace(found, kind=self.told) if found.kind is self.was else found


class UnknownIsDone(Instead):
    told = OutcomeKind.DONE


class LaterIsRefused(Instead):
    was, told = OutcomeKind.LATER, OutcomeKind.REFUSED


class RefusedIsLater(Instead):
    was, told = OutcomeKind.REFUSED, OutcomeKind.LATER


class RefusedOfNobody(Session):
    def send(self, envelope: Envelope) -> Outcome:
        return replace(super().send(envelope), detail={})


class RaisesForAnAnswer(Session):
    def send(self, envelope: Envelope) -> Outcome:
        found = super().send(envelope)
        if found.kind is OutcomeKind.REFUSED:
            raise Refused(found.reason)
        return found


class TellsTheRecipient(Session):
    def send(self, envelope: Envelope) -> Outcome:
        found = super().send(envelope)
        return replace(found, reason=f"{found.reason} {envelope.recipient_address}")


class EndsAtAFault(Session):
    """After one mail that went wrong no other leaves by this session."""

    broken = False

    def send(self, envelope: Envelope) -> Outcome:
        if self.broken:
            return Outcome(OutcomeKind.LATER, "the session is over")
        found = super().send(envelope)
        self.broken = found.kind is not OutcomeKind.DONE
        return found


class Smuggles(Session):
    """A line break in a name is another recipient."""

    def send(self, envelope: Envelope) -> Outcome:
        for line in envelope.subject.splitlines()[1:]:
            self.real.send(replace(envelope, subject="x", recipient_address=line.split()[-1]))
        return super().send(envelope)


class AcceptsAnyAddress(Session):
    """An address that is none is tried for ever."""

    def send(self, envelope: Envelope) -> Outcome:
        found = super().send(envelope)
        return (
            replace(found, kind=OutcomeKind.LATER)
            if "no address" in envelope.recipient_address
            else found
        )


class OpensAnything:
    """A session is given though nobody is there."""

    def send(self, envelope: Envelope) -> Outcome:
        return Outcome(OutcomeKind.LATER, "nobody there")

    def close(self) -> None:
        """Nothing is open."""


MAIL_FLAWS: list[tuple[str, Any, str]] = [
    ("an_accepted_mail_is_there_once", SendsTwice, "there 2 times"),
    ("an_accepted_mail_is_there_once", SaysUnsent, "expected done"),
    ("each_fault_of_the_mail_server_is_told_as_it_is", Instead, "drop_after: later"),
    ("each_fault_of_the_mail_server_is_told_as_it_is", UnknownIsDone, "drop_after: done"),
    ("each_fault_of_the_mail_server_is_told_as_it_is", LaterIsRefused, "later: refused"),
    ("each_fault_of_the_mail_server_is_told_as_it_is", RefusedIsLater, "refuse: later"),
    ("each_fault_of_the_mail_server_is_told_as_it_is", RefusedOfNobody, "scope is None"),
    ("each_fault_of_the_mail_server_is_told_as_it_is", RaisesForAnAnswer, "send raised"),
    ("each_fault_of_the_mail_server_is_told_as_it_is", TellsTheRecipient, "an address is told"),
    ("a_session_goes_on_after_a_fault", EndsAtAFault, "after refuse: later"),
    ("a_mail_that_cannot_be_written_is_refused", Smuggles, "smuggled in"),
    ("a_mail_that_cannot_be_written_is_refused", AcceptsAnyAddress, "expected refused"),
    ("a_server_that_is_not_there_is_unreachable", OpensAnything, "open gave a session"),
]
