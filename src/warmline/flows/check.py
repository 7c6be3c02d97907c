"""How ready the project is: each connection, each field that is needed there, and the doors by
which webhooks come. Every vendor is asked, and nothing is written anywhere."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from warmline.core.actions import OF_THE_EVENT, ActionKind
from warmline.core.errors import BadSignature, ConfigError, Unreachable, WarmlineError
from warmline.core.triggers import OWN
from warmline.flows.alerts import last_drill, states
from warmline.flows.runtime import Runtime
from warmline.kit.http import Door
from warmline.ports import Access, Channel, Finding, Needs, Received, Verdict
from warmline.store.models import Delivery, Incident
from warmline.store.statuses import IncidentStatus

# What both systems must hold for any nurturing: an address, a name, which job, how far, whose.
BASE = ("email", "name", "applied_role", "stage", "recruiter_owner")
TAGS, NOTES, DO_NOT_CONTACT, OPT_OUT = "tags", "notes", "do_not_contact", "opt_out"
KNOCK_S = 10.0  # as long as an impatient sender waits
AT_ONCE = 8
_READ = frozenset({Access.READ})
_BOTH = frozenset({Access.READ, Access.WRITE})
_ANY_STATUS = tuple(range(300, 600))


@dataclass(frozen=True, slots=True)
class Checked:
    """A connection, as its connector found it."""

    connector: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Doorway:
    """Where a connection's webhooks come in. `last_signed_at`: when the last delivery with a good
    signature came; None where none has."""

    url: str
    findings: tuple[Finding, ...]
    last_signed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What `warmline check` found, by connection in the file's order. `asked` is False where the
    vendors were left alone: then nothing is told of them."""

    at: datetime
    asked: bool
    connections: Mapping[str, Checked]
    webhooks: Mapping[str, Doorway]
    alerts: tuple[Finding, ...] = ()

    @property
    def findings(self) -> Iterator[Finding]:
        """All of them."""
        for part in (self.connections, self.webhooks):
            for told in part.values():
                yield from told.findings
        yield from self.alerts

    @property
    def to_mend(self) -> int:
        """How many things there are to do. One missing scope is one, however many fields wait for
        it; one server that does not run is one, however many doors it has."""
        wrong = [
            (name, finding)
            for name, told in self.connections.items()
            for finding in told.findings
            if finding.verdict.to_mend
        ]
        wrong += [
            ("", finding)
            for told in self.webhooks.values()
            for finding in told.findings
            if finding.verdict.to_mend
        ]
        wrong += [("alerts", finding) for finding in self.alerts if finding.verdict.to_mend]
        return len({(name, finding.advice or finding.what) for name, finding in wrong})

    @property
    def unseen(self) -> int:
        """How many things could not be seen, and so are neither fine nor wrong."""
        return sum(finding.verdict is Verdict.UNKNOWN for finding in self.findings)

    @property
    def ok(self) -> bool:
        return self.to_mend == 0

    def as_json(self) -> dict[str, Any]:
        """For scripts; what is not needed or not known is null. Times are ISO 8601 in UTC."""
        return {
            "ok": self.ok,
            "asked": self.asked,
            "to_mend": self.to_mend,
            "unseen": self.unseen,
            "connections": {
                name: {"connector": one.connector, "findings": [asdict(f) for f in one.findings]}
                for name, one in self.connections.items()
            },
            "webhooks": {
                name: {
                    "url": one.url,
                    "last_signed_at": one.last_signed_at and one.last_signed_at.isoformat(),
                    "last_signed_s_ago": one.last_signed_at
                    and round((self.at - one.last_signed_at).total_seconds()),
                    "findings": [asdict(f) for f in one.findings],
                }
                for name, one in self.webhooks.items()
            },
            "alerts": [asdict(f) for f in self.alerts],
        }


def check(runtime: Runtime, *, ask: bool = True) -> Report:
    """Look at everything. One connection that is down keeps no other from being told: they are
    asked side by side. With `ask` False no vendor is asked, and each field is UNKNOWN."""
    needs = {name: needs_of(runtime, name) for name in runtime.project.connections}
    if not ask:
        found = {name: Checked(_connector(runtime, name), _unasked(needs[name])) for name in needs}
        return Report(runtime.now(), ask, found, {})
    inlets = runtime.connections_that("receives_webhooks")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {name: pool.submit(_checked, runtime, name, needs[name]) for name in needs}
        knocked = {
            name: pool.submit(knock, runtime.project.public_url, name, runtime.now)
            for name in inlets
        }
    return Report(
        at=runtime.now(),
        asked=ask,
        connections={
            name: Checked(_connector(runtime, name), future.result())
            for name, future in asked.items()
        },
        webhooks={
            name: _doorway(runtime, name, future.result()) for name, future in knocked.items()
        },
        alerts=_alerts(runtime),
    )


def _alerts(runtime: Runtime) -> tuple[Finding, ...]:
    """Whether an operator hears of failures: how the last alert of each channel ended. None is
    sent here; that is what `warmline alerts drill` is for."""
    if not runtime.channels:
        said = "nobody is told of failures: set alerts.mail or alerts.to in warmline.yaml"
        return (Finding("channels", Verdict.UNKNOWN, said),)
    found = []
    for state in states(runtime.channels):
        what = f"{state.name} ({state.what})"
        if state.failing:
            said = f"its last alert was not accepted: {state.reason}"
            found.append(Finding(what, Verdict.FAILED, said))
        elif state.sent_at is None:
            said = "nothing has left by it yet: try it with `warmline alerts drill`"
            found.append(Finding(what, Verdict.UNKNOWN, said))
        else:
            said = f"its last alert was accepted {ago(runtime.now() - state.sent_at)}"
            found.append(Finding(what, Verdict.OK, said))
    drilled = last_drill()
    at = drilled.alerted_at if drilled is not None else None
    if at is None:
        found.append(Finding("last drill", Verdict.UNKNOWN, "none yet: `warmline alerts drill`"))
    else:
        said = f"{at:%Y-%m-%d %H:%M:%S}Z, {ago(runtime.now() - at)}"
        found.append(Finding("last drill", Verdict.OK, said))
    return tuple(found)


def _connector(runtime: Runtime, name: str) -> str:
    return runtime.project.connections[name].connector


# What is needed


def needs_of(runtime: Runtime, name: str) -> Needs:
    """The fields that this project needs of this connection.

    A source (an ATS, or its exports) must tell the five of BASE and what the enabled triggers pass
    of it; where what happened elsewhere sets a trigger off, the ATS is asked for the values too. A
    CRM must hold the five, and take what is passed to it: written, and read back after a lost
    answer. An ATS that can carry the segments' tags must let them be read and written.
    """
    role = runtime.role(name)
    fields: dict[str, frozenset[Access]] = {}
    if role in ("ats", "crm", "files"):
        fields = dict.fromkeys(BASE, _READ)
    for trigger in runtime.project.triggers.triggers:
        if not trigger.enabled:
            continue
        elsewhere = role == "ats" and runtime.role(trigger.source) not in ("ats", "files")
        if trigger.source == name or elsewhere:
            for field in trigger.passes:
                if field in OF_THE_EVENT:
                    continue  # the event tells it, and no record
                fields[field] = fields.get(field, frozenset()) | _READ
        if trigger.target == name and trigger.target != OWN:
            for field in _written(trigger.do, trigger.passes):
                fields[field] = _BOTH
    if role == "ats" and ActionKind.CANDIDATE_TAG in runtime.manifests[name].actions:
        fields[TAGS] = _BOTH
    return Needs(fields)


# What is written without being passed: the way back.
_MARKS: Mapping[ActionKind, tuple[str, ...]] = {
    ActionKind.CANDIDATE_FLAG: (TAGS, NOTES),
    ActionKind.CANDIDATE_DO_NOT_CONTACT: (TAGS, NOTES, DO_NOT_CONTACT),
    ActionKind.CONTACT_OPT_OUT: (OPT_OUT,),
}


def _written(kind: ActionKind, passes: tuple[str, ...]) -> tuple[str, ...]:
    """What an action writes where it is done. A contact is found and made by its address."""
    if kind is ActionKind.CONTACT_UPSERT:
        return ("email", *passes)
    if kind is ActionKind.CANDIDATE_TAG:
        return (TAGS, *passes)
    return (*_MARKS.get(kind, ()), *passes)


# The connections


def _hosted(runtime: Runtime, name: str) -> Iterator[Finding]:
    """The sequences that live there, and what the connection cannot do for them."""
    for loaded in runtime.project.sequences.values():
        if loaded.sequence.target == name:
            for found in runtime.connectors[name].check_host(loaded.sequence.host):
                yield replace(found, what=f"sequence {loaded.sequence.name}: {found.what}")


def _checked(runtime: Runtime, name: str, needs: Needs) -> tuple[Finding, ...]:
    """What the connector found; where it tells nothing of a field, that is said too."""
    findings: list[Finding] = []
    cause = Finding("", Verdict.UNKNOWN, "the connector does not tell")
    if name not in runtime.connections_that("checks"):
        findings.append(Finding("connection", Verdict.UNKNOWN, "its connector cannot check it"))
    else:
        try:
            findings += runtime.connectors[name].check(needs)
            findings += _hosted(runtime, name)
        except WarmlineError as error:
            said = f"{error.reason}; {error.hint}" if error.hint else error.reason
            cause = Finding("connection", Verdict.of_error(error), said)
            findings.append(cause)
        except Exception as error:  # a connector's fault must not hide the other connections
            cause = Finding("connection", Verdict.FAILED, _fault(error))
            findings.append(cause)
    told = {finding.field for finding in findings}
    return (
        *findings,
        *(
            Finding.of_field(
                field, field, needed, read=cause.verdict, write=cause.verdict, advice=cause.advice
            )
            for field, needed in needs.fields.items()
            if field not in told
        ),
    )


def _unasked(needs: Needs) -> tuple[Finding, ...]:
    unknown = Verdict.UNKNOWN
    return tuple(
        Finding.of_field(field, field, needed, read=unknown, write=unknown, advice="not asked")
        for field, needed in needs.fields.items()
    )


# The doors


def _doorway(runtime: Runtime, name: str, door: Finding) -> Doorway:
    last = (
        Delivery.objects.filter(connection=name, channel=Channel.WEBHOOK)
        .order_by("-id")
        .values_list("received_at", flat=True)
        .first()
    )
    findings = [door, _signatures(runtime, name)]
    findings += _turned_away(name, last, runtime.now())
    if last is None:
        said = "none has come yet: let the vendor send one (a ping, or a change of a record)"
        findings.append(Finding("last signed delivery", Verdict.UNKNOWN, said))
    else:
        said = f"{last:%Y-%m-%d %H:%M:%S}Z, {ago(runtime.now() - last)}"
        findings.append(Finding("last signed delivery", Verdict.OK, said))
    return Doorway(f"{runtime.project.public_url}/in/{name}", tuple(findings), last)


def _signatures(runtime: Runtime, name: str) -> Finding:
    """Does the connector turn away what nobody signed, with the secret that is set? It is asked
    here and not over the wire, where each try would count as a stranger's and open an incident."""
    what = "signatures"
    nobody = Received(Channel.WEBHOOK, b"{}", runtime.now(), url=runtime.project.public_url)
    try:
        runtime.connectors[name].verify(nobody, now=runtime.now())
    except BadSignature:
        return Finding(what, Verdict.OK, "the secret is set; what is not signed is turned away")
    except ConfigError as error:
        return Finding(what, Verdict.MISSING, f"{error.reason}: {error.hint}".rstrip(": "))
    except WarmlineError as error:
        return Finding(what, Verdict.FAILED, error.reason)
    except Exception as error:
        return Finding(what, Verdict.FAILED, _fault(error))
    return Finding(what, Verdict.FAILED, "a delivery that nobody signed is taken: report it")


def _fault(error: Exception) -> str:
    return f"this is a fault of Warmline's: {type(error).__name__}"


def _turned_away(name: str, last: datetime | None, now: datetime) -> list[Finding]:
    """Deliveries that the running Warmline turned away, and that no signed one came after."""
    rows = Incident.objects.filter(key__in=[f"{name}:signature", f"{name}:setup"])
    found = []
    for row in rows.exclude(status=IncidentStatus.RESOLVED).order_by("key"):
        over = last is not None and last > row.last_at
        said = f"{row.count} turned away, the last {ago(now - row.last_at)}: {row.reason}"
        said += (
            "; signed ones came since"
            if over
            else "; is the secret that `warmline up` was started with the vendor's? Or a stranger"
            " posts there"
        )
        verdict = Verdict.OK if over else Verdict.FAILED
        found.append(Finding("deliveries turned away", verdict, said))
    return found


def ago(span: timedelta) -> str:
    """A span in its largest unit: `3 min ago`."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def knock(public_url: str, name: str, now: Callable[[], datetime]) -> Finding:
    """Ask for a connection's door as the outside would, by a GET. Warmline refuses it with 405 and
    its own words; anything else is a proxy's answer, or another server's."""
    what = f"{public_url}/in/{name}"
    try:
        with closing(Door(public_url, vendor="public_url", timeout_s=KNOCK_S, now=now)) as door:
            answer = door.call("GET", f"/in/{name}", accept=_ANY_STATUS)
    except Unreachable as error:
        return _no_answer(what, public_url, error)
    except WarmlineError as error:
        return Finding(what, Verdict.FAILED, f"{error.reason}; {error.hint}".rstrip("; "))
    error_words = _own_words(answer)
    if answer.status_code == 405 and error_words == "expected POST":
        note = "Warmline answers there"
        if _local(public_url):
            note += "; it is this machine only, and no vendor on the internet can post to it"
        elif not public_url.startswith("https://"):
            note += ", unencrypted: vendors post to https addresses only"
        return Finding(what, Verdict.OK, note)
    return Finding(what, Verdict.FAILED, _stranger(answer, error_words, name))


def _own_words(answer: httpx.Response) -> str:
    """What Warmline itself says in its refusals; empty where it is somebody else's page."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        return ""
    said = found.get("error") if isinstance(found, dict) else None
    return said if isinstance(said, str) else ""


def _stranger(answer: httpx.Response, words: str, name: str) -> str:
    """What answered in our place, and what to do about it."""
    status = answer.status_code
    if status == 404 and words.startswith("no connection"):
        return (
            f"a Warmline answers there that has no connection {name}: restart it, or see that"
            " public_url is this one's"
        )
    if status in (502, 503, 504):
        return (
            f"a proxy answers {status}: it reaches no Warmline; is `warmline up` running, and does"
            " the proxy forward /in/ to WARMLINE_LISTEN?"
        )
    if answer.is_redirect:
        to = urlsplit(answer.headers.get("location", ""))
        place = f"{to.scheme}://{to.netloc}" if to.netloc else "another path"
        return (
            f"it redirects ({status}) to {place}, and vendors do not follow: set public_url to"
            " where it ends, and /in/ in the proxy to no redirect"
        )
    if status in (401, 403):
        return (
            f"something before Warmline answers {status}: let /in/ through without a sign-in, from"
            " every address"
        )
    return (
        f"something answers {status}, and it is not Warmline: does public_url name this machine,"
        " and does the proxy forward /in/ to WARMLINE_LISTEN, path unchanged?"
    )


def _no_answer(what: str, public_url: str, error: Unreachable) -> Finding:
    """Told apart by what the network said, which the door keeps as the error's context."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            said = f"its certificate is not trusted ({cause.verify_message}): no vendor posts there"
            return Finding(what, Verdict.FAILED, said)
        if isinstance(cause, ssl.SSLError):
            said = "something answers there without TLS, or breaks it off: look at the proxy"
            return Finding(what, Verdict.FAILED, said)
        if isinstance(cause, socket.gaierror):
            said = "there is no such host name: look at public_url and the DNS"
            return Finding(what, Verdict.UNREACHABLE, said)
        if isinstance(cause, ConnectionRefusedError):
            where = "is the proxy running?"
            if _local(public_url):
                where = "start `warmline up`, or see that WARMLINE_LISTEN is this address"
            return Finding(what, Verdict.UNREACHABLE, f"nothing listens there: {where}")
        if isinstance(cause, httpx.RemoteProtocolError | httpx.ReadError | ConnectionResetError):
            said = "something took the connection and hung up: it is no web server, or is overrun"
            return Finding(what, Verdict.FAILED, said)
    said = f"no answer within {KNOCK_S:g} s: look at the firewall, and at public_url"
    return Finding(what, Verdict.UNREACHABLE, said)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _local(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
