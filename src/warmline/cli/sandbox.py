"""`warmline sandbox`: the simulators as a process of their own, pointed at a Warmline."""

from __future__ import annotations

import signal
import threading
from typing import Any

from warmline.cli.setup import out
from warmline.sandbox.serve import Sandbox

# The starter project's secrets (config/starter/secrets.env): they open nothing but a sandbox.
WEBHOOK_SECRET = "sandbox-webhook-secret"  # noqa: S105
APP_SECRET = "sandbox-app-secret"  # noqa: S105
_LOOK_AGAIN_S = 2.0


def sandbox(port: int, warmline: str) -> None:
    """Serve until Ctrl-C. Webhooks go to `warmline` as soon as it answers the ping."""
    ports: dict[str, Any] = (
        {
            "greenhouse_port": port,
            "hubspot_port": port + 1,
            "mailbox_port": port + 2,
            "smtp_port": port + 3,
            "lever_port": port + 4,
        }
        if port
        else {"lever_port": 0}
    )
    with Sandbox(**ports) as box:
        out.print(f"Greenhouse  {box.greenhouse_url}/v3")
        out.print(f"HubSpot     {box.hubspot_url}")
        out.print(f"Lever       {box.lever_url}/v1")
        out.print(f"mailbox     {box.mailbox_url}/   (SMTP on port {box.smtp_port})")
        for job in box.greenhouse.world.jobs.rows.values():
            out.print(f"  job {job['id']}: {job['name']}")
        out.print("An applicant arrives:")
        out.print(
            f"  curl -s {box.greenhouse_url}/_control/do/apply -H 'content-type: application/json' "
            """-d '{"person": {"first_name": "Ada", "last_name": "Lind", """
            """"email": "ada.lind@example.com"}}'""",
            soft_wrap=True,
        )
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        connect(box, warmline, stop)


def connect(box: Sandbox, warmline: str, stop: threading.Event) -> None:
    """Set the webhooks, again and again until the ping is answered; then wait."""
    told = False
    while not stop.is_set():
        if not told:
            told = bool(box.greenhouse.set_webhook(f"{warmline}/in/ats", WEBHOOK_SECRET)["active"])
            if told:
                box.hubspot.set_webhook(f"{warmline}/in/crm", APP_SECRET)
                out.print(f"webhooks go to {warmline}/in/ats and /in/crm")
        stop.wait(_LOOK_AGAIN_S)
