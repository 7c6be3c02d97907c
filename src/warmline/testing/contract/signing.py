"""Signatures: what the vendor signed passes, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from warmline.core.errors import BadSignature
from warmline.ports import Received
from warmline.testing.contract.harness import START, Signing
from warmline.testing.contract.suite import Breach, Subject, Watch, check, require, watched

BODY_BYTES_MAX = 4096  # of the deliveries whose bytes are changed one by one


@check("receives_webhooks")
def a_signed_delivery_passes(subject: Subject) -> None:
    signing = _signing(subject)
    with subject.alone() as made:
        for delivery in _signed(subject, signing):
            try:
                made.verify(delivery, now=START)
            except BadSignature as error:
                raise Breach(f"a delivery that the vendor signed is refused: {error}") from None
            key = made.delivery_key(delivery)
            later = replace(delivery, received_at=START + timedelta(hours=1))
            require(
                key == made.delivery_key(later), "delivery_key: another one when it comes later"
            )


@check("receives_webhooks")
def a_changed_byte_of_the_body_is_refused(subject: Subject) -> None:
    signing = _signing(subject)
    delivery = next(_signed(subject, signing))
    with subject.alone() as made, _quiet(subject, signing) as watch:
        for at in range(len(delivery.body)):
            for bit in (1, 0x20):
                body = bytearray(delivery.body)
                body[at] ^= bit
                _refused(made, replace(delivery, body=bytes(body)), watch, f"body, byte {at}")
        for body_now in (b"", delivery.body[:-1], delivery.body + b"\n", b" " + delivery.body):
            _refused(made, replace(delivery, body=body_now), watch, "a longer or shorter body")


@check("receives_webhooks")
def a_changed_or_missing_signature_is_refused(subject: Subject) -> None:
    signing = _signing(subject)
    delivery = next(_signed(subject, signing))
    with subject.alone() as made, _quiet(subject, signing) as watch:
        _refused(made, replace(delivery, headers={}), watch, "no header at all")
        for name in signing.headers:
            value = delivery.headers[name]
            without = {k: v for k, v in delivery.headers.items() if k != name}
            _refused(made, replace(delivery, headers=without), watch, f"without {name}")
            for text in ("", " ", value[:-1], value + "0", "\u00e9" * 64, "\ud800", "0" * 10_000):
                _refused(made, replace(delivery, headers={**without, name: text}), watch, name)
            for at, char in enumerate(value):
                changed = value[:at] + chr(ord(char) ^ 1) + value[at + 1 :]
                headers = {**without, name: changed}
                _refused(made, replace(delivery, headers=headers), watch, f"{name}, place {at}")


@check("receives_webhooks")
def another_secret_is_refused(subject: Subject) -> None:
    signing = _signing(subject)
    right = subject.harness.secrets[signing.secret]
    body = next(_signed(subject, signing)).body
    with subject.alone() as made, _quiet(subject, signing) as watch:
        for secret in ("another secret", right + "x", right[:-1], right.upper()):
            if secret != right:
                _refused(made, signing.signed(body, secret, START), watch, "another secret")


@check("receives_webhooks")
def an_old_delivery_is_refused(subject: Subject) -> None:
    signing = _signing(subject)
    require(
        signing.age_s is not None,
        "contract.py: signing has no age_s; exempt this check where the vendor signs no time",
    )
    assert signing.age_s is not None  # noqa: S101 -- for the type
    body, secret = next(_signed(subject, signing)).body, subject.harness.secrets[signing.secret]
    with subject.alone() as made, _quiet(subject, signing) as watch:
        for seconds in (-signing.age_s - 1, -86_400.0 * 365, signing.age_s + 1):
            at = START + timedelta(seconds=seconds)
            _refused(made, signing.signed(body, secret, at), watch, f"signed {seconds:g} s away")


def _signing(subject: Subject) -> Signing:
    found: Signing = subject.part(subject.harness.signing, "signing")
    return found


def _signed(subject: Subject, signing: Signing) -> Iterator[Received]:
    """A small one, then every golden delivery that came as a webhook."""
    secret = subject.harness.secrets[signing.secret]
    yield signing.signed(b'{"action": "golden", "n": [1, 2, 3]}', secret, START)
    parsing = subject.harness.parsing
    for delivery in parsing.deliveries(subject.folder).values() if parsing else ():
        if delivery.channel == "webhook":
            yield signing.signed(delivery.body, secret, START)


def _quiet(subject: Subject, signing: Signing) -> Any:
    secret = subject.harness.secrets[signing.secret]
    watch = Watch([secret])
    signed = signing.signed(b"{}", secret, START)
    watch.forbid(v for k, v in signed.headers.items() if k in signing.headers and len(v) > 20)
    return watched(watch)


def _refused(made: Any, delivery: Received, watch: Watch, what: str) -> None:
    verify: Callable[..., None] = made.verify
    try:
        verify(delivery, now=START)
    except BadSignature as error:
        watch.hear(error)
        return
    except Exception as error:
        raise Breach(f"{what}: raised {type(error).__name__}, expected BadSignature") from error
    raise Breach(f"{what}: it passed, expected BadSignature")
