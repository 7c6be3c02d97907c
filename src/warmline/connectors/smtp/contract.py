"""What the contract suite needs to know of SMTP: a mail server that does as it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from warmline.connectors.smtp.connector import Smtp
from warmline.ports import Options
from warmline.sandbox.serve import Sandbox
from warmline.testing.contract import Clock, Harness, MailPlace

PASSWORD = "canary-mail-password-3Jd"
# Each fault of the suite as the sandbox's mail server orders it.
RULES: Mapping[str, Mapping[str, object]] = {
    "refuse": {"kind": "refuse"},
    "later": {"kind": "later"},
    "later_after": {"kind": "later", "stage": "data"},
    "drop_before": {"kind": "drop_before"},
    "drop_after": {"kind": "drop_after"},
    "timeout": {"kind": "timeout", "seconds": 30},
}


def harness() -> Harness:
    return Harness(build=_built, settings={"host": "127.0.0.1", "tls": "none"}, mail=_place)


def _built(options: Options, timeout_s: float) -> Smtp:
    return Smtp(replace(options, settings={**options.settings, "timeout_s": timeout_s}))


@contextmanager
def _place(clock: Clock) -> Iterator[MailPlace]:
    with Sandbox(now=clock, background=False, login=("warmline", PASSWORD)) as box:

        def strike(rule: Mapping[str, object]) -> None:
            box.mailbox.faults.add(rule)

        yield MailPlace(
            settings={
                "host": box.smtp_host,
                "port": box.smtp_port,
                "tls": "none",
                "username": "warmline",
                "hello_name": "contract.example",
            },
            secrets={"password": PASSWORD},
            strike=lambda fault: strike(RULES[fault]),
            calm=box.mailbox.faults.clear,
            kept=box.mailbox.store.count,
        )
