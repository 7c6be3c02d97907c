"""Mail over SMTP: one connection for many mails, and for each mail an answer that can be trusted.

What matters is the moment the mail itself begins to leave. A connection lost before it means that
nothing was handed over (`later`); one lost after it, without the server's last word, means that
nobody knows (`unknown`), and that mail is never repeated blindly.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import selectors
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

from warmline.connectors.smtp.mapping import (
    Mail,
    Step,
    Unfit,
    compose,
    is_plain_address,
    lost,
    outcome_of,
    readable,
)
from warmline.core.errors import AuthFailed, ConfigError, Unreachable, WarmlineError
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Envelope, Finding, Needs, Options, Verdict

LAST_ANSWER_FACTOR = 3  # content filters take their time, and an unknown is dear
QUIT_TIMEOUT_S = 2.0
_LINE_DOT = re.compile(rb"(?m)^\.")
_HELLO_NAME = re.compile(r"[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f.:]{1,45}\]")
_AUTH_CODES = frozenset({530, 534, 535, 538})


class Smtp:
    """The connector: checks its settings, opens sessions."""

    def __init__(self, options: Options) -> None:
        self._name = options.name
        settings = options.settings
        self.host = str(settings.get("host") or "").strip()
        if not self.host:
            raise ConfigError(f"connection {self._name}: host is missing: the mail server's name")
        self.port = int(self._number(settings, "port", 587, 1, 65535))
        self.timeout_s = self._number(settings, "timeout_s", 20, 0.01, 600)
        self.mails_per_connection = int(
            self._number(settings, "mails_per_connection", 100, 1, 100_000)
        )
        self.hello_name = str(settings.get("hello_name") or "")
        if self.hello_name and not _HELLO_NAME.fullmatch(self.hello_name):
            raise ConfigError(
                f"connection {self._name}: hello_name is {self.hello_name!r}; "
                "expected a host name such as mail.example.com"
            )
        self.bounces_to = str(settings.get("bounces_to") or "").strip()
        if self.bounces_to and not is_plain_address(self.bounces_to):
            raise ConfigError(
                f"connection {self._name}: bounces_to is {self.bounces_to!r}; "
                "expected an e-mail address"
            )
        self.username = str(settings.get("username") or "")
        self.password = str(options.secrets.get("password") or "")
        if bool(self.username) != bool(self.password):
            missing = "password" if self.username else "username"
            raise ConfigError(
                f"connection {self._name}: {missing} is missing: username and password go together"
            )
        self.tls = str(settings.get("tls") or "starttls")
        if self.tls not in ("starttls", "implicit", "none"):
            raise ConfigError(
                f"connection {self._name}: tls is {self.tls!r}; expected starttls, implicit or none"
            )
        if self.tls == "none" and not _loopback(self.host):
            raise ConfigError(
                f"connection {self._name}: tls is none and the host is not this machine: names, "
                "addresses and the password would cross the network readable",
                hint="set tls to starttls (port 587) or implicit (port 465)",
            )
        self.ca_file = str(settings.get("ca_file") or "")
        if self.ca_file and not Path(self.ca_file).is_file():
            raise ConfigError(f"connection {self._name}: ca_file {self.ca_file} is not there")
        if self.ca_file and self.tls != "none":
            _ = self.ssl_context  # a file that holds no certificate stops start-up, not a mail

    def _number(self, settings: Any, name: str, default: float, low: float, high: float) -> float:
        raw = settings.get(name)
        try:
            found = float(default if raw is None else raw)
        except (TypeError, ValueError):
            found = float("nan")
        if isinstance(raw, bool) or not low <= found <= high:
            raise ConfigError(
                f"connection {self._name}: {name} is {raw!r}; "
                f"expected a number from {low:g} to {high:g}"
            )
        return found

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """Made once: reading the public authorities costs more than sending ten mails."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (ssl.SSLError, OSError):
            raise ConfigError(
                f"connection {self._name}: ca_file {self.ca_file} holds no certificate (PEM)"
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def open(self) -> Session:
        session = Session(self)
        session.connect()
        return session

    def check(self, needs: Needs) -> list[Finding]:
        """The server, encryption and sign-in. No mail is begun. A mail server holds no field."""
        where = f"mail server {self.host}:{self.port}"
        try:
            session = self.open()
        except AuthFailed as error:
            return [
                Finding(where, Verdict.OK),
                Finding("sign-in", Verdict.CREDENTIALS, _advice(error)),
            ]
        except WarmlineError as error:
            return [Finding(where, _why_not(error), _advice(error))]
        with contextlib.closing(session):
            found = [Finding(where, Verdict.OK), *session.findings()]
        if not self.username:
            found.append(Finding("sign-in", Verdict.OK, "not signed in: no username is configured"))
        else:
            found.append(Finding("sign-in", Verdict.OK))
        return found


class Session:
    """One connection to the mail server at a time, made anew when it is used up or was closed."""

    def __init__(self, smtp: Smtp) -> None:
        self._smtp = smtp
        self._backend = _Backend(smtp)
        self._handed_over = 0

    def connect(self) -> None:
        """Connect, secure and sign in. Raises Unreachable or AuthFailed."""
        where = f"the mail server {self._smtp.host}:{self._smtp.port}"
        try:
            self._backend.open()
        except smtplib.SMTPAuthenticationError as error:
            said = _said(error)
            if error.smtp_code in _AUTH_CODES or error.smtp_code >= 500:
                raise AuthFailed(
                    f"{where} refused to sign us in: {said}",
                    hint="check username and password; many providers want an app password",
                ) from None
            raise Unreachable(f"{where} cannot sign us in now: {said}") from None
        except smtplib.SMTPNotSupportedError as error:
            if "AUTH" in str(error):
                raise AuthFailed(
                    f"{where} offers no sign-in",
                    hint="leave out username and password, or use the submission port (587, 465)",
                ) from None
            raise Unreachable(
                f"{where} offers no STARTTLS; nothing was sent unencrypted",
                hint="set tls to implicit for port 465; or somebody on the way strips encryption",
            ) from None
        except UnicodeEncodeError:
            raise AuthFailed(
                f"{where}: username or password holds characters beyond ASCII, "
                "which SMTP sign-in does not carry"
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"{where} has a certificate that is not trusted: {error.verify_message}",
                hint="use the name in the certificate as host; set ca_file for an own authority",
            ) from None
        except ssl.SSLError as error:
            raise Unreachable(
                f"{where}: encryption failed: {error.reason or 'no TLS there'}",
                hint="port 465 wants tls implicit, port 587 wants starttls",
            ) from None
        except smtplib.SMTPResponseException as error:
            raise Unreachable(f"{where} does not take mail now: {_said(error)}") from None
        except smtplib.SMTPServerDisconnected as error:
            raise Unreachable(f"{where} {_why(error, self._smtp.timeout_s)}") from None
        except smtplib.SMTPException as error:
            if "authentication" in str(error):
                raise AuthFailed(
                    f"{where} offers no way of signing in that is known here",
                    hint="CRAM-MD5, PLAIN and LOGIN are; OAuth-only servers need another relay",
                ) from None
            raise Unreachable(f"{where} cannot be used: {type(error).__name__}") from None
        except (OSError, ValueError) as error:
            raise Unreachable(f"{where} cannot be reached: {_os_words(error)}") from None
        finally:
            self._backend.abandon_partial()
        self._handed_over = 0

    def send(self, envelope: Envelope) -> Outcome:
        try:
            fresh = self._make_ready()
        except WarmlineError as error:
            return _nothing(error)
        connection = self._connection
        assert connection is not None  # noqa: S101 -- _make_ready raises where there is none
        try:
            mail = compose(
                envelope,
                eight_bit=connection.has_extn("8bitmime"),
                utf8=connection.has_extn("smtputf8"),
            )
        except Unfit as unfit:
            return unfit.outcome()
        if self._smtp.bounces_to:
            mail = replace(mail, sender=self._smtp.bounces_to)
        outcome = self._hand_over(connection, mail)
        if outcome is None and not fresh:
            # The server had closed the idle connection; not a word of the mail was heard.
            try:
                self.connect()
            except WarmlineError as error:
                return _nothing(error)
            assert self._connection is not None  # noqa: S101 -- connect raises
            outcome = self._hand_over(self._connection, mail)
        return outcome or lost(Step.MAIL, "the connection was closed at once")

    def _hand_over(self, connection: Handover, mail: Mail) -> Outcome | None:
        """None where the connection was gone before the server took the first command."""
        try:
            code, text = connection.hand_over(mail)
        except smtplib.SMTPException as error:
            # The base of what smtplib raises here: a lost connection, no answer, an endless line.
            step, closed = connection.step, not isinstance(error.__context__, TimeoutError)
            self._drop()
            if step is Step.MAIL and closed:
                return None
            return lost(step, f"it {_why(error, connection.wait_s)}")
        self._handed_over += 1
        step = connection.step
        if code == 421 or not 200 <= code < 600:
            self._drop()  # going away, or not speaking SMTP: nothing after it can be trusted
        elif step in (Step.RCPT, Step.DATA) and not self._reset(connection):
            self._drop()
        return outcome_of(step, code, text, mail.recipient)

    @property
    def _connection(self) -> Handover | None:
        return self._backend.connection

    def _make_ready(self) -> bool:
        """Whether the connection is new. Raises what `connect` raises."""
        connection = self._connection
        if connection is not None:
            if self._handed_over < self._smtp.mails_per_connection and not connection.stirs():
                return False
            if self._handed_over >= self._smtp.mails_per_connection:
                self.close()
            self._drop()
        self.connect()
        return True

    def _reset(self, connection: Handover) -> bool:
        """Forget the half-made mail, so that the next one can begin."""
        try:
            return connection.rset()[0] == 250
        except smtplib.SMTPException:
            return False

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._backend.connection = None

    def close(self) -> None:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.settimeout(min(self._smtp.timeout_s, QUIT_TIMEOUT_S))
                connection.quit()
        self._drop()

    def findings(self) -> list[Finding]:
        """What the open connection shows, for `warmline check`."""
        connection = self._connection
        assert connection is not None  # noqa: S101 -- called on an open session
        sock = connection.sock
        found = [
            Finding("encryption", Verdict.OK, str(sock.version()))
            if isinstance(sock, ssl.SSLSocket)
            else Finding("encryption", Verdict.OK, "none: the mail server is this machine")
        ]
        # Servers may do without these, and nobody here can add them: nothing to mend.
        without = {
            "8bitmime": "not offered: mails are sent as quoted-printable instead",
            "smtputf8": "not offered: an address with characters beyond ASCII before the @ cannot"
            " be mailed",
        }
        found += [
            Finding(extension.upper(), Verdict.OK, said)
            for extension, said in without.items()
            if not connection.has_extn(extension)
        ]
        return found


class Handover(smtplib.SMTP):
    """smtplib's connection, with the hand-over of one mail step by step; `step` stays at the step
    that was answered last or never."""

    step = Step.MAIL
    wait_s = 0.0  # how long the step waited for

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        # Without it the last packet of a mail may wait 40 ms for an acknowledgement.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def hand_over(self, mail: Mail) -> tuple[int, str]:
        """The answer that ended it: a refusal of `step`, or the last word on the whole mail.
        Raises SMTPException where no answer came to `step`."""
        self.command_encoding = "utf-8" if mail.utf8 else "ascii"
        self.wait_s = self.timeout
        self.step = Step.MAIL
        code, text = self.docmd("MAIL", f"FROM:<{mail.sender}>{self._parameters(mail)}")
        if not 200 <= code < 300:
            return code, _text(text)
        self.step = Step.RCPT
        code, text = self.docmd("RCPT", f"TO:<{mail.recipient}>")
        if not 200 <= code < 300:
            return code, _text(text)
        self.step = Step.DATA
        code, text = self.docmd("DATA")
        if not 300 <= code < 400:
            # A 2xx here would be no SMTP: outcome_of reads it as an answer that is none.
            return code, _text(text)
        payload = _LINE_DOT.sub(b"..", mail.payload) if b"\n." in mail.payload else mail.payload
        if not payload.endswith(b"\r\n"):
            payload += b"\r\n"
        assert self.sock is not None  # noqa: S101 -- it has just answered
        self.wait_s = self.timeout * LAST_ANSWER_FACTOR
        self.sock.settimeout(self.wait_s)
        self.step = Step.END
        self.send(payload + b".\r\n")
        code, text = self.getreply()
        self.sock.settimeout(self.timeout)
        return code, _text(text)

    def _parameters(self, mail: Mail) -> str:
        parameters = ""
        if self.has_extn("size"):
            parameters += f" SIZE={len(mail.payload)}"
        if mail.utf8:
            parameters += " SMTPUTF8"
        if self.has_extn("8bitmime") and not mail.payload.isascii():
            parameters += " BODY=8BITMIME"
        return parameters

    def stirs(self) -> bool:
        """Whether an idle connection has something to read: a farewell, or its end."""
        if self.sock is None:
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            return bool(selector.select(0))


class SecureHandover(Handover, smtplib.SMTP_SSL):
    """The same over implicit TLS."""


class _Backend(EmailBackend):
    """Django's SMTP backend: connects, secures, signs in."""

    connection: Handover | None
    _partial_connection: Handover | None

    def __init__(self, smtp: Smtp) -> None:
        super().__init__(
            host=smtp.host,
            port=smtp.port,
            username=smtp.username,
            password=smtp.password,
            use_tls=smtp.tls == "starttls",
            use_ssl=smtp.tls == "implicit",
            timeout=smtp.timeout_s,
            ssl_keyfile="",
            ssl_certfile="",
        )
        self._smtp = smtp

    @property
    def ssl_context(self) -> ssl.SSLContext:
        return self._smtp.ssl_context

    @property
    def connection_class(self) -> Callable[..., Handover]:  # type: ignore[override]
        return self._make

    def _make(self, host: str, port: int, **parameters: Any) -> Handover:
        if self._smtp.hello_name:
            parameters["local_hostname"] = self._smtp.hello_name
        kind = SecureHandover if self.use_ssl else Handover
        return kind(host, port, **parameters)

    def open(self) -> bool | None:
        made = super().open()
        if made and self.connection is not None:
            # Django leaves the greeting to the first mail; what the server offers shapes the mail.
            self._partial_connection, self.connection = self.connection, None
            self._partial_connection.ehlo_or_helo_if_needed()
            self.connection, self._partial_connection = self._partial_connection, None
        return made

    def abandon_partial(self) -> None:
        """Close what `open` began and did not finish, without a farewell that may hang."""
        if self._partial_connection is not None:
            self._partial_connection.close()
            self._partial_connection = None


def _loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _said(error: smtplib.SMTPResponseException) -> str:
    raw = error.smtp_error
    text = _text(raw) if isinstance(raw, bytes) else str(raw)
    return f"{error.smtp_code} {readable(text)}".rstrip()


def _why(error: Exception, waited_s: float) -> str:
    if isinstance(error.__context__, TimeoutError):
        return f"did not answer within {waited_s:g} s"
    if isinstance(error, smtplib.SMTPResponseException):
        return "answered with an endless line"
    return "closed the connection"


def _os_words(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host name"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _why_not(error: WarmlineError) -> Verdict:
    """UNREACHABLE where nothing answered; FAILED where something did, and not as it should. By
    what the error was made of: each kind of failure is an OSError, smtplib's and TLS's too."""
    cause = error.__context__
    if isinstance(cause, smtplib.SMTPServerDisconnected):
        silent = isinstance(cause.__context__, TimeoutError)
        return Verdict.UNREACHABLE if silent else Verdict.FAILED
    if isinstance(cause, OSError) and not isinstance(cause, smtplib.SMTPException | ssl.SSLError):
        return Verdict.UNREACHABLE
    return Verdict.FAILED


def _nothing(error: WarmlineError) -> Outcome:
    """No connection, so no mail left. Who refuses to sign us in will not change their mind."""
    scope = {"scope": "credentials"} if isinstance(error, AuthFailed) else {}
    return Outcome(OutcomeKind.LATER, f"nothing was handed over: {error.reason}", detail=scope)


def _advice(error: WarmlineError) -> str:
    return f"{error.reason}; {error.hint}" if error.hint else error.reason
