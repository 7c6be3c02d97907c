"""A mail catcher: it takes mail over SMTP, sends none on, and shows it on pages and as JSON."""

from warmline.sandbox.mailbox.simulator import Mailbox

__all__ = ["Mailbox"]
