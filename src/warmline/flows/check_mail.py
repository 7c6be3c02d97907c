"""`warmline check mail`: what receiving servers find in the DNS about whoever we mail as.

For each domain in From: SPF, DKIM, DMARC, whether they align, and where answers go. For each host
that mail leaves from: its name, and back. Only the DNS is asked, and nothing is written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from warmline.config.project import Project
from warmline.core.errors import ConfigError, Unreachable
from warmline.core.sending_domains import (
    Judgement,
    Standing,
    aligned,
    judge_dmarc,
    judge_key,
    zone_line,
)
from warmline.core.spf import Judged, Result, judge, term_for, with_terms
from warmline.kit.dns import TIMEOUT_S, NameServer, Silent
from warmline.ports import Finding, Verdict
from warmline.store.models import Candidate

DOMAINS_MAX = 20  # looked at; recruiters write from few
_VERDICTS = {
    Standing.GOOD: Verdict.OK,
    Standing.ABSENT: Verdict.MISSING,
    Standing.WRONG: Verdict.FAILED,
    Standing.UNSEEN: Verdict.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class MailReport:
    """Findings by domain of From, and by host that mail leaves from. `unseen` holds one finding
    where the DNS did not answer: then there is nothing else to tell."""

    domains: Mapping[str, tuple[Finding, ...]]
    hosts: Mapping[str, tuple[Finding, ...]]
    unseen: tuple[Finding, ...] = ()

    @property
    def findings(self) -> list[Finding]:
        parts = (*self.domains.values(), *self.hosts.values(), self.unseen)
        return [finding for part in parts for finding in part]

    @property
    def to_mend(self) -> int:
        return sum(finding.verdict.to_mend for finding in self.findings)

    @property
    def ok(self) -> bool:
        return self.to_mend == 0

    def as_json(self) -> dict[str, Any]:
        """For scripts."""

        def told(part: Mapping[str, Sequence[Finding]]) -> dict[str, Any]:
            return {name: {"findings": _said(found)} for name, found in part.items()}

        return {
            "ok": self.ok,
            "to_mend": self.to_mend,
            "domains": told(self.domains),
            "hosts": told(self.hosts),
            "dns": _said(self.unseen),
        }


def _said(found: Iterable[Finding]) -> list[dict[str, Any]]:
    keys = ("what", "verdict", "advice")
    return [{key: asdict(finding)[key] for key in keys} for finding in found]


def check_mail(project: Project, *, timeout_s: float = TIMEOUT_S) -> MailReport:
    """Raises ConfigError where `mail.dns` is wrong. `timeout_s` is for one question; the first
    that nobody answers ends the look."""
    try:
        return _Look(project, timeout_s).report()
    except Silent as error:
        return MailReport({}, {}, (_unanswered(error),))


def _unanswered(error: Unreachable) -> Finding:
    said = f"{error.reason}; {error.hint}" if error.hint else error.reason
    return Finding("DNS", Verdict.UNREACHABLE, said)


def from_domains(project: Project) -> list[str]:
    """The domains in From: the sender's, those that recruiters may write from, and where any may,
    those that they have."""
    sender = project.file.mail.sender
    found = [sender.address.rpartition("@")[2], *sender.domains]
    if not sender.domains:
        owners = Candidate.objects.exclude(owner_email="").values_list("owner_email", flat=True)
        found += sorted(owner.rpartition("@")[2] for owner in owners.distinct()[:1000])
    return list(dict.fromkeys(d.lower().rstrip(".") for d in found if d))[:DOMAINS_MAX]


class _Look:
    def __init__(self, project: Project, timeout_s: float) -> None:
        self.project = project
        self.wanted = project.file.mail.dns
        self.dns = NameServer(self.wanted.server, timeout_s=timeout_s)
        self.domains = from_domains(project)
        self.hosts, self.whose = self._hosts()

    def report(self) -> MailReport:
        addresses = {host: self._addresses(host) for host in self.hosts}
        seen = [a for found in addresses.values() for a in found if _public(a)]
        report = MailReport(
            {domain: _all(self._domain(domain, seen)) for domain in self.domains},
            {host: _all(self._host(host, found)) for host, found in addresses.items()},
        )
        if not self.dns.knows_anything():
            raise Silent(
                f"{self.dns.where} knows no name at all, not even the root of them",
                hint="is this machine cut off? Another can be named: mail.dns.server",
            )
        return report

    def _hosts(self) -> tuple[list[str], str]:
        """What mail leaves from; and where that is not known, the server that it goes by."""
        if self.wanted.hosts:
            return [host.lower().rstrip(".") for host in self.wanted.hosts], ""
        connection = self.project.connections[self.project.file.mail.connection]
        host = str(connection.settings.get("host") or "").lower().rstrip(".")
        own = any(host == d or host.endswith(f".{d}") for d in self.domains)
        return ([host], "") if host and own else ([], host or connection.connector)

    def _addresses(self, host: str) -> list[str]:
        try:
            return [str(ipaddress.ip_address(host.strip("[]")))]
        except ValueError:
            return self.dns.addresses(host)

    # A domain

    def _domain(self, domain: str, addresses: Sequence[str]) -> Iterable[Finding]:
        from checkdmarc.utils import get_base_domain  # half a second to import

        sender = (self.wanted.return_path or domain).lower()
        organisations = {d: get_base_domain(d) for d in (domain, sender)}
        spf = self._spf(sender, addresses)
        keys = {
            f"{selector}._domainkey.{domain}": self._key(selector, domain)
            for selector in self.wanted.selectors
        }
        places = dict.fromkeys((domain, organisations[domain]))
        dmarc = judge_dmarc(domain, {at: self.dns.txt(f"_dmarc.{at}") for at in places})
        yield _finding(f"SPF of {sender}" if sender != domain else "SPF", spf)
        if not keys:
            said = "name the selector that your mail server signs with: mail.dns.selectors"
            yield Finding("DKIM", Verdict.UNKNOWN, said)
        for name, key in keys.items():
            yield _finding(f"DKIM {name.partition('.')[0]}", key)
        yield _finding("DMARC", dmarc.judgement)
        same = aligned(sender, domain, strict=dmarc.strict_spf, organisations=organisations)
        yield _finding("alignment", _alignment(domain, sender, spf, list(keys.values()), same=same))
        yield self._answers(domain)

    def _key(self, selector: str, domain: str) -> Judgement:
        if not selector.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ConfigError(
                f"mail.dns.selectors holds {selector!r}; expected the selector alone, such as s1"
            )
        name = f"{selector}._domainkey.{domain}"
        return judge_key(name, self.dns.txt(name))

    def _spf(self, domain: str, addresses: Sequence[str]) -> Judgement:
        whole = judge(domain, "", self.dns)
        terms = [term_for(address) for address in addresses]
        if self.wanted.include:
            terms = [f"include:{self.wanted.include}", *terms]
        if whole.result is Result.NONE:
            terms = terms or ["include:YOUR-PROVIDER"]
            line = zone_line(domain, "TXT", with_terms("v=spf1", terms))
            return Judgement(Standing.ABSENT, f"there is none: put {line} into the DNS")
        if whole.result is Result.PERMERROR:
            return Judgement(Standing.WRONG, _mend(domain, whole, terms))
        record = whole.records[0]
        last = next((w for w in record.lower().split() if w in ("+all", "all", "?all")), "")
        if last:
            line = zone_line(domain, "TXT", record.replace(last, "~all"))
            said = f"{last} lets anybody send as {domain}: put {line} there instead"
            return Judgement(Standing.WRONG, said)
        found = {address: judge(domain, address, self.dns) for address in addresses}
        missing = [a for a, one in found.items() if one.result is not Result.PASS]
        unclear = any(one.result is Result.UNCLEAR for one in found.values())
        wanted = [term_for(a) for a in missing if found[a].result is not Result.UNCLEAR]
        include = self.wanted.include
        if include and f"include:{include}".lower() not in record.lower().split():
            wanted = [f"include:{include}", *wanted]
        if wanted:
            line = zone_line(domain, "TXT", with_terms(record, wanted))
            said = f"it does not let {', '.join(wanted)} send: put {line} there instead"
            return Judgement(Standing.WRONG, said)
        if unclear:
            return Judgement(Standing.UNSEEN, "it decides by a macro: send a test and read it")
        if not addresses and not include:
            said = (
                f"there is one; whether it lets {self.whose or 'your mail server'} send was not "
                "seen: name mail.dns.include (a provider's) or mail.dns.hosts"
            )
            return Judgement(Standing.UNSEEN, said)
        return Judgement(Standing.GOOD, f"lets us send; {whole.lookups} of 10 look-ups")

    def _answers(self, domain: str) -> Finding:
        what = "MX, for answers"
        servers = self.dns.mail_servers(domain)
        if servers == ["."]:
            said = f"{domain} says that it takes no mail: nobody can answer; write from another"
            return Finding(what, Verdict.FAILED, said)
        if servers:
            lost = [host for host in servers if not self.dns.addresses(host)]
            if len(lost) == len(servers):
                said = f"{', '.join(lost[:3])} has no address: give it one (A), or name another"
                return Finding(what, Verdict.FAILED, said)
            return Finding(what, Verdict.OK, servers[0])
        if self.dns.addresses(domain):
            said = f"none; receivers try {domain} itself, which mostly takes no mail: put "
            return Finding(what, Verdict.MISSING, said + _mx(domain))
        return Finding(what, Verdict.MISSING, f"nobody can answer: put {_mx(domain)}")

    # A host

    def _host(self, host: str, addresses: Sequence[str]) -> Iterable[Finding]:
        if not addresses:
            line = zone_line(host, "A", "YOUR-ADDRESS")
            yield Finding("address", Verdict.MISSING, f"it has none: put {line} into the DNS")
        for address in addresses:
            what = f"PTR of {address}"
            if not _public(address):
                said = "an address of your own network: name what the outside sees (mail.dns.hosts)"
                yield Finding(what, Verdict.UNKNOWN, said)
                continue
            names = self.dns.names(address)
            good = [name for name in names if address in self.dns.addresses(name)]
            name = host if host != address else "mail." + self.domains[0]
            reverse = zone_line(ipaddress.ip_address(address).reverse_pointer, "PTR", f"{name}.")
            if good:
                yield Finding(what, Verdict.OK, f"{good[0]}, and back")
            elif names:
                kind = "AAAA" if ":" in address else "A"
                line = zone_line(names[0], kind, address)
                said = f"{names[0]} does not lead back: put {line} into the DNS"
                yield Finding(what, Verdict.FAILED, said)
            else:
                said = f"none: whoever gave you the address puts {reverse} into theirs"
                yield Finding(what, Verdict.MISSING, said)


def _all(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings; where one name cannot be answered for, those before it."""
    said: list[Finding] = []
    try:
        said.extend(found)
    except Silent:
        raise
    except Unreachable as error:
        said.append(_unanswered(error))
    return tuple(said)


def _alignment(
    domain: str, sender: str, spf: Judgement, keys: Sequence[Judgement], *, same: bool
) -> Judgement:
    """DMARC passes where SPF or DKIM does for the domain in From."""
    by_spf = spf.standing is Standing.GOOD and same
    by_dkim = any(key.standing is Standing.GOOD for key in keys)
    if by_dkim and by_spf:
        return Judgement(Standing.GOOD, "by DKIM and by SPF")
    if by_dkim:
        return Judgement(Standing.GOOD, f"by DKIM, as long as your mail server signs as {domain}")
    if by_spf:
        said = "by SPF alone, which a forwarded mail loses: sign with DKIM too"
        return Judgement(Standing.GOOD, said)
    if not keys or (spf.standing is Standing.UNSEEN and same):
        return Judgement(Standing.UNSEEN, "not seen: see SPF and DKIM above")
    said = f"neither passes for {domain}: sign with DKIM as {domain}"
    if not same:
        said += f", or send with a return path of it instead of {sender}"
    return Judgement(Standing.WRONG, said)


def _finding(what: str, judged: Judgement) -> Finding:
    return Finding(what, _VERDICTS[judged.standing], judged.said)


def _mend(domain: str, whole: Judged, terms: Sequence[str]) -> str:
    if len(whole.records) > 1:
        words = [w for record in whole.records for w in record.split()[1:]]
        own = [w for w in words if w.lower().lstrip("+-~?") != "all"]
        line = zone_line(domain, "TXT", with_terms("v=spf1 ~all", [*own, *terms]))
        return f"{whole.why}, which count as none: keep one, {line}"
    return f"receivers cannot use it: {whole.why}; it is {whole.records[0][:200]!r}"


def _mx(domain: str) -> str:
    return f"{zone_line(domain, 'MX', '10 YOUR-MAIL-SERVER.')} into the DNS"


def _public(address: str) -> bool:
    """Whether the outside can see it. The ranges of documentation count: tests use them."""
    ip = ipaddress.ip_address(address)
    documented = any(ip in net for net in _DOCUMENTED if net.version == ip.version)
    return documented or ip.is_global


_DOCUMENTED = tuple(
    ipaddress.ip_network(net)
    for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
