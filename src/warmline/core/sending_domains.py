"""What a receiving server makes of a sending domain's DNS: DKIM keys, DMARC, and alignment.

Pure: the records come from `core.spf.Records`. Each judgement says what is wrong and the record to
put into the DNS, as a line of a zone file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

_RSA_1024_BYTES, _RSA_2048_BYTES = 160, 290  # of a public key as DKIM holds it, about
_POLICIES = ("none", "quarantine", "reject")


class Standing(StrEnum):
    GOOD = "good"
    ABSENT = "absent"
    WRONG = "wrong"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`said`: what was found, and where it is not good what to do."""

    standing: Standing
    said: str


@dataclass(frozen=True, slots=True)
class Dmarc:
    """The DMARC record that counts for a domain. `at` is the domain that it stands at."""

    judgement: Judgement
    at: str = ""
    strict_spf: bool = False
    strict_dkim: bool = False


def zone_line(name: str, kind: str, value: str) -> str:
    return f'{name}. IN {kind} "{value}"' if kind == "TXT" else f"{name}. IN {kind} {value}"


def tags(record: str) -> dict[str, str]:
    """`tag=value; tag=value`, as DKIM and DMARC write it. What is no tag is left out."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}


# DKIM


def judge_key(name: str, texts: Sequence[str]) -> Judgement:
    """The key at `SELECTOR._domainkey.DOMAIN`."""
    line = zone_line(name, "TXT", "v=DKIM1; k=rsa; p=…")
    found = [t for t in texts if "p" in tags(t)]
    if not found:
        return Judgement(
            Standing.ABSENT,
            f"no key: put {line} into the DNS, with the key that your mail server or provider "
            "shows for this selector",
        )
    if len(found) > 1:
        return Judgement(
            Standing.WRONG, f"{len(found)} keys: receivers may take either; keep one at {name}"
        )
    told = tags(found[0])
    if told.get("v", "DKIM1") != "DKIM1":
        return Judgement(Standing.WRONG, f"v={told['v'][:20]} is no DKIM key; expected {line}")
    if not told["p"]:
        return Judgement(Standing.WRONG, f"the key is withdrawn (p= is empty); expected {line}")
    try:
        key = base64.b64decode(re.sub(r"\s", "", told["p"]), validate=True)
    except (binascii.Error, ValueError):
        return Judgement(Standing.WRONG, f"p= is not whole (no base64); expected {line}")
    if told.get("k", "rsa").lower() == "rsa":
        if len(key) < _RSA_1024_BYTES:
            return Judgement(
                Standing.WRONG, "an RSA key of under 1024 bits, which receivers ignore: make 2048"
            )
        if len(key) < _RSA_2048_BYTES:
            return Judgement(Standing.GOOD, "an RSA key of under 2048 bits: make a longer one soon")
    if "y" in told.get("t", "").lower().split(":"):
        return Judgement(Standing.WRONG, "t=y says that it is a test, and receivers ignore it")
    return Judgement(Standing.GOOD, "there is a key")


# DMARC


def judge_dmarc(domain: str, found: Mapping[str, Sequence[str]]) -> Dmarc:
    """`found`: what stands at `_dmarc.` below the domain and below its organisation's domain, in
    that order; the first with a record counts."""
    line = zone_line(f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=none; rua=mailto:dmarc@{domain}")
    for at, texts in found.items():
        records = [t for t in texts if re.match(r"v\s*=\s*DMARC1\b", t)]
        if not records:
            continue
        if len(records) > 1:
            said = f"{len(records)} records at _dmarc.{at}, which count as none: keep one"
            return Dmarc(Judgement(Standing.WRONG, said), at)
        told = tags(records[0])
        policy = told.get("sp" if at != domain and "sp" in told else "p", "").lower()
        strict_spf, strict_dkim = (told.get(t, "r").lower() == "s" for t in ("aspf", "adkim"))
        if policy not in _POLICIES:
            said = f"p={policy or '(missing)'} at _dmarc.{at}; expected none, quarantine or reject"
            judged = Judgement(Standing.WRONG, f"{said}: {line}")
        elif "rua" not in told:
            said = f"p={policy}; nobody gets the reports: add rua=mailto:dmarc@{at}"
            judged = Judgement(Standing.GOOD, said)
        elif policy == "none":
            said = "p=none: when its reports are clean, raise it to p=quarantine"
            judged = Judgement(Standing.GOOD, said)
        else:
            judged = Judgement(Standing.GOOD, f"p={policy}")
        return Dmarc(judged, at, strict_spf, strict_dkim)
    strangers = [t for texts in found.values() for t in texts if "dmarc" in t.lower()]
    said = f"put {line} into the DNS: large mailbox providers want one of whoever mails many"
    if strangers:
        said = f"what stands there does not begin with v=DMARC1; expected {line}"
        return Dmarc(Judgement(Standing.WRONG, said))
    return Dmarc(Judgement(Standing.ABSENT, said))


def aligned(one: str, other: str, *, strict: bool, organisations: Mapping[str, str]) -> bool:
    """Whether DMARC takes two domains for the same. `organisations`: the organisation's domain of
    each, by the public suffix list."""
    if one == other:
        return True
    return not strict and organisations[one] == organisations[other]
