"""The SMTP side: aiosmtpd in a thread with its own loop, made to take several hundred a second."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import threading
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from warmline.sandbox.faults import FaultPlan, FaultRule
from warmline.sandbox.mailbox.store import MailStore

HOST = "127.0.0.1"
HOSTNAME = "mail.sandbox.example"
SIZE_MAX = 32 * 1024 * 1024
RECIPIENTS_MAX = 100
_PLAIN_PATH = re.compile(r"<([^<>\s\"(),:;\\]+@[^<>\s\"(),:;\\]+)>[ ]?(.*)")
_STRIKE_AT_RCPT = frozenset({"refuse", "later"})
_STRIKE_AT_DATA = frozenset({"drop_before"})
_STRIKE_AFTER_DATA = frozenset({"later", "drop_after", "timeout", "slow"})


class Session(SMTP):
    """aiosmtpd's protocol with a quicker DATA and address parser, and the faults of DATA."""

    # It also bounds the reader's buffer, which must hold a whole mail for the quick DATA below.
    line_length_limit = SIZE_MAX

    catcher: Catcher

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        # The common form without the full RFC 5322 parser, which costs more than all the rest.
        if plain := _PLAIN_PATH.fullmatch(arg.strip()):
            return plain[1], plain[2]
        parsed: tuple[str | None, str | None] = super()._getaddr(arg)
        return parsed

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802, aiosmtpd finds it by this name
        """Take a mail. aiosmtpd reads it line by line; this reads it in a few pieces."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        recipients = self._recipients()
        if not recipients:
            await self.push("503 Error: need RCPT command")
            return
        if arg:
            await self.push("501 Syntax: DATA")
            return
        if self.catcher.strike(recipients, _STRIKE_AT_DATA):
            await self._hang_up()
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        raw = await self._read_data()
        if raw is None:
            self._forget_envelope()
            await self.push("552 5.3.4 Error: Too much mail data")
            return
        await self._answer(raw)

    async def _read_data(self) -> bytes | None:
        whole = bytearray()
        size = 0
        while True:
            try:
                piece = await self._reader.readuntil(b".\r\n")
            except asyncio.LimitOverrunError as over:
                piece = await self._reader.read(over.consumed)
            whole += piece
            size += len(piece)
            if whole == b".\r\n" or whole.endswith(b"\r\n.\r\n"):
                break
            if len(whole) > SIZE_MAX:
                del whole[:-5]  # keep reading to the end, but do not keep it
        if size > SIZE_MAX:
            return None
        del whole[-3:]
        # RFC 5321, 4.5.2: a dot that begins a line was put there for the way.
        if whole.startswith(b"."):
            del whole[:1]
        return bytes(whole.replace(b"\r\n.", b"\r\n"))

    async def _answer(self, raw: bytes) -> None:
        sender = (self.envelope.mail_from if self.envelope else None) or ""
        recipients = self._recipients()
        fault = self.catcher.strike(recipients, _STRIKE_AFTER_DATA, "data")
        kind = fault.kind if fault else ""
        if fault and kind in {"slow", "timeout"}:
            await asyncio.sleep(fault.seconds)
        if kind == "timeout":
            await self._hang_up()
            return
        if kind == "later":
            self._forget_envelope()
            await self.push("451 4.7.1 Try again later")
            return
        mail = self.catcher.store.add(sender, recipients, raw)
        if kind == "drop_after":
            await self._hang_up()
            return
        self._forget_envelope()
        await self.push(f"250 2.0.0 Ok: queued as {mail.id}")

    def _recipients(self) -> list[str]:
        return list(self.envelope.rcpt_tos) if self.envelope else []

    def _forget_envelope(self) -> None:
        self.envelope = self._create_envelope()

    async def _hang_up(self) -> None:
        self._forget_envelope()
        if self.transport is not None:
            self.transport.close()
        # The loop of commands is cancelled when the connection is lost; wait for that.
        await asyncio.Event().wait()


class Catcher:
    """What aiosmtpd calls back: recipients, and the faults on order."""

    def __init__(self, store: MailStore, faults: FaultPlan) -> None:
        """Keep mails in `store`."""
        self.store = store
        self._faults = faults

    async def handle_RCPT(  # noqa: N802, aiosmtpd finds it by this name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or refuse it on order."""
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return "452 4.5.3 Too many recipients"
        fault = self.strike([address], _STRIKE_AT_RCPT, "rcpt")
        if fault and fault.kind == "refuse":
            return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
        if fault:
            return f"451 4.7.1 <{address}>: Try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    def strike(
        self, recipients: list[str], kinds: frozenset[str], stage: str = ""
    ) -> FaultRule | None:
        """The first fault that strikes one of the recipients at this point."""
        for address in recipients:
            if rule := self._faults.pick(address.lower(), kinds=kinds, stage=stage):
                return rule
        return None


class SmtpServer:
    """One listening SMTP port with 8BITMIME and SMTPUTF8. `close()` frees it."""

    def __init__(
        self,
        store: MailStore,
        faults: FaultPlan,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        """Listen at once. `tls` offers STARTTLS; `login` checks AUTH, and with `tls` demands it."""
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self._catcher = Catcher(store, faults)
        self._tls = tls
        self._login = login
        self._loop = asyncio.new_event_loop()
        try:
            self._server = self._loop.run_until_complete(
                self._loop.create_server(self._session, HOST, port)
            )
        except OSError:
            self._loop.close()
            raise
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(
            target=self._run, name=f"sandbox-smtp-{self.port}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening and close the connections."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def _session(self) -> Session:
        session = Session(
            self._catcher,
            data_size_limit=SIZE_MAX,
            enable_SMTPUTF8=True,
            hostname=HOSTNAME,
            ident="Warmline sandbox",
            tls_context=self._tls,
            auth_required=self._login is not None and self._tls is not None,
            auth_require_tls=self._tls is not None,
            authenticator=self._authenticate if self._login else None,
            loop=self._loop,
        )
        session.catcher = self._catcher
        return session

    def _authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any
    ) -> AuthResult:
        pair = ("", "")
        if isinstance(given, LoginPassword):
            pair = (given.login.decode(), given.password.decode())
        return AuthResult(success=pair == self._login, handled=False)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._server.close()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            # Two turns let closed transports finish.
            for _ in range(2):
                self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()
