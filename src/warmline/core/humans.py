"""Did a person do it, or a machine that reads mail for them? Rules over what was seen of one act.

Mail gateways open every link of a mail, and imitate browsers when they do. So opening a link proves
nobody by itself: it is a person's only where somebody who sees more than one request says so too
(the CRM that counted the click; we ourselves, a minute after it came, by all hits of the mail), and
nothing speaks for a machine (I9). Posting the form of our own page is a person's act.

Do-Not-Track and Global Privacy Control are not looked at: a person who sends them is a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# Nobody reads and clicks so fast; a person with the mail program open comes close.
QUICK_S = 10.0
# Two links in this time are nobody's two clicks; a third one within the longer time is no reading.
AT_ONCE_S = 1.0
BURST_S = 10.0
BURST_LINKS = 3


class Confidence(StrEnum):
    """Who did it, as far as can be told."""

    HUMAN = "human"  # the evidence is that a person did it
    MACHINE = "machine"  # the evidence is that a scanner or a mail program did it
    UNCONFIRMED = "unconfirmed"  # it may be either: it moves nobody


@dataclass(frozen=True, slots=True)
class Judged:
    """`why` is in plain words, for whoever asks later (I12)."""

    who: Confidence
    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of one act. What was not seen is left at its default, and proves nothing.

    - `method`: of the request; `own_form`: it posted the form of a page of ours.
    - `trap`: it touched what no person sees (a hidden link, a hidden field).
    - `agent`: the user agent as sent, None where nobody tells it; `agent_kind`: what the teller
      takes it for ("Browser", "Robot"); `network`: a name of whose network it came from.
    - `delivered_s`: seconds from the mail's delivery to the act.
    - `others_s`: for each other link of the same mail that the same visitor followed, the seconds
      between that and this, whichever came first.
    - `prefetched`: the browser said that it fetches what nobody has opened yet.
    - `filtered`: the teller's own word: True where it takes it for a machine's, False where it
      looked and does not; `teller` names it.
    """

    method: str = "GET"
    own_form: bool = False
    trap: bool = False
    agent: str | None = None
    agent_kind: str = ""
    network: str = ""
    delivered_s: float | None = None
    others_s: tuple[float, ...] = ()
    prefetched: bool = False
    filtered: bool | None = None
    teller: str = "the sender's own bot filter"


def judge(seen: Evidence) -> Judged:
    """By the first rule that holds: what speaks for a machine comes before what speaks for a
    person, but for the form: gateways open pages and do not fill them in."""
    if seen.trap:
        return _machine("it touched what no person sees")
    if seen.filtered:
        return _machine(f"{seen.teller} discarded it")
    if seen.prefetched:
        return _machine("it was fetched in advance, and nobody had opened it")
    if seen.own_form and seen.method.upper() == "POST":
        return Judged(Confidence.HUMAN, "the form of our own page was posted")
    if reason := _machine_by_name(seen) or _machine_by_haste(seen):
        return _machine(reason)
    if seen.method.upper() != "GET":
        return _machine(f"it was a {_shown(seen.method.upper())} request and no click")
    return _opened(seen)


def at_once(act: tuple[float, str], follows: Iterable[tuple[float, str]]) -> tuple[float, ...]:
    """`Evidence.others_s` of the act, from all that the visitor followed of the mail: pairs of the
    time in seconds and the link. A link that was followed twice counts by its nearest time."""
    at, link = act
    nearest: dict[str, float] = {}
    for other_at, other in follows:
        gap = abs(other_at - at)
        if other != link and gap < nearest.get(other, float("inf")):
            nearest[other] = gap
    return tuple(sorted(nearest.values()))


def _machine(why: str) -> Judged:
    return Judged(Confidence.MACHINE, why)


def _opened(seen: Evidence) -> Judged:
    """A link was opened, and nothing speaks for a machine."""
    if seen.filtered is None:
        why = "opening a link proves nobody, and nobody else vouches for a person"
    elif not seen.agent or not _BROWSER.search(seen.agent):
        why = "it does not tell the browser that it was made with"
    elif seen.delivered_s is None:
        why = "it is not known when the mail was delivered"
    elif seen.delivered_s < QUICK_S:
        why = f"it came within {QUICK_S:g} seconds of the delivery"
    else:
        return Judged(
            Confidence.HUMAN,
            f"made with a browser, {_ago(seen.delivered_s)} after the delivery, "
            f"and {seen.teller} let it pass",
        )
    return Judged(Confidence.UNCONFIRMED, why)


def _machine_by_name(seen: Evidence) -> str:
    """By what it calls itself, or what its network is called."""
    if found := _GATEWAY.search(seen.agent or ""):
        return f"the user agent names a mail gateway ({_shown(found[0])})"
    if found := _PROGRAM.search(seen.agent or ""):
        return f"the user agent names a program and no browser ({_shown(found[0])})"
    if _NO_PERSON.search(seen.agent_kind):
        return f"the sender takes its user agent for a {_shown(seen.agent_kind.lower())}"
    if found := _GATEWAY.search(seen.network):
        return f"it came from the network of a mail gateway ({_shown(found[0])})"
    if found := _DATA_CENTRE.search(seen.network):
        return f"it came from a data centre ({_shown(found[0])})"
    return ""


def _machine_by_haste(seen: Evidence) -> str:
    if any(gap <= AT_ONCE_S for gap in seen.others_s):
        return f"another link of the same mail was opened within {AT_ONCE_S:g} second"
    links = 1 + sum(gap <= BURST_S for gap in seen.others_s)
    if links >= BURST_LINKS:
        return f"{links} links of the same mail were opened within {BURST_S:g} seconds"
    return ""


def _ago(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def _shown(text: str) -> str:
    """What a stranger sent, fit for a sentence."""
    return re.sub(r"[^\w.\- ]", "?", text, flags=re.ASCII)[:40]


# Makers of mail gateways and link scanners, as they name themselves in user agents and networks.
_GATEWAY = re.compile(
    r"proofpoint|mimecast|barracuda|ironport|messagelabs|symantec|fireeye|trend\s?micro|"
    r"sophos|forcepoint|websense|safelinks|trellix|mcafee|fortimail|fortinet|zscaler|"
    r"cloudmark|bitdefender|avanan|abnormal\s?security|cisco\s?(?:secure|talos)|"
    r"GoogleImageProxy|YahooMailProxy|BingPreview",
    re.IGNORECASE,
)
# Programs that fetch pages; Cubot makes telephones.
_PROGRAM = re.compile(
    r"\b(?!cubot)\w*bot\b|crawler|spider|\bscan(?:ner)?\b|headless|phantomjs|\bpreview|"
    r"curl/|wget/|python-|\bhttpx/|aiohttp|go-http-client|java/|okhttp|libwww|apache-httpclient|"
    r"node-fetch|axios/|\bruby\b|facebookexternalhit|slack-imgproxy|whatsapp/",
    re.IGNORECASE,
)
_NO_PERSON = re.compile(r"robot|\bbot\b|library|validator|offline|feed|crawler", re.IGNORECASE)
_DATA_CENTRE = re.compile(
    r"amazonaws|\baws\b|amazon|azure|microsoft|google(?:usercontent|\s?cloud)|digitalocean|"
    r"linode|akamai|hetzner|\bovh|oracle\s?cloud|alibaba|vultr|data\s?cent|hosting",
    re.IGNORECASE,
)
_BROWSER = re.compile(r"^Mozilla/\d|^Opera/\d")
