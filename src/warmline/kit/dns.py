"""The door to the DNS: what a name holds, asked of one name server or of this machine's.

Answers are kept for as long as the object lives, so that one check asks for each record once.
"""

from __future__ import annotations

import ipaddress

import dns.exception
import dns.name
import dns.resolver
import dns.reversename

from warmline.core.errors import ConfigError, Unreachable

TIMEOUT_S = 4.0  # for one question, over all tries and servers
QUESTIONS_MAX = 400  # in the life of one object


class Silent(Unreachable):
    """Nobody answers: the machine may be offline, and nothing can be said of any record."""


class NameServer:
    """Nothing there is an empty list. Raises Silent, and Unreachable where one name alone cannot be
    answered for."""

    def __init__(self, server: str = "", *, timeout_s: float = TIMEOUT_S) -> None:
        """`server`: an address, with `:port` where it is not 53; empty: this machine's own."""
        self.where = f"the name server {server}" if server else "this machine's name server"
        self._answers: dict[tuple[str, str], list[str]] = {}
        if server:
            self._resolver = dns.resolver.Resolver(configure=False)
            address, port = server_place(server)
            self._resolver.nameservers = [address]
            self._resolver.port = port
        else:
            try:
                self._resolver = dns.resolver.Resolver()
            except (dns.exception.DNSException, OSError):
                raise Silent(
                    "this machine has no name server", hint="name one: mail.dns.server"
                ) from None
        self._resolver.lifetime = timeout_s
        self._resolver.timeout = timeout_s / 2

    def txt(self, name: str) -> list[str]:
        """Each record as one text, its strings joined."""
        return self._ask(name, "TXT")

    def addresses(self, name: str) -> list[str]:
        return [*self._ask(name, "A"), *self._ask(name, "AAAA")]

    def mail_servers(self, name: str) -> list[str]:
        """By preference; `.` alone says that the domain takes no mail."""
        rows = sorted(tuple(row.split(" ", 1)) for row in self._ask(name, "MX"))
        rows.sort(key=lambda row: int(row[0]))
        return [host for _, host in rows]

    def knows_anything(self) -> bool:
        """Whether any question was answered with a record, or the root of all names is known. A
        machine that is cut off may have a name server that denies everything."""
        return any(self._answers.values()) or bool(self._ask(".", "NS"))

    def names(self, address: str) -> list[str]:
        """The names that an address has (PTR)."""
        try:
            return self._ask(dns.reversename.from_address(address).to_text(), "PTR")
        except dns.exception.SyntaxError:
            return []

    def _ask(self, name: str, kind: str) -> list[str]:
        key = (name.rstrip(".").lower(), kind)
        if key not in self._answers:
            if len(self._answers) >= QUESTIONS_MAX:
                raise Unreachable(f"more than {QUESTIONS_MAX} questions to {self.where}")
            self._answers[key] = self._asked(name, kind)
        return self._answers[key]

    def _asked(self, name: str, kind: str) -> list[str]:
        try:
            found = self._resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong, UnicodeError):
            return []  # no such name can be
        except dns.resolver.NoNameservers as error:
            if code := _code(error):
                raise Unreachable(f"{self.where} cannot answer for {name}: {code}") from None
            raise self._silent() from None
        except (dns.exception.DNSException, OSError):
            raise self._silent() from None
        if kind == "TXT":
            return [b"".join(row.strings).decode("utf-8", "replace") for row in found]
        if kind == "MX":
            return [f"{row.preference} {_plain(row.exchange.to_text())}" for row in found]
        return [_plain(row.to_text()) for row in found]

    def _silent(self) -> Silent:
        return Silent(
            f"{self.where} does not answer",
            hint="is this machine offline? Another can be named: mail.dns.server",
        )


def _plain(name: str) -> str:
    return name if name == "." else name.rstrip(".").lower()


def _code(error: dns.resolver.NoNameservers) -> str:
    """What the server answered; empty where none did."""
    text = str(error)
    return next((word for word in ("SERVFAIL", "REFUSED", "FORMERR") if word in text), "")


def server_place(server: str) -> tuple[str, int]:
    """Address and port of a name server as written. Raises ConfigError."""
    address, port = server.strip(), "53"
    if address.startswith("["):
        address, bracket, rest = address[1:].partition("]")
        port = (rest.removeprefix(":") or port) if bracket else ""
    elif address.count(":") == 1:
        address, _, port = address.partition(":")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        address = ""
    if not address or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(
            f"mail.dns.server is {server!r}; expected an address such as 192.0.2.53, "
            "192.0.2.53:5353 or [2001:db8::53]:53"
        )
    return address, int(port)
