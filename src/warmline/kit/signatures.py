"""Signatures of webhooks, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from warmline.core.errors import BadSignature


def hmac_sha256(secret: str, *parts: bytes) -> bytes:
    mac = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for part in parts:
        mac.update(part)
    return mac.digest()


def require_equal(found: str, expected: str, *, header: str) -> None:
    """Raise BadSignature unless both texts are the same; takes the same time either way."""
    if not hmac.compare_digest(found.encode("utf-8", "replace"), expected.encode()):
        raise BadSignature(
            f"the signature in header {header} does not match the body",
            hint="compare the secret here with the vendor's; the body must arrive unchanged",
        )


def require_header(headers: dict[str, str] | object, name: str) -> str:
    """The header's value, or BadSignature where it is missing or empty. `name` in lower case."""
    value = headers.get(name, "") if hasattr(headers, "get") else ""
    if not value:
        raise BadSignature(
            f"header {name} is missing",
            hint="is the signing secret set at the vendor, and does the proxy pass this header on?",
        )
    return str(value)
