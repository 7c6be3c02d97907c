"""What the contract suite must know of SMTP: the sandbox's mail catcher, and how it is struck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from warmline.connectors.smtp.connector import Smtp
from warmline.ports import Options
from warmline.sandbox.serve import Sandbox
from warmline.testing.contract import Clock, Harness, MailPlace

HANGS_S = 30.0  # longer than any test waits
RULES: Mapping[str, Mapping[str, Any]] = {
    "refuse": {"kind": "refuse"},
    "later": {"kind": "later", "stage": "rcpt"},
    "later_after": {"kind": "later", "stage": "data"},
    "drop_before": {"kind": "drop_before"},
    "drop_after": {"kind": "drop_after"},
    "timeout": {"kind": "timeout", "seconds": HANGS_S},
}


def harness() -> Harness:
    return Harness(build=build, settings={"host": "127.0.0.1", "tls": "none"}, mail=mail)


def build(options: Options, timeout_s: float) -> Smtp:
    return Smtp(replace(options, settings={**options.settings, "timeout_s": timeout_s}))


@contextmanager
def mail(clock: Clock) -> Iterator[MailPlace]:
    with Sandbox(now=clock, background=False) as box:
        faults, store = box.mailbox.faults, box.mailbox.store
        yield MailPlace(
            settings={"host": box.smtp_host, "port": box.smtp_port, "tls": "none"},
            secrets={},
            strike=lambda fault: _order(faults, fault),
            calm=faults.clear,
            kept=store.count,
        )


def _order(faults: Any, fault: str) -> None:
    faults.add(RULES[fault])
