"""Reading: pages that are bounded and go on where they stopped, and every answer to a read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from warmline.core.actions import FIELDS
from warmline.core.errors import AuthFailed, ConfigError, Malformed, Refused, Throttled, Unreachable
from warmline.core.outcomes import Outcome
from warmline.ports import Access, Finding, Needs, Page
from warmline.testing.contract.between import Answer, Way, cases
from warmline.testing.contract.harness import Listing
from warmline.testing.contract.suite import (
    PATIENT_S,
    TIMEOUT_S,
    Breach,
    Scene,
    Subject,
    check,
    require,
)

PAGES_MAX = 60  # of a listing in a test: one that never ends is stopped here
CALLS_MAX = 25  # of one read, struck one by one
NEXT_CASE_S = 7200.0
WAITS_MAX = 400  # in one sweep
READS = (AuthFailed, Throttled, Unreachable, Malformed, Refused)


@check("lists_changes")
def pages_are_bounded(subject: Subject) -> None:
    with subject.scene() as scene:
        listing = _listing(scene)
        with scene.connector() as made:
            _streams_are_told(made, listing)
            for stream in listing.streams:
                pages = _sweep(scene, made, stream, "")
                require(len(pages) > 1, f"{stream}: contract.py: fill gives one page only")
                for page in pages:
                    held = len(page.records) <= listing.page_max
                    require(
                        held,
                        f"{stream}: a page of {len(page.records)}, at most {listing.page_max}",
                    )
                    require(page.stream == stream, f"{stream}: a page of {page.stream}")
                lasts = [page.last for page in pages]
                held = lasts == [False] * (len(pages) - 1) + [True]
                require(held, f"{stream}: the last page, and it alone, must say that it is")
                keys = [record.key for page in pages for record in page.records]
                require(len(keys) == len(set(keys)), f"{stream}: two records have one key")
                for record in (one for page in pages for one in page.records):
                    held = isinstance(record.body, bytes) and bool(record.key)
                    require(held, f"{stream}: a record without a key, or not in bytes")


@check("lists_changes")
def a_cursor_resumes(subject: Subject) -> None:
    """Stopped after any page and begun again from its cursor, by another instance: no record is
    missed. Where there is nothing new, the end of a sweep brings nothing that is older than it."""
    with subject.scene() as scene:
        listing = _listing(scene)
        for stream in listing.streams:
            with scene.connector() as made:
                pages = _sweep(scene, made, stream, "")
            whole = [record.key for page in pages for record in page.records]
            require(whole, f"{stream}: contract.py: fill brings no record")
            for number, page in enumerate(pages[:-1], start=1):
                with scene.connector() as made:
                    rest = _sweep(scene, made, stream, page.cursor)
                seen = {r.key for p in (*pages[:number], *rest) for r in p.records}
                missed = [key for key in whole if key not in seen]
                require(
                    not missed,
                    f"{stream}: begun again after page {number}, {len(missed)} records are missed",
                )
                read = sum(len(p.records) for p in rest)
                held = read <= len(whole) - len(pages[0].records)
                require(held, f"{stream}: begun again after page {number}, it reads all anew")
            _start_brings_no_history(scene, stream)


def _start_brings_no_history(scene: Scene, stream: str) -> None:
    with scene.connector() as made:
        scene.clock.move(NEXT_CASE_S * 24)
        cursor = made.start(now=scene.clock())
        read = sum(len(page.records) for page in _sweep(scene, made, stream, cursor))
        require(read == 0, f"{stream}: from `start` on, {read} records of before are read")


@check("lists_changes")
def a_listing_without_an_end_is_malformed(subject: Subject) -> None:
    """A page that names itself as the next one, and two that name each other."""
    with subject.scene() as scene:
        listing = _listing(scene)
        for stream in listing.streams:
            for length in (1, 2):
                _goes_round(scene, stream, length)


def _goes_round(scene: Scene, stream: str, length: int) -> None:
    """Answer the listing's own pages over and over. Which calls these are is seen first."""
    between = scene.between
    between.play()
    with scene.connector() as made:
        _sweep(scene, made, stream, "")
    paths = [call.path.partition("?")[0] for call in between.calls if call.method == "GET"]
    # The listing is the path that was asked first, and again for each page.
    own = next((path for path in paths if paths.count(path) > length), None)
    if own is None and length > 1:
        return  # it has too few pages here for more than one to go round
    require(own is not None, f"{stream}: no call of it is made for each page")
    first: list[str] = []

    def script(_number: int, method: str, path: str) -> Answer | None:
        if method != "GET" or path.partition("?")[0] != own:
            return None
        first.append(path)
        if len(first) <= length:
            return None
        return Answer("a page of before", replay=first[(len(first) - 1) % length])

    between.play(script)
    with scene.connector() as made:
        try:
            for number, _ in enumerate(_pages(scene, made, stream, "")):
                held = number < PAGES_MAX
                require(held, f"{stream}: {length} pages go round, and no end after {PAGES_MAX}")
        except Malformed as error:
            scene.watch.hear(error)
            return
        except Breach:
            raise
        except Exception as error:
            raise Breach(
                f"{stream}: pages go round: raised {error!r}, expected Malformed"
            ) from error
    raise Breach(f"{stream}: pages that go round ended as if all were read, expected Malformed")


@check("lists_changes")
def a_listing_survives_every_answer(subject: Subject) -> None:
    with subject.scene() as scene:
        listing, seen = _listing(scene), set[tuple[str, str]]()
        for stream in listing.streams:

            def read(made: Any, stream: str = stream) -> list[Page]:
                return list(islice(_pages(scene, made, stream, "", patient=False), 1))

            _every_answer(scene, stream, read, whole=_keys_of, seen=seen)


@check("fetches_records")
def what_a_hint_is_about_survives_every_answer(subject: Subject) -> None:
    """What it was about is read whole, or an error says that it was not: a hint comes once."""
    with subject.scene() as scene:
        hint = subject.part(scene.place.hint, "hint")()

        def fetch(made: Any) -> list[tuple[str, str]]:
            found = made.fetch(hint)
            return [(stream, one.key) for stream, records in found.items() for one in records]

        with scene.connector() as made:
            require(fetch(made), "fetch: contract.py: hint is about nothing that is there")
        _every_answer(scene, "fetch", fetch, whole=_as_it_is)
        _wrote_nothing(scene, "fetch")


@check("finds_missing")
def missing_survives_every_answer(subject: Subject) -> None:
    with subject.scene() as scene:
        known = subject.part(scene.place.known, "known")()
        _every_answer(scene, "missing", lambda made: made.missing(known), whole=_as_it_is)


@check("reads_records")
def records_survive_every_answer(subject: Subject) -> None:
    """One a given id, in order, whatever became of it; and nothing is written."""
    with subject.scene() as scene:
        ids, fields = subject.part(scene.place.records, "records")()
        asked = [*ids, *reversed(ids)]

        def read(made: Any) -> list[Any]:
            found: list[Any] = made.records(asked, fields)
            told = [one.external_id for one in found]
            require(
                told == list(asked), f"records: asked for {len(asked)} ids, got others or fewer"
            )
            for one in found:
                held = set(one.fields) <= set(fields)
                require(held, "records: tells fields that nobody asked for")
            return found

        with scene.connector() as made:
            scene.try_(lambda: made.records(asked, fields))
        _wrote_nothing(scene, "records")
        _every_answer(scene, "records", read, whole=_as_it_is)


@check("hosts_sequences")
def a_hosted_sequence_is_told_truly(subject: Subject) -> None:
    """Its `with:` is checked, what cannot be done is said, who stands on it is told whatever the
    vendor answers, and nothing is written to find out."""
    with subject.scene() as scene:
        options, contact, put = subject.part(scene.place.hosts, "hosts")()
        with scene.connector() as made:
            host = made.host_of(options)
            for wrong in ({}, {"no such place": "1"}, {**options, "no such key": "1"}):
                error = scene.try_(lambda: made.host_of(wrong)).error  # noqa: B023
                held = isinstance(error, ConfigError)
                require(held, f"host_of({wrong}): {error!r}, expected ConfigError")
            said = made.cannot(host)
            held = all(isinstance(one, str) and len(one.split()) > 3 for one in said)
            require(held, f"cannot: {said!r}, expected sentences")
            before = made.hosted(host, [contact])
            held = contact in before and not before[contact].on
            require(held, "hosted: a contact that is not on it is told to be")
            require(made.check_host(host), "check_host: finds nothing to say")
        _wrote_nothing(scene, "hosted")
        put()
        with scene.connector() as made:
            require(made.hosted(host, [contact])[contact].on, "hosted: who is on it is told not to")
        _every_answer(scene, "hosted", lambda made: made.hosted(host, [contact]), whole=_as_it_is)


@check("merges_contacts")
def merging_survives_every_answer(subject: Subject) -> None:
    """The list raises what a read may; a merge answers, and says done only where they are one."""
    with subject.scene() as scene:
        two = subject.part(scene.place.contacts, "contacts")
        two()

        def read(made: Any) -> list[Any]:
            return list(islice(made.contacts(), PAGES_MAX))

        _every_answer(scene, "contacts", read, whole=_as_it_is)
        scene.between.play()
        with scene.connector() as made:
            scene.try_(lambda: made.merge(*two()))
        for number, answer in cases(list(scene.between.calls), CALLS_MAX, set()):
            _merge_once(scene, number, answer, two())


def _merge_once(scene: Scene, number: int, answer: Answer, pair: tuple[str, str]) -> None:
    where = f"merge: call {number} {answer.name}"
    hangs = answer.way in (Way.HANG, Way.HANG_AFTER)
    with scene.connector(TIMEOUT_S if hangs else PATIENT_S) as made:
        scene.between.strike(number, answer)
        found = scene.try_(lambda: made.merge(*pair))
        is_write = number < len(scene.between.calls) and scene.writes(number)
        scene.between.play()
        scene.clock.move(NEXT_CASE_S)
        if found.error is not None:
            held = isinstance(found.error, AuthFailed)
            require(held, f"{where}: raised {type(found.error).__name__}, expected an outcome")
            return
        require(isinstance(found.value, Outcome), f"{where}: gave no outcome")
        one = scene.try_(lambda: made.merge(*pair))
        if found.value.kind in ("done", "already_done"):
            require(one.value.kind == "already_done", f"{where}: done, and they were two still")
        if answer.lost and is_write:
            held = found.value.kind in ("unknown", "already_done")
            require(held, f"{where}: {found.value.kind}, expected unknown")


@check("checks")
def check_never_raises(subject: Subject) -> None:
    """Whatever is answered: a finding for each field that is needed, and nothing is written."""
    if subject.harness.place is None:
        require(subject.harness.mail is not None, "contract.py: found no place, expected one")
        return
    both = frozenset({Access.READ, Access.WRITE})
    needs = Needs(dict.fromkeys((*list(FIELDS)[:4], "tags"), both))
    with subject.scene() as scene:
        if scene.road is None:
            with scene.connector() as made:
                _covers(made.check(needs), needs, "check")
            return
        scene.between.play()
        with scene.connector() as made:
            _covers(made.check(needs), needs, "check")
        _wrote_nothing(scene, "check")
        for number, answer in cases(list(scene.between.calls), CALLS_MAX, set()):
            _checks_once(scene, needs, number, answer)


def _checks_once(scene: Scene, needs: Needs, number: int, answer: Answer) -> None:
    where = f"check: call {number} {answer.name}"
    hangs = answer.way in (Way.HANG, Way.HANG_AFTER)
    with scene.connector(TIMEOUT_S if hangs else PATIENT_S) as made:
        # What takes long is struck once.
        once = hangs or "content-encoding" in answer.headers
        scene.between.strike(number, answer, ever_after=not once)
        found = scene.try_(lambda: made.check(needs))
    scene.clock.move(NEXT_CASE_S)
    require(found.error is None, f"{where}: raised {found.error!r}")
    _covers(found.value, needs, where)
    for finding in found.value:
        scene.watch.hear(Outcome(kind="done", reason=f"{finding.what} {finding.advice}"))  # type: ignore[arg-type]


def _covers(found: Any, needs: Needs, where: str) -> None:
    held = isinstance(found, list) and all(isinstance(one, Finding) for one in found)
    require(held, f"{where}: gave something else than a list of findings")
    lacking = set(needs.fields) - {one.field for one in found}
    require(not lacking, f"{where}: no finding for {sorted(lacking)}")


def _wrote_nothing(scene: Scene, what: str) -> None:
    wrote = [scene.between.calls[n] for n in range(len(scene.between.calls)) if scene.writes(n)]
    require(not wrote, f"{what}: it wrote: {[f'{call.method} {call.path}' for call in wrote]}")


def _listing(scene: Scene) -> Listing:
    found: Listing = scene.subject.part(scene.place.listing, "listing")
    found.fill(found.many)
    return found


def _streams_are_told(made: Any, listing: Listing) -> None:
    strange = set(listing.streams) - set(made.streams())
    require(not strange, f"contract.py: {sorted(strange)} are not among streams()")
    left = set(made.streams()) - set(listing.streams)
    require(not left, f"contract.py: fill fills no {sorted(left)}, which streams() has")


def _sweep(scene: Scene, made: Any, stream: str, cursor: str) -> list[Page]:
    """All pages, on a road that is clear."""
    pages: list[Page] = []
    try:
        for page in _pages(scene, made, stream, cursor):
            pages.append(page)
            require(len(pages) <= PAGES_MAX, f"{stream}: no end after {PAGES_MAX} pages")
    except Breach:
        raise
    except Exception as error:
        raise Breach(f"{stream}: raised {error!r} though nothing was wrong") from error
    return pages


def _pages(
    scene: Scene, made: Any, stream: str, cursor: str, *, patient: bool = True
) -> Iterator[Page]:
    """The pages, for a connector that keeps to a pace of its own too: time passes where it asks;
    unless `patient`, only until a call was struck."""
    for _ in range(WAITS_MAX):
        try:
            for page in made.changes(stream, cursor, now=scene.clock()):
                cursor = page.cursor
                yield page
            return
        except Throttled as error:
            if not patient and any(call.struck for call in scene.between.calls):
                raise
            scene.clock.move(max(error.after_s, 0.1))
    raise Breach(f"{stream}: still asked to wait after {WAITS_MAX} times")


def _keys_of(pages: list[Page]) -> object:
    return [record.key for page in pages for record in page.records]


def _as_it_is(found: object) -> object:
    return found


def _every_answer(
    scene: Scene,
    what: str,
    read: Callable[[Any], Any],
    *,
    whole: Callable[[Any], object],
    seen: set[tuple[str, str]] | None = None,
) -> None:
    """Each call of a read struck in each way: it raises what a read may raise, or its value is the
    one of a clear road, or less of it where the vendor said that less was there."""
    scene.between.play()
    with scene.connector() as made:
        clear = scene.try_(lambda: read(made))
        if clear.error is not None:
            raise Breach(
                f"{what}: raised {clear.error!r} though nothing was wrong"
            ) from clear.error
    calls = list(scene.between.calls)
    for number, answer in cases(calls, CALLS_MAX, set() if seen is None else seen):
        hangs = answer.way in (Way.HANG, Way.HANG_AFTER)
        path = calls[number].path.partition("?")[0]
        where = f"{what}: call {number} ({calls[number].method} {path}) {answer.name}"
        with scene.connector(TIMEOUT_S if hangs else PATIENT_S) as made:
            scene.between.strike(number, answer, ever_after=answer.status == 401)
            found = scene.try_(lambda: read(made))
        scene.clock.move(1)
        if isinstance(found.error, Breach):
            raise Breach(f"{where}: {found.error}")
        if found.error is not None:
            held = isinstance(found.error, READS)
            require(held, f"{where}: raised {type(found.error).__name__}: {found.error}")
            if answer.status == 401:
                held = isinstance(found.error, AuthFailed)
                require(held, f"{where}: raised {type(found.error).__name__}, expected AuthFailed")
            if answer.status == 429:
                held = isinstance(found.error, Throttled)
                require(held, f"{where}: raised {type(found.error).__name__}, expected Throttled")
        elif answer.lost or answer.status in (401, 429) or (answer.status == 403 and number == 0):
            # A right that is lacking to a name may leave the name out; to the listing it may not.
            held = whole(found.value) == whole(clear.value)
            require(held, f"{where}: part of it was not read, and nothing was raised")
    scene.between.play()
