"""Mail by a provider's API, and its webhooks: what django-anymail speaks, told in our words.

The provider's answer decides. Where the connection could not be made nothing was handed over
(`later`); where it was made and no answer came nobody knows (`unknown`), and that mail is never
repeated blindly.
"""

from __future__ import annotations

import re
import warnings
from email.utils import quote
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailWarning,
    AnymailWebhookValidationFailure,
)
from django.core.handlers.wsgi import WSGIRequest
from django.core.mail import EmailMultiAlternatives
from email_validator import EmailNotValidError, validate_email
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from warmline.connectors.anymail.mapping import (
    METADATA,
    event_of,
    inbound_events,
    outcome_of_status,
)
from warmline.connectors.anymail.providers import PROVIDERS
from warmline.core.errors import BadSignature, ConfigError, Malformed
from warmline.core.events import Event
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.kit.connection_settings import ConnectionSettings
from warmline.kit.incoming.letter import OURS
from warmline.ports import Envelope, Finding, Needs, Options, Received, Verdict

INBOUND = "kind=inbound"  # stands in the address of the webhook that mails come in by
_LINE_BREAKING = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Anymail:
    """The connector: checks its settings, opens sessions, reads webhooks."""

    def __init__(self, options: Options) -> None:
        self._where = where = f"connection {options.name}"
        read = ConnectionSettings(where, options.settings)
        self.name = read.text("provider", "")
        if self.name not in PROVIDERS:
            raise ConfigError(
                f"{where}: provider is {self.name!r}; expected one of {', '.join(PROVIDERS)}"
            )
        self.provider = PROVIDERS[self.name]
        self._secrets = {name: str(value or "") for name, value in options.secrets.items()}
        given = {name: read.text(name, "", or_number=True) for name in _TEXTS}
        for name in self.provider.required:
            if not (self._secrets.get(name) or given.get(name)):
                raise ConfigError(f"{where}: {name} is missing: {self.provider.title} wants it")
        if url := given["api_url"]:
            _check_url(url, where)
        timeout = options.settings.get("timeout_s")
        self.timeout_s = 20.0 if timeout is None else timeout
        if isinstance(self.timeout_s, bool) or not isinstance(self.timeout_s, int | float):
            raise ConfigError(f"{where}: timeout_s is {timeout!r}; expected a number")
        self._given = given
        webhook = urlsplit(options.public_url)
        self._at = f"{webhook.scheme}://{webhook.netloc}/in/{options.name}"
        try:
            self.backend()
            self._tracking = self._view(self.provider.tracking_view, self.provider.signing)
            self._inbound = self._view(self.provider.inbound_view, self.provider.inbound_signing)
        except ImportError:
            raise ConfigError(
                f"{where}: provider {self.name} needs a package that is not installed",
                hint=f'pip install "django-anymail[{self.name.replace("_", "-")}]"',
            ) from None
        except (AnymailConfigurationError, ValueError) as error:
            raise ConfigError(
                f"{where}: {self.provider.title} cannot be set up: {type(error).__name__}",
                hint="look at the connector's README: which keys the provider wants",
            ) from None

    # sends_mail

    def open(self) -> Session:
        return Session(self)

    def backend(self) -> Any:
        """A new backend of anymail's, by our settings alone."""
        module = import_module(f"anymail.backends.{self.name}")
        options: dict[str, Any] = {
            theirs: self._secrets.get(ours, "")
            for theirs, ours in self.provider.credentials.items()
        }
        for theirs, ours in self.provider.settings.items():
            if self._given.get(ours):
                options[theirs] = self._given[ours]
        if self._given["api_url"]:
            options["api_url"] = self._given["api_url"]
        if self.name != "amazon_ses":
            options["timeout"] = self.timeout_s
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnymailWarning)
            return module.EmailBackend(fail_silently=False, **options)

    # receives_webhooks

    def verify(self, received: Received, *, now: Any) -> None:
        view = self._inbound if INBOUND in received.url else self._tracking
        if view is None:
            raise BadSignature(
                f"{self._where}: its webhooks cannot be told from a stranger's: no secret is set,"
                f" or {self.provider.title} has none of this kind",
                hint="set webhook_secret (user:password) or signing_key",
            )
        try:
            view.run_validators(_request(received))
        except AnymailWebhookValidationFailure:
            raise BadSignature(
                f"{self._where}: the webhook is not signed by {self.provider.title} with our secret"
            ) from None
        except Exception:
            raise BadSignature(f"{self._where}: the webhook's signature cannot be read") from None

    def delivery_key(self, received: Received) -> str:
        return ""  # providers have none: the bytes stand for themselves, and events have keys

    # parses

    def parse(self, received: Received) -> list[Event]:
        inbound = INBOUND in received.url
        view = self._inbound if inbound else self._tracking
        if view is None:
            raise Malformed(f"{self.name}: the body is of a kind that is not read here")
        try:
            told = view.parse_events(_request(received))
            events: dict[str, Event] = {}
            for one in told:
                mail = getattr(one, "message", None)
                read = inbound_events(one) if mail is not None else [event_of(one)]
                events |= {event.key: event for event in read if event is not None}
            return list(events.values())
        except Exception as error:
            raise Malformed(
                f"{self.name}: the body is not what {self.provider.title} documents:"
                f" {type(error).__name__}"
            ) from None

    def _view(self, name: str, signing: str) -> Any:
        """None where nothing could prove who calls."""
        key = self._secrets.get("signing_key", "")
        if signing.startswith("inbound") and self._secrets.get("inbound_signing_key"):
            key = self._secrets["inbound_signing_key"]
        basic = self._secrets.get("webhook_secret", "")
        if not name or not (basic or (key and signing) or "api_key" in self.provider.of_the_view):
            return None
        if self.name == "brevo" and not basic:
            return None  # it signs nothing
        options: dict[str, Any] = {"webhook_secret": [basic] if basic else []}
        if signing and key:
            options[signing] = key
        elif signing and self.name in ("mailersend", "mailgun", "mandrill", "postal"):
            return None  # basic auth does not do without the signature there
        for setting in self.provider.of_the_view:
            options[setting] = self._secrets.get(setting, "")
        if self.name == "mandrill":
            options["webhook_url"] = self._at
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnymailWarning)
            return getattr(import_module(f"anymail.webhooks.{self.name}"), name)(**options)

    # checks

    def check(self, needs: Needs) -> list[Finding]:
        """Nothing is asked of the provider: most have no call that neither sends nor counts."""
        signed = self._tracking is not None
        found = [
            Finding(f"provider {self.name}", Verdict.UNKNOWN, "the first mail shows its key"),
            Finding("webhooks", Verdict.OK if signed else Verdict.MISSING, "" if signed else _HINT),
        ]
        unseen = Verdict.UNKNOWN
        return found + [
            Finding.of_field(name, name, how, read=unseen, write=unseen)
            for name, how in needs.fields.items()
        ]


_HINT = "set webhook_secret or signing_key: bounces and complaints come by webhook"
_TEXTS = ("api_url", "sender_domain", "message_stream", "project_id", "region", "subaccount")


class Session:
    """A kept connection to the provider's API. One a thread."""

    def __init__(self, connector: Anymail) -> None:
        self._connector = connector
        self._backend = connector.backend()
        self._backend.open()

    def close(self) -> None:
        self._backend.close()

    def send(self, envelope: Envelope) -> Outcome:
        wrong = _unfit(envelope)
        if wrong is not None:
            return wrong
        outcome = self._hand_over(envelope)
        if outcome.kind is OutcomeKind.UNKNOWN and self._connector.provider.keys_once:
            return self._hand_over(envelope)  # under the same key it is the same call
        return outcome

    def _hand_over(self, envelope: Envelope) -> Outcome:
        provider, message = self._connector.provider, self._message(envelope)
        session = getattr(self._backend, "session", None)
        if provider.keys_once and session is not None:
            session.headers[provider.keys_once] = envelope.message_id.strip("<>")
        try:
            self._backend.send_messages([message])
        except AnymailRecipientsRefused:
            said = f"{provider.title} refuses the recipient"
            return Outcome(OutcomeKind.REFUSED, said, detail={"scope": "recipient"})
        except AnymailInvalidAddress:
            said = "an address is not one"
            return Outcome(OutcomeKind.REFUSED, said, detail={"scope": "recipient"})
        except AnymailAPIError as error:
            return self._failed(error)
        except AnymailError as error:
            said = f"{provider.title} cannot carry it: {type(error).__name__}"
            return Outcome(OutcomeKind.REFUSED, said, detail={"scope": "message"})
        number = str(getattr(message, "anymail_status").message_id or "")  # noqa: B009
        return Outcome(OutcomeKind.DONE, f"{provider.title} took it", external_id=number[:200])

    def _failed(self, error: AnymailAPIError) -> Outcome:
        response = getattr(error, "response", None)
        if response is not None:
            if response.status_code == 409 and self._connector.provider.keys_once:
                said = "the provider has had a mail under this key"
                return Outcome(OutcomeKind.ALREADY_DONE, said)
            after = response.headers.get("Retry-After", "")
            after_s = float(after) if after.isdigit() else None
            return outcome_of_status(response.status_code, response.text[:2000], after_s)
        cause = error.__cause__
        if _never_connected(cause):
            said = "nothing was handed over: the provider cannot be reached"
            return Outcome(OutcomeKind.LATER, said)
        said = "the mail was handed over and no answer came"
        return Outcome(OutcomeKind.UNKNOWN, f"{said}: {type(cause or error).__name__}")

    def _message(self, envelope: Envelope) -> Any:
        provider = self._connector.provider
        message: Any = EmailMultiAlternatives(
            subject=envelope.subject,
            body=envelope.text,
            from_email=_mailbox(envelope.sender_name, envelope.sender_address),
            to=[_mailbox(envelope.recipient_name, envelope.recipient_address)],
            reply_to=[envelope.reply_to] if envelope.reply_to else [],
            headers={
                "Message-ID": envelope.message_id,
                OURS: envelope.message_id,
                **provider.headers,
                **envelope.headers,
            },
        )
        if envelope.html:
            message.attach_alternative(envelope.html, "text/html")
        if provider.metadata:
            message.metadata = {METADATA: envelope.message_id.strip("<>").partition("@")[0] + "@"}
        if provider.untracked:
            message.track_opens = message.track_clicks = False  # Warmline's links are signed
        return message


def _never_connected(cause: BaseException | None) -> bool:
    if isinstance(cause, requests.ConnectTimeout | requests.exceptions.SSLError):
        return True
    reason = getattr(cause.args[0], "reason", None) if cause and cause.args else None
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _unfit(envelope: Envelope) -> Outcome | None:
    """No value may break out of its header line, whatever the provider makes of it."""
    values = [
        envelope.sender_name, envelope.recipient_name, envelope.subject, envelope.message_id,
        *envelope.headers, *envelope.headers.values(),
    ]  # fmt: skip
    if any(_LINE_BREAKING.search(value) for value in values):
        said = "a header holds a line break or control character"
        return Outcome(OutcomeKind.REFUSED, said, detail={"scope": "message"})
    boxes = [(envelope.sender_address, "sender"), (envelope.recipient_address, "recipient")]
    if envelope.reply_to:
        boxes.append((envelope.reply_to, "sender"))
    for address, scope in boxes:
        try:
            validate_email(address, check_deliverability=False, test_environment=True)
        except EmailNotValidError:
            said = f"the {scope}'s address is not an e-mail address"
            return Outcome(OutcomeKind.REFUSED, said, detail={"scope": scope})
    return None


def _mailbox(name: str, address: str) -> str:
    return f'"{quote(name)}" <{address}>' if name else address


def _check_url(url: str, where: str) -> None:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or plain):
        raise ConfigError(f"{where}: api_url is {url!r}; expected an https address")


def _request(received: Received) -> WSGIRequest:
    """The bytes as Django would have them."""
    parts = urlsplit(received.url)
    headers = {name.lower(): value for name, value in received.headers.items()}
    environ = {
        "REQUEST_METHOD": received.method or "POST",
        "PATH_INFO": parts.path or "/",
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "localhost",
        "SERVER_PORT": str(parts.port or 443),
        "wsgi.url_scheme": parts.scheme or "https",
        "wsgi.input": BytesIO(received.body),
        "CONTENT_LENGTH": str(len(received.body)),
        "CONTENT_TYPE": headers.pop("content-type", "application/json"),
    }
    for name, value in headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return WSGIRequest(environ)
