"""SPF as a receiving server reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from warmline.core.spf import LOOKUPS_MAX, Result, judge, with_terms

HERE, THERE, SIX = "203.0.113.7", "198.51.100.9", "2001:db8::7"


@dataclass
class Zone:
    """What the DNS holds, by kind and name."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    hosts: dict[str, list[str]] = field(default_factory=dict)
    servers: dict[str, list[str]] = field(default_factory=dict)

    def txt(self, name: str) -> list[str]:
        return self.texts.get(name, [])

    def addresses(self, name: str) -> list[str]:
        return self.hosts.get(name, [])

    def mail_servers(self, name: str) -> list[str]:
        return self.servers.get(name, [])


ZONE = Zone(
    texts={
        "_spf.relay.net": ["v=spf1 ip4:198.51.100.0/24 -all"],
        "_spf.other.net": ["v=spf1 -all"],
        "macro.net": ["v=spf1 exists:%{i}.list.net -all"],
        "two.net": ["v=spf1 -all", "v=spf1 ~all"],
        "round.net": ["v=spf1 include:bakery.org -all"],
    },
    hosts={"bakery.org": [HERE, SIX], "mx.bakery.org": [THERE]},
    servers={"bakery.org": ["mx.bakery.org"]},
)


def found(record: str, address: str = HERE) -> tuple[Result, str]:
    ZONE.texts["bakery.org"] = [record]
    judged = judge("bakery.org", address, ZONE)
    return judged.result, judged.why


@pytest.mark.parametrize(
    ("record", "address", "result"),
    [
        ("v=spf1 ip4:203.0.113.7 -all", HERE, Result.PASS),
        ("v=spf1 ip4:203.0.113.0/24 -all", HERE, Result.PASS),
        ("V=SPF1 IP4:203.0.113.7 -ALL", HERE, Result.PASS),
        ("v=spf1 ip4:203.0.113.8 -all", HERE, Result.FAIL),
        ("v=spf1 ip4:203.0.113.8 ~all", HERE, Result.SOFTFAIL),
        ("v=spf1 ip4:203.0.113.8 ?all", HERE, Result.NEUTRAL),
        ("v=spf1 ip4:203.0.113.8", HERE, Result.NEUTRAL),
        ("v=spf1 -ip4:203.0.113.7 +all", HERE, Result.FAIL),
        ("v=spf1 ip6:2001:db8::/32 -all", SIX, Result.PASS),
        ("v=spf1 ip6:2001:db8::/32 -all", HERE, Result.FAIL),
        ("v=spf1 a -all", HERE, Result.PASS),
        ("v=spf1 a -all", SIX, Result.PASS),
        ("v=spf1 a:mx.bakery.org -all", HERE, Result.FAIL),
        ("v=spf1 a:mx.bakery.org/24 -all", "198.51.100.77", Result.PASS),
        ("v=spf1 a//64 -all", "2001:db8::99", Result.PASS),
        ("v=spf1 mx -all", THERE, Result.PASS),
        ("v=spf1 include:_spf.relay.net -all", THERE, Result.PASS),
        ("v=spf1 include:_spf.relay.net -all", HERE, Result.FAIL),
        ("v=spf1 include:_spf.other.net ip4:203.0.113.7 -all", HERE, Result.PASS),
        ("v=spf1 redirect=_spf.relay.net", THERE, Result.PASS),
        ("v=spf1 -all redirect=_spf.relay.net", THERE, Result.FAIL),
        ("v=spf1 ip4:203.0.113.7 exp=why.bakery.org -all", HERE, Result.PASS),
        ("v=spf1 exists:%{i}.list.net -all", HERE, Result.UNCLEAR),
        ("v=spf1 include:macro.net -all", HERE, Result.UNCLEAR),
        ("v=spf1 ptr -all", HERE, Result.UNCLEAR),
    ],
)
def test_a_receiver_finds(record: str, address: str, result: Result) -> None:
    assert found(record, address)[0] is result


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("v=spf1 ipv4:203.0.113.7 -all", "'ipv4:203.0.113.7' is no term"),
        ("v=spf1 ip4:203.0.113 -all", "holds no address"),
        ("v=spf1 ip4:2001:db8::7 -all", "version 6"),
        ("v=spf1 include: -all", "names nothing"),
        ("v=spf1 -all:x", "`all` by itself"),
        ("v=spf1 a/x -all", "no size"),
        ("v=spf1 include:nowhere.net -all", "has no SPF record"),
        ("v=spf1 include:two.net -all", "has 2 SPF records"),
        ("v=spf1 include:round.net -all", "includes itself"),
        ("v=spf1 " + "a:mx.bakery.org " * (LOOKUPS_MAX + 1) + "-all", "more than 10 look-ups"),
    ],
)
@pytest.mark.parametrize("address", ["", THERE[:-1] + "8"])
def test_a_record_that_cannot_be_used_says_why(record: str, why: str, address: str) -> None:
    result, said = found(record, address)
    assert result is Result.PERMERROR
    assert why in said


def test_ten_look_ups_are_not_too_many() -> None:
    assert found("v=spf1 " + "a:none.org " * LOOKUPS_MAX + "-all", "")[0] is Result.PASS


def test_no_record_and_two_records() -> None:
    zone = Zone(texts={"a.org": ["google-site=1", "v=spf10 -all"], "b.org": ["v=spf1", "v=spf1 a"]})
    assert judge("a.org", HERE, zone).result is Result.NONE
    both = judge("b.org", HERE, zone)
    assert (both.result, both.why) == (Result.PERMERROR, "there are 2 records")


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ("v=spf1 mx -all", "v=spf1 mx ip4:203.0.113.7 -all"),
        ("v=spf1 redirect=x.org", "v=spf1 ip4:203.0.113.7 redirect=x.org"),
        ("v=spf1 mx", "v=spf1 mx ip4:203.0.113.7 ~all"),
        ("v=spf1", "v=spf1 ip4:203.0.113.7 ~all"),
        ("v=spf1 ip4:203.0.113.7 ~all", "v=spf1 ip4:203.0.113.7 ~all"),
    ],
)
def test_a_term_goes_before_what_is_said_of_all_others(record: str, wanted: str) -> None:
    assert with_terms(record, ["ip4:203.0.113.7"]) == wanted
