"""A DNS server on loopback, with the records that a test gives it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer


@dataclass
class Names(BaseResolver):  # type: ignore[misc]
    """`zone` is in the words of a zone file. `broken` names are answered with SERVFAIL."""

    zone: str = ""
    broken: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    server: str = ""

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        self.asked[f"{name} {kind}"] += 1
        reply = request.reply()
        if name in self.broken:
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        rows = [row for row in RR.fromZone(self.zone) if str(row.rname).rstrip(".") == name]
        if not rows:
            reply.header.rcode = RCODE.NXDOMAIN
        for row in rows:
            if QTYPE[row.rtype] == kind:
                reply.add_answer(row)
        return reply


@contextmanager
def names(zone: str) -> Iterator[Names]:
    resolver = Names(zone)
    server = DNSServer(resolver, port=0, address="127.0.0.1", logger=DNSLogger("-request,-reply"))
    resolver.server = f"127.0.0.1:{server.server.server_address[1]}"
    serving = server.server
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield resolver
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()
