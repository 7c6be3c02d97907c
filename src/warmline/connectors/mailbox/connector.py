"""A mailbox over IMAP, read and never changed: what came back for the mails that we sent.

Mails that name none of ours are looked at and forgotten: only the others become records.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import imaplib
import ipaddress
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from warmline.connectors.mailbox.cursor import Position
from warmline.core.errors import (
    AuthFailed,
    ConfigError,
    Malformed,
    Refused,
    Unreachable,
    WarmlineError,
)
from warmline.core.events import Event
from warmline.kit.connection_settings import ConnectionSettings
from warmline.kit.incoming import events_of
from warmline.kit.json_reader import JsonReader
from warmline.ports import Finding, Needs, Options, Page, Received, Record, Verdict

MAIL_BYTES_MAX = 256 * 1024  # read of a mail: what matters stands at its beginning
_PORTS = {"implicit": 993, "starttls": 143, "none": 143}
_PART = b"BODY[]<0>"
_JSON = JsonReader("mailbox")
# imaplib's own limit of a line is for servers that list everything on one; ours is a mail.
imaplib._MAXLINE = max(imaplib._MAXLINE, 4 * MAIL_BYTES_MAX)  # type: ignore[attr-defined]


class Mailbox:
    """`parses`, `lists_changes` and `checks` over one folder."""

    def __init__(self, options: Options) -> None:
        where = f"connection {options.name}"
        read = ConnectionSettings(where, options.settings)
        self.host = read.text("host", "")
        if not self.host:
            raise ConfigError(f"{where}: host is missing: the IMAP server's name")
        self.tls = read.text("tls", "implicit")
        if self.tls not in _PORTS:
            raise ConfigError(f"{where}: tls is {self.tls!r}; expected implicit, starttls or none")
        if self.tls == "none" and not _loopback(self.host):
            raise ConfigError(
                f"{where}: tls is none and the host is not this machine: mails and the password "
                "would cross the network readable",
                hint="set tls to implicit (port 993) or starttls (port 143)",
            )
        self.port = read.whole_number("port", _PORTS[self.tls], 1, 65535)
        self.username = read.text("username", "")
        self.password = str(options.secrets.get("password") or "")
        for name, found in (("username", self.username), ("password", self.password)):
            if not found:
                raise ConfigError(f"{where}: {name} is missing: a mailbox wants both to sign in")
        self.folder = read.text("folder", "INBOX")
        self.timeout_s = _seconds(options.settings.get("timeout_s"), where)
        self.mails_per_page = read.whole_number("mails_per_page", 20, 1, 200)
        self.ca_file = read.text("ca_file", "")
        if self.ca_file and not Path(self.ca_file).is_file():
            raise ConfigError(f"{where}: ca_file {self.ca_file} is not there")
        self._where = f"the mailbox at {self.host}:{self.port}"

    # parses

    def parse(self, received: Received) -> list[Event]:
        body = _JSON.load(received.body)
        raw = body.get("mail")
        if not isinstance(raw, str) or not raw:
            raise _JSON.fault("$.mail", raw, "a mail in base64")
        try:
            return events_of(base64.b64decode(raw, validate=True))
        except (binascii.Error, ValueError):
            raise _JSON.fault("$.mail", raw, "a mail in base64") from None

    # lists_changes

    def streams(self) -> tuple[str, ...]:
        return (self.folder,)

    def start(self, *, now: datetime) -> str:
        return str(Position(since=now))

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        at = Position.read(cursor)
        with self._opened() as (client, validity):
            uids = _newer(client, at, validity)
            if not uids:
                yield Page(stream, (), str(at), last=True)
                return
            floor = None if at.uid else at.since  # "from now on" is a moment, and SEARCH knows days
            for first in range(0, len(uids), self.mails_per_page):
                wanted = uids[first : first + self.mails_per_page]
                records, newest = self._read(client, wanted, floor)
                at = Position(validity, wanted[-1], newest or at.since)
                last = first + self.mails_per_page >= len(uids)
                yield Page(stream, tuple(records), str(at), last=last)

    def _read(
        self, client: IMAPClient, uids: list[int], floor: datetime | None
    ) -> tuple[list[Record], datetime | None]:
        """The records among these mails, and when the newest of them came."""
        asked = ["INTERNALDATE", f"BODY.PEEK[]<0.{MAIL_BYTES_MAX}>"]
        found: dict[int, dict[bytes, Any]] = client.fetch(uids, asked)
        records: dict[str, Record] = {}
        newest: datetime | None = None
        for uid in uids:
            mail = found.get(uid, {})
            raw, came = mail.get(_PART), mail.get(b"INTERNALDATE")
            if not isinstance(raw, bytes) or not isinstance(came, datetime):
                continue  # gone since it was listed
            came = came.astimezone(UTC)
            newest = came if newest is None else max(newest, came)
            if (floor is not None and came < floor) or not events_of(raw):
                continue
            key = hashlib.sha256(raw).hexdigest()
            body = {
                "folder": self.folder,
                "uid": uid,
                "came_at": came.isoformat(),
                "mail": base64.b64encode(raw).decode(),
            }
            records[key] = Record(key, json.dumps(body).encode())
        return list(records.values()), newest

    # checks

    def check(self, needs: Needs) -> list[Finding]:
        """The server, sign-in and the folder. A mailbox holds no field."""
        try:
            with self._opened() as (client, _):
                count = client.folder_status(self.folder, ["MESSAGES"]).get(b"MESSAGES", 0)
        except AuthFailed as error:
            signed = Finding("sign-in", Verdict.CREDENTIALS, _advice(error))
            found = [Finding(self._where, Verdict.OK), signed]
        except Refused as error:
            found = [
                Finding(self._where, Verdict.OK),
                Finding("sign-in", Verdict.OK),
                Finding(f"folder {self.folder}", Verdict.MISSING, _advice(error)),
            ]
        except WarmlineError as error:
            found = [Finding(self._where, Verdict.of_error(error), _advice(error))]
        except (IMAPClientError, OSError) as error:
            found = [Finding(self._where, Verdict.FAILED, f"it answered {type(error).__name__}")]
        else:
            found = [
                Finding(self._where, Verdict.OK),
                Finding("sign-in", Verdict.OK),
                Finding(f"folder {self.folder}", Verdict.OK, f"{count} mails"),
            ]
        unseen = (
            Finding.of_field(name, name, how, read=Verdict.UNKNOWN, write=Verdict.UNKNOWN)
            for name, how in needs.fields.items()
        )
        return [*found, *unseen]

    # Inside

    @cached_property
    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (ssl.SSLError, OSError):
            raise ConfigError(f"ca_file {self.ca_file} holds no certificate (PEM)") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @contextmanager
    def _opened(self) -> Iterator[tuple[IMAPClient, int]]:
        """A connection with the folder opened to be read only, and its UIDVALIDITY. What IMAP
        raises within becomes an error of ours."""
        client: IMAPClient | None = None
        try:
            client = IMAPClient(
                self.host,
                self.port,
                ssl=self.tls == "implicit",
                ssl_context=self._context if self.tls == "implicit" else None,
                timeout=self.timeout_s,
            )
            client.normalise_times = False
            if self.tls == "starttls":
                client.starttls(self._context)
            client.login(self.username, self.password)
            yield client, self._selected(client)
        except LoginError:
            raise AuthFailed(
                f"{self._where} refused to sign us in",
                hint="check username and password; many providers want an app password",
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"{self._where} has a certificate that is not trusted: {error.verify_message}"
            ) from None
        except socket.gaierror:
            raise Unreachable(f"{self._where}: no such host name") from None
        except TimeoutError:
            raise Unreachable(f"{self._where} did not answer in time") from None
        except (IMAPClientAbortError, OSError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else ""
            raise Unreachable(f"{self._where} cannot be reached: {said or 'it hung up'}") from None
        except IMAPClientError as error:
            raise Malformed(
                f"{self._where} gave an answer that cannot be read: {type(error).__name__}"
            ) from None
        except (ValueError, TypeError, AssertionError) as error:  # imaplib on what is no IMAP
            raise Malformed(f"{self._where} does not speak IMAP: {type(error).__name__}") from None
        finally:
            if client is not None:
                with suppress(Exception):
                    client.logout()

    def _selected(self, client: IMAPClient) -> int:
        try:
            told = client.select_folder(self.folder, readonly=True)
        except IMAPClientAbortError:
            raise
        except IMAPClientError:
            raise Refused(
                f"{self._where} has no folder {self.folder}",
                hint="set folder to one that it has, as the server writes it",
            ) from None
        validity = told.get(b"UIDVALIDITY")
        if not isinstance(validity, int):
            raise Malformed(f"{self._where}: UIDVALIDITY: found nothing, expected a number")
        return validity


def _newer(client: IMAPClient, at: Position, validity: int) -> list[int]:
    """The mails after the cursor, oldest first. Numbers that the server gave anew (another
    UIDVALIDITY) tell nothing: then those that came since a day before the last one that was read;
    what was heard already is the same event."""
    if at.uid and at.validity == validity:
        found = client.search(["UID", f"{at.uid + 1}:*"])  # always names the last one too
        return sorted(uid for uid in found if uid > at.uid)
    if at.since is not None:
        day = (at.since - timedelta(days=1)).date()
        return sorted(client.search(["SINCE", day]))
    return sorted(client.search(["ALL"]))


def _seconds(found: object, where: str) -> float:
    value = 30.0 if found is None else found
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.01 <= value <= 600:
        raise ConfigError(f"{where}: timeout_s is {found!r}; expected a number from 0.01 to 600")
    return float(value)


def _loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _advice(error: WarmlineError) -> str:
    return f"{error.reason}; {error.hint}" if error.hint else error.reason
