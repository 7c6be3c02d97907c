"""`warmline check mail` against a DNS server: what is wrong, and the very record to put there."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import START
from tests.names import Names, names
from warmline.cli.starter import copy_starter
from warmline.config.project import load
from warmline.core.errors import ConfigError
from warmline.flows.check_mail import MailReport, check_mail
from warmline.ports import Verdict
from warmline.store.models import Candidate

# A string in the DNS holds 255 characters: a key of 2048 bits stands in two.
KEY = '" "'.join((base64.b64encode(b"x" * 147).decode(), base64.b64encode(b"x" * 147).decode()))
SHORT, WEAK = (base64.b64encode(b"x" * size).decode() for size in (162, 94))
SPF = 'bakery.org. IN TXT "v=spf1 ip4:203.0.113.7 -all"'
DKIM = f's1._domainkey.bakery.org. IN TXT "v=DKIM1; k=rsa; " "p={KEY}"'
DMARC = '_dmarc.bakery.org. IN TXT "v=DMARC1; p=quarantine; rua=mailto:dmarc@bakery.org"'
PTR = "7.113.0.203.in-addr.arpa. IN PTR mail.bakery.org."
HOST = "mail.bakery.org. IN A 203.0.113.7"
MX = "bakery.org. IN MX 10 mail.bakery.org."
GOOD = (SPF, DKIM, DMARC, PTR, HOST, MX)
Look = Callable[..., MailReport]


@pytest.fixture
def dns() -> Iterator[Names]:
    with names("\n".join(GOOD)) as server:
        yield server


@pytest.fixture
def look(dns: Names, tmp_path: Path, ledger: None) -> Look:
    """The report on a project that mails as bakery.org; `change` gives another record or none."""

    def report(*change: tuple[str, str], also: str = "", **keys: str) -> MailReport:
        zone = dns.zone
        for old, new in change:
            assert old in zone
            zone = zone.replace(old, new)
        dns.zone = f"{zone}\n{also}"
        folder = tmp_path / f"project-{len(list(tmp_path.iterdir()))}"
        return check_mail(load(project(folder, dns, **keys)), timeout_s=1.0)

    return report


def project(folder: Path, dns: Names, **keys: str) -> Path:
    copy_starter(folder)
    path = folder / "warmline.yaml"
    told = {"server": f'"{dns.server}"', "selectors": "[s1]", "hosts": "[mail.bakery.org]", **keys}
    block = ", ".join(f"{key}: {value}" for key, value in told.items() if value)
    text = path.read_text().replace("kim.sandberg@example.com", "kim@bakery.org")
    path.write_text(text.replace("  sender:\n", f"  dns: {{{block}}}\n  sender:\n", 1))
    return folder


def said(report: MailReport, what: str, domain: str = "bakery.org") -> tuple[Verdict, str]:
    part = report.hosts if what.startswith(("PTR", "address")) else report.domains
    found = part["mail.bakery.org" if part is report.hosts else domain]
    (one,) = [finding for finding in found if finding.what == what]
    return one.verdict, one.advice


def test_what_is_right_is_told_as_right(look: Look) -> None:
    report = look()
    assert report.ok, report.as_json()
    assert {f.what: f.verdict for f in report.domains["bakery.org"]} == dict.fromkeys(
        ("SPF", "DKIM s1", "DMARC", "alignment", "MX, for answers"), Verdict.OK
    )
    assert said(report, "alignment")[1] == "by DKIM and by SPF"
    assert said(report, "PTR of 203.0.113.7") == (Verdict.OK, "mail.bakery.org, and back")
    assert report.as_json()["domains"]["bakery.org"]["findings"][0]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("old", "new", "verdict", "words"),
    [
        (SPF, "", Verdict.MISSING,
         ['put bakery.org. IN TXT "v=spf1 ip4:203.0.113.7 ~all" into the DNS']),
        ("ip4:203.0.113.7 -all", "mx:other.org -all", Verdict.FAILED,
         ["does not let ip4:203.0.113.7 send",
          'bakery.org. IN TXT "v=spf1 mx:other.org ip4:203.0.113.7 -all"']),
        ("ip4:203.0.113.7 -all", "ip4:203.0.113.7 +all", Verdict.FAILED,
         ["+all lets anybody send", 'IN TXT "v=spf1 ip4:203.0.113.7 ~all"']),
        ("ip4:203.0.113.7 -all", "ipv4:203.0.113.7 -all", Verdict.FAILED,
         ["'ipv4:203.0.113.7' is no term of SPF"]),
        (SPF, f'{SPF}\nbakery.org. IN TXT "v=spf1 mx ~all"', Verdict.FAILED,
         ["there are 2 records", 'keep one, bakery.org. IN TXT "v=spf1', "mx", "ip4:203.0.113.7"]),
        ("ip4:203.0.113.7 -all", "exists:%{i}.x.org -all", Verdict.UNKNOWN, ["by a macro"]),
    ],
)  # fmt: skip
def test_spf(look: Look, old: str, new: str, verdict: Verdict, words: list[str]) -> None:
    found = said(look((old, new)), "SPF")
    assert found[0] is verdict
    for word in words:
        assert word in found[1]


@pytest.mark.parametrize(
    ("old", "new", "verdict", "words"),
    [
        (DKIM, "", Verdict.MISSING,
         's1._domainkey.bakery.org. IN TXT "v=DKIM1; k=rsa; p=…" into the DNS'),
        (f"p={KEY}", "p=", Verdict.FAILED, "withdrawn"),
        (f"p={KEY}", "p=no*base64", Verdict.FAILED, "not whole"),
        (f"p={KEY}", f"p={WEAK}", Verdict.FAILED, "under 1024 bits"),
        (f"p={KEY}", f"p={SHORT}", Verdict.OK, "under 2048 bits"),
        ("k=rsa; ", "k=rsa; t=y; ", Verdict.FAILED, "it is a test"),
        ("v=DKIM1", "v=DKIM2", Verdict.FAILED, "v=DKIM2"),
    ],
)  # fmt: skip
def test_dkim(look: Look, old: str, new: str, verdict: Verdict, words: str) -> None:
    found = said(look((old, new)), "DKIM s1")
    assert found[0] is verdict
    assert words in found[1]


@pytest.mark.parametrize(
    ("old", "new", "verdict", "words"),
    [
        (DMARC, "", Verdict.MISSING,
         '_dmarc.bakery.org. IN TXT "v=DMARC1; p=none; rua=mailto:dmarc@bakery.org" into'),
        ("p=quarantine", "p=none", Verdict.OK, "raise it to p=quarantine"),
        ("p=quarantine", "p=block", Verdict.FAILED, "p=block"),
        ("p=quarantine; ", "", Verdict.FAILED, "p=(missing)"),
        ("; rua=mailto:dmarc@bakery.org", "", Verdict.OK, "nobody gets the reports"),
        ("v=DMARC1", "v=DMARC", Verdict.FAILED, "does not begin with v=DMARC1"),
        (DMARC, f"{DMARC}\n{DMARC.replace('quarantine', 'none')}", Verdict.FAILED, "2 records"),
    ],
)  # fmt: skip
def test_dmarc(look: Look, old: str, new: str, verdict: Verdict, words: str) -> None:
    found = said(look((old, new)), "DMARC")
    assert found[0] is verdict
    assert words in found[1]


def test_the_organisations_dmarc_holds_for_a_domain_below_it(look: Look, dns: Names) -> None:
    dns.zone = dns.zone.replace("rua=", "sp=reject; rua=")
    report = look()
    assert said(report, "DMARC")[1] == "p=quarantine"
    Candidate.objects.create(
        owner_email="kim@jobs.bakery.org", owner_name="Kim", as_of=START, created_at=START
    )
    assert said(look(), "DMARC", "jobs.bakery.org") == (Verdict.OK, "p=reject")


def test_mail_that_only_a_provider_signs_does_not_align(look: Look) -> None:
    bounces = 'bounces.relay.net. IN TXT "v=spf1 ip4:203.0.113.7 -all"'
    report = look((DKIM, ""), also=bounces, return_path="bounces.relay.net")
    assert said(report, "SPF of bounces.relay.net")[0] is Verdict.OK
    verdict, words = said(report, "alignment")
    assert verdict is Verdict.FAILED
    assert "sign with DKIM as bakery.org, or send with a return path of it" in words


@pytest.mark.parametrize(("mode", "verdict"), [("r", Verdict.OK), ("s", Verdict.FAILED)])
def test_a_return_path_below_the_domain_aligns_unless_dmarc_is_strict(
    look: Look, mode: str, verdict: Verdict
) -> None:
    bounces = 'bounces.bakery.org. IN TXT "v=spf1 ip4:203.0.113.7 -all"'
    report = look(
        (DKIM, ""), ("rua=", f"aspf={mode}; rua="), also=bounces, return_path="bounces.bakery.org"
    )
    assert said(report, "alignment")[0] is verdict


def test_spf_alone_is_told_to_break_when_forwarded(look: Look) -> None:
    assert "a forwarded mail loses" in said(look((DKIM, "")), "alignment")[1]


@pytest.mark.parametrize(
    ("old", "new", "verdict", "words"),
    [
        (PTR, "", Verdict.MISSING, "7.113.0.203.in-addr.arpa. IN PTR mail.bakery.org."),
        (PTR, PTR.replace("mail.bakery", "vps7.host"), Verdict.FAILED,
         "vps7.host.org does not lead back: put vps7.host.org. IN A 203.0.113.7 into"),
        (HOST, "mail.bakery.org. IN A 10.0.0.7", Verdict.UNKNOWN, "your own network"),
    ],
)  # fmt: skip
def test_the_name_of_the_sending_host(
    look: Look, old: str, new: str, verdict: Verdict, words: str
) -> None:
    report = look((old, new))
    (one,) = report.hosts["mail.bakery.org"]
    assert one.verdict is verdict
    assert words in one.advice


def test_a_host_without_an_address(look: Look) -> None:
    assert said(look((HOST, "")), "address")[0] is Verdict.MISSING


@pytest.mark.parametrize(
    ("old", "new", "verdict", "words"),
    [
        (MX, "", Verdict.MISSING, "bakery.org. IN MX 10 YOUR-MAIL-SERVER."),
        (MX, "bakery.org. IN A 203.0.113.7", Verdict.MISSING, "receivers try bakery.org itself"),
        (MX, "bakery.org. IN MX 0 .", Verdict.FAILED, "takes no mail"),
        (MX, "bakery.org. IN MX 5 gone.bakery.org.", Verdict.FAILED, "gone.bakery.org has no addr"),
    ],
)  # fmt: skip
def test_where_answers_go(look: Look, old: str, new: str, verdict: Verdict, words: str) -> None:
    found = said(look((old, new)), "MX, for answers")
    assert found[0] is verdict
    assert words in found[1]


def test_what_is_not_named_is_not_seen_and_not_wrong(look: Look) -> None:
    """The starter's mail server is this machine: nobody can say what it sends from."""
    report = look(hosts="", selectors="")
    assert report.ok
    assert report.hosts == {}
    for what in ("SPF", "DKIM", "alignment"):
        assert said(report, what)[0] is Verdict.UNKNOWN
    assert "mail.dns.include" in said(report, "SPF")[1]


def test_what_a_provider_asks_for_is_looked_for(look: Look) -> None:
    report = look(hosts="", include="_spf.relay.net")
    verdict, words = said(report, "SPF")
    assert verdict is Verdict.FAILED
    assert "v=spf1 ip4:203.0.113.7 include:_spf.relay.net -all" in words


def test_a_name_that_cannot_be_answered_for_hides_no_other(look: Look, dns: Names) -> None:
    dns.broken.add("s1._domainkey.bakery.org")
    report = look()
    (one,) = report.domains["bakery.org"]
    assert (one.what, one.verdict) == ("DNS", Verdict.UNREACHABLE)
    assert "SERVFAIL" in one.advice
    assert said(report, "PTR of 203.0.113.7")[0] is Verdict.OK


def test_nobody_answers_and_that_is_one_line(look: Look, dns: Names) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        at = nobody.getsockname()[1]
        nobody.close()
        report = look(server=f'"127.0.0.1:{at}"')
    (one,) = report.findings
    assert (one.what, one.verdict) == ("DNS", Verdict.UNREACHABLE)
    assert "offline" in one.advice
    assert not report.ok


def test_a_name_server_that_denies_everything_is_not_believed(look: Look, dns: Names) -> None:
    dns.zone = ""
    (one,) = look().findings
    assert (one.what, one.verdict) == ("DNS", Verdict.UNREACHABLE)
    assert "knows no name at all" in one.advice
    dns.zone = ". IN NS a.root-servers.net."
    assert said(look(), "SPF")[0] is Verdict.MISSING


@pytest.mark.parametrize("server", ["ns.bakery.org", "127.0.0.1:0", "127.0.0.1:x", "[::1"])
def test_a_name_server_that_is_no_address_is_named(look: Look, server: str) -> None:
    with pytest.raises(ConfigError, match=r"mail\.dns\.server"):
        look(server=f'"{server}"')


def test_a_selector_with_more_than_a_selector_is_named(look: Look) -> None:
    with pytest.raises(ConfigError, match=r"mail\.dns\.selectors"):
        look(selectors='["s1 _domainkey"]')


def test_each_record_is_asked_for_once(look: Look, dns: Names) -> None:
    look()
    assert set(dns.asked.values()) == {1}
