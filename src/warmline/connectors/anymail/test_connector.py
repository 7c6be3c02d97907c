"""Every provider of anymail's, over real HTTP on loopback where its API is simulated."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest

from warmline.connectors.anymail import contract
from warmline.connectors.anymail.connector import Anymail
from warmline.connectors.anymail.mapping import outcome_of_status
from warmline.connectors.anymail.providers import PROVIDERS
from warmline.core.errors import BadSignature, ConfigError, Malformed
from warmline.core.events import EventKind
from warmline.core.outcomes import OutcomeKind
from warmline.ports import Channel, Envelope, Options, Received
from warmline.sandbox.listen import HttpServer
from warmline.sandbox.mailbox.store import MailStore
from warmline.sandbox.mailproviders.api import KEY, PREFIXES, MailProviders

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
assert contract  # it sets Django up where the folder is run alone
SECRETS = {"api_key": KEY, "webhook_secret": "user:pass", "secret_key": "second"}
BASIC = {"authorization": "Basic dXNlcjpwYXNz"}
PACKAGES = {"amazon_ses"}  # wants one that is not installed
ID = "<warmline.12.0123456789abcdef@acme.example>"
ENVELOPE = Envelope(
    message_id=ID, sender_name="Rita Käy", sender_address="rita@acme.example",
    recipient_name="Ada Lind", recipient_address="ada@people.example", reply_to="re@acme.example",
    subject="Öffnen?", text="Hällo Ada\n", html="<p>Hällo Ada</p>", sent_at=START,
    headers={"List-Unsubscribe": "<https://hire.example.com/u/t>", "X-Warmline-Step": "welcome/1"},
)  # fmt: skip


def made(provider: str, secrets: dict[str, str] | None = None, **settings: Any) -> Anymail:
    given = {"provider": provider, "timeout_s": 5, **settings}
    if provider == "scaleway":
        given.setdefault("project_id", "p")
    if provider in ("postal", "unisender_go"):
        given.setdefault("api_url", "https://api.example.com/")
    return Anymail(
        Options("mail", given, secrets or SECRETS, lambda: START, "https://hire.example.com")
    )


class Box:
    def __init__(self) -> None:
        self.store = MailStore(lambda: START)
        self.providers = MailProviders(self.store)
        self.server = HttpServer(self.providers.app(), threads=4)

    def url(self, provider: str) -> str:
        return f"{self.server.url}/{provider}{'/v3' if provider == 'sendgrid' else ''}/"

    def mail(self) -> Any:
        (caught,) = self.store.newest(5)
        return message_from_bytes(self.store.raw(caught), policy=policy.default)


@pytest.fixture
def box() -> Iterator[Box]:
    found = Box()
    yield found
    found.providers.closing.set()
    found.server.close()
    found.store.close()


@pytest.mark.parametrize("provider", PREFIXES)
def test_a_mail_arrives_with_our_id_and_headers(box: Box, provider: str) -> None:
    session = made(provider, api_url=box.url(provider)).open()
    outcome = session.send(ENVELOPE)
    session.close()
    assert outcome.kind is OutcomeKind.DONE, outcome
    assert outcome.external_id
    mail = box.mail()
    assert mail["X-Warmline-Message"] == ID
    if provider != "resend":
        assert mail["Message-ID"] == ID
    assert mail["List-Unsubscribe"] == "<https://hire.example.com/u/t>"
    assert mail["Reply-To"] == "re@acme.example"
    assert mail["From"].addresses[0].display_name == "Rita Käy"
    assert mail["Subject"] == "Öffnen?"
    assert "Hällo" in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize("provider", sorted(set(PROVIDERS) - PACKAGES))
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("rate_limited", OutcomeKind.LATER),
        ("unavailable", OutcomeKind.LATER),
        ("error", OutcomeKind.UNKNOWN),
        ("drop", OutcomeKind.UNKNOWN),
    ],
)
def test_each_provider_takes_our_mail_and_its_faults_are_told(
    box: Box, provider: str, fault: str, kind: OutcomeKind
) -> None:
    """Each backend makes its call of our envelope; whatever its API, the answer decides."""
    box.providers.faults.add({"kind": fault})
    outcome = made(provider, api_url=f"{box.server.url}/any/").open().send(ENVELOPE)
    assert outcome.kind is kind, outcome
    if fault == "rate_limited":
        assert outcome.after_s == 7
    assert "ada@" not in outcome.reason


def test_a_provider_that_is_not_there_has_taken_nothing(box: Box) -> None:
    url = box.url("postmark")
    box.server.close()
    outcome = made("postmark", api_url=url).open().send(ENVELOPE)
    assert outcome.kind is OutcomeKind.LATER


def test_a_refused_key_is_about_the_credentials(box: Box) -> None:
    connector = made("postmark", {**SECRETS, "api_key": "wrong"}, api_url=box.url("postmark"))
    outcome = connector.open().send(ENVELOPE)
    assert (outcome.kind, outcome.detail["scope"]) == (OutcomeKind.LATER, "credentials")


def test_a_lost_answer_is_asked_for_again_only_under_a_key(box: Box) -> None:
    for provider, kind in (("resend", OutcomeKind.DONE), ("postmark", OutcomeKind.UNKNOWN)):
        box.providers.faults.add({"kind": "timeout_after", "count": 1})
        outcome = made(provider, api_url=box.url(provider)).open().send(ENVELOPE)
        assert outcome.kind is kind
    assert box.store.count() == 2, "one each"


def test_another_mail_under_the_same_key_shows_that_the_first_one_left(box: Box) -> None:
    session = made("resend", api_url=box.url("resend")).open()
    session.send(ENVELOPE)
    outcome = session.send(replace(ENVELOPE, text="another"))
    assert outcome.kind is OutcomeKind.ALREADY_DONE
    assert box.store.count() == 1


@pytest.mark.parametrize(
    ("status", "said", "scope"),
    [
        (422, "Invalid 'From' address", "sender"),
        (422, "Recipient address is inactive", "recipient"),
        (400, "Body is too large", "message"),
        (403, "", "sender"),
    ],
)
def test_whom_a_refusal_is_about(status: int, said: str, scope: str) -> None:
    outcome = outcome_of_status(status, said, None)
    assert (outcome.kind, outcome.detail["scope"]) == (OutcomeKind.REFUSED, scope)


# Webhooks


def hook(body: bytes, headers: dict[str, str] | None = None, query: str = "") -> Received:
    url = f"https://hire.example.com/in/mail{query}"
    kind = {"content-type": "application/json"}
    return Received(Channel.WEBHOOK, body, START, {**kind, **(headers or {})}, "POST", url)


@pytest.mark.parametrize("provider", sorted(set(PROVIDERS) - PACKAGES))
@pytest.mark.parametrize("query", ["", "?kind=inbound"])
def test_each_provider_turns_an_unsigned_webhook_away(provider: str, query: str) -> None:
    for secrets in (SECRETS, {"api_key": KEY, "secret_key": "second"}):
        with pytest.raises(BadSignature):
            made(provider, secrets).verify(hook(b'{"event": "x"}', query=query), now=START)


@pytest.mark.parametrize(
    "provider", ["brevo", "mailjet", "postmark", "resend", "sendgrid", "sparkpost"]
)
def test_basic_auth_lets_a_webhook_in(provider: str) -> None:
    made(provider).verify(hook(b"{}", BASIC), now=START)
    with pytest.raises(BadSignature):
        made(provider).verify(hook(b"{}", {"authorization": "Basic dXNlcjpwYXN0"}), now=START)


def test_mailguns_signature_is_that_of_its_token() -> None:
    secrets = {"api_key": KEY, "signing_key": "mark"}
    mark = hmac.new(b"mark", b"1700000000token", hashlib.sha256).hexdigest()
    for signature, held in ((mark, True), ("0" * 64, False)):
        said = {"timestamp": "1700000000", "token": "token", "signature": signature}
        body = json.dumps({"signature": said, "event-data": {}}).encode()
        if held:
            made("mailgun", secrets).verify(hook(body), now=START)
        else:
            with pytest.raises(BadSignature):
                made("mailgun", secrets).verify(hook(body), now=START)


METADATA = {"warmline": "warmline.12.0123456789abcdef@"}


@pytest.mark.parametrize(
    ("provider", "body", "kind"),
    [
        ("postmark", {"RecordType": "Delivery", "MessageID": "p1", "Recipient": "a@b.example",
                      "DeliveredAt": "2026-03-02T09:00:00Z", "Metadata": METADATA},
         EventKind.MESSAGE_DELIVERED),
        ("postmark", {"RecordType": "Bounce", "Type": "HardBounce", "ID": 4, "MessageID": "p1",
                      "Email": "a@b.example", "BouncedAt": "2026-03-02T09:00:00Z",
                      "Metadata": METADATA}, EventKind.MESSAGE_BOUNCED),
        ("postmark", {"RecordType": "Bounce", "Type": "SoftBounce", "ID": 5, "MessageID": "p1",
                      "Email": "a@b.example", "BouncedAt": "2026-03-02T09:00:00Z",
                      "Metadata": METADATA}, EventKind.MESSAGE_DEFERRED),
        ("postmark", {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "ID": 6,
                      "MessageID": "p1", "Email": "a@b.example", "Metadata": METADATA},
         EventKind.MESSAGE_COMPLAINED),
        ("sendgrid", [{"event": "bounce", "type": "bounce", "email": "a@b.example",
                       "timestamp": 1772442000, "sg_event_id": "e1", "status": "5.1.1",
                       "anymail_id": "s1", **METADATA}], EventKind.MESSAGE_BOUNCED),
        ("sendgrid", [{"event": "bounce", "type": "blocked", "email": "a@b.example",
                       "timestamp": 1772442000, "sg_event_id": "e2", "status": "5.7.1",
                       "anymail_id": "s1", **METADATA}], EventKind.MESSAGE_DEFERRED),
        ("mailgun", {"signature": {}, "event-data": {
            "event": "failed", "severity": "permanent", "id": "g1", "timestamp": 1772442000.1,
            "recipient": "a@b.example", "reason": "bounce", "user-variables": METADATA,
            "delivery-status": {"code": 550, "message": "5.1.1 no such user"},
            "message": {"headers": {"message-id": "x@acme.example"}}}}, EventKind.MESSAGE_BOUNCED),
        ("resend", {"type": "email.delivered", "created_at": "2026-03-02T09:00:00.000Z", "data": {
            "email_id": "r1", "created_at": "2026-03-02T09:00:00.000Z", "to": ["a@b.example"],
            "headers": [{"name": "X-Metadata", "value": json.dumps(METADATA)}]}},
         EventKind.MESSAGE_DELIVERED),
    ],
)  # fmt: skip
def test_what_providers_tell(provider: str, body: Any, kind: EventKind) -> None:
    secrets = {**SECRETS, "signing_key": "mark"} if provider == "mailgun" else SECRETS
    connector = made(provider, secrets)
    (event,) = connector.parse(hook(json.dumps(body).encode()))
    assert event.kind is kind
    assert event.fields["message_id"].startswith("warmline.12.0123456789abcdef@")
    assert event.fields["provider_id"]
    (again,) = connector.parse(hook(json.dumps(body).encode()))
    assert again.key == event.key


def test_opens_and_clicks_of_a_provider_are_unconfirmed() -> None:
    body = {"RecordType": "Click", "MessageID": "p1", "Recipient": "a@b.example",
            "ReceivedAt": "2026-03-02T09:00:00Z", "OriginalLink": "https://a.example"}  # fmt: skip
    (event,) = made("postmark").parse(hook(json.dumps(body).encode()))
    assert event.kind is EventKind.MESSAGE_CLICKED
    assert event.fields["confidence"] == "unconfirmed"


def test_a_form_of_an_inbound_webhook_is_read_as_a_mail() -> None:
    raw = f"From: a@b.example\r\nMessage-ID: <i@b>\r\nIn-Reply-To: {ID}\r\n\r\nYes.\r\n"
    part = 'Content-Disposition: form-data; name="email"'
    body = f"--b\r\n{part}\r\n\r\n{raw}\r\n--b--\r\n".encode()
    kind = {"content-type": "multipart/form-data; boundary=b"}
    (event,) = made("sendgrid").parse(hook(body, kind, "?kind=inbound"))
    assert (event.kind, event.fields["text"]) == (EventKind.MESSAGE_REPLIED, "Yes.")


def test_rubbish_names_no_address() -> None:
    with pytest.raises(Malformed) as said:
        made("postmark").parse(hook(b'"ada@people.example"'))
    assert "ada@" not in str(said.value)


# Settings


@pytest.mark.parametrize(
    ("settings", "secrets", "said"),
    [
        ({"provider": "pigeon"}, SECRETS, "provider is 'pigeon'; expected one of amazon_ses"),
        ({"provider": "postmark"}, {}, "api_key is missing"),
        ({"provider": "mailjet"}, {"api_key": "k"}, "secret_key is missing"),
        ({"provider": "postal"}, SECRETS, "api_url is missing"),
        ({"provider": "postmark", "api_url": "http://api.example.com"}, SECRETS, "https address"),
        ({"provider": "postmark", "timeout_s": "soon"}, SECRETS, "timeout_s is 'soon'"),
        ({"provider": "sendgrid"}, {**SECRETS, "signing_key": "no key"}, "cannot be set up"),
        ({"provider": "amazon_ses"}, SECRETS, "needs a package that is not installed"),
    ],
)
def test_a_wrong_setting_is_named(
    settings: dict[str, Any], secrets: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Anymail(Options("mail", settings, secrets, lambda: START, "https://hire.example.com"))
