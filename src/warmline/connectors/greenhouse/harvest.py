"""The Harvest v3 API: its token, its pages, its look-ups by id, and single writes."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from warmline.core.errors import AuthFailed, ConfigError, Malformed, Refused, Unsure
from warmline.kit.http import TIMEOUT_S, Door

IDS_MAX = 50  # the vendor's bound on `ids` and its kin
PER_PAGE_MAX = 500
DIGITS_MAX = 18  # of an id: a 64-bit number
LOOK_UP_PAGES_MAX = 20  # 10,000 rows that belong to 50 records: something is wrong
_RENEW_BEFORE = timedelta(minutes=1)
_TOKEN_LIFE_UNTOLD = timedelta(minutes=5)
# The last word of a scope, harvest:<resource>:<verb>.
_VERBS: Mapping[str, str] = {
    "GET": "list",
    "POST": "create",
    "PATCH": "update",
    "DELETE": "destroy",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to sign in. `user_id` is the `sub` of the token: whose rights it has."""

    base_url: str
    token_url: str
    client_id: str
    client_secret: str
    user_id: str
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: datetime


class NotAllowed(AuthFailed):
    """403 to one write: the credentials lack the right, to all records or to this one."""


class Harvest:
    """One account. Thread-safe. Throttled, Unreachable and AuthFailed pass to the caller."""

    def __init__(self, access: Access, *, now: Callable[[], datetime]) -> None:
        self._access = access
        self._now = now
        self._door = Door(access.base_url, vendor="Greenhouse", timeout_s=access.timeout_s, now=now)
        # A door of its own, because the token's host counts its calls apart.
        self._sign_in = Door(
            access.token_url, vendor="Greenhouse sign-in", timeout_s=access.timeout_s, now=now
        )
        self._token: _Token | None = None
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def close(self) -> None:
        self._door.close()
        self._sign_in.close()

    def page(self, resource: str, params: Mapping[str, str]) -> tuple[list[Any], str]:
        """The rows of one page, and the cursor of the next one, empty where there is none."""
        answer = self._get(resource, params)
        rows = self._door.json(answer)
        if not isinstance(rows, list):
            raise Malformed(f"Greenhouse: {resource}: the answer is not a list")
        return rows, _next_cursor(answer)

    def look_up(
        self, resource: str, ids: Iterable[str], *, by: str = "ids", **more: str
    ) -> list[dict[str, Any]]:
        """Every row of these ids, fifty ids a call. `by` names the parameter."""
        found: list[dict[str, Any]] = []
        left = iter(sorted(set(ids)))
        while batch := list(islice(left, IDS_MAX)):
            # The vendor accepts the cursor only as the one and only parameter.
            params = {by: ",".join(batch), "per_page": str(PER_PAGE_MAX), **more}
            for _ in range(LOOK_UP_PAGES_MAX):
                rows, cursor = self.page(resource, params)
                found += [row for row in rows if isinstance(row, dict)]
                if not cursor:
                    break
                params = {"cursor": cursor}
            else:
                raise Malformed(
                    f"Greenhouse: {resource}: more than {LOOK_UP_PAGES_MAX} pages"
                    f" for {len(batch)} ids"
                )
        return found

    def token(self) -> str:
        """A valid access token: the one at hand, or a new one shortly before it expires."""
        with self._lock:
            if self._token is None or self._now() >= self._token.renew_at:
                self._token = self._new_token()
            return self._token.text

    def write(self, method: str, path: str, body: object = None) -> object:
        """One change; the row that the vendor answered, or None: a 204 says nothing more. `path`
        begins with the resource. Raises NotAllowed on 403, Refused with the vendor's status on
        another no, Unsure where no answer came, or one that confirms nothing.

        One at a time: whether the window has a call left is known only once the last answer came,
        and two threads that both took the last one would be told 429."""
        with self._turn:
            answer = self._ask(method, path, body=body)
        if not answer.content and method != "POST":
            return None
        try:
            found: object = answer.json()
        except (ValueError, RecursionError):
            found = None
        # A proxy's sign-in page is a 200 too, and so is an error in an envelope.
        if not row_id(found):
            raise Unsure(f"Greenhouse answered a change with {answer.status_code} and no row")
        return found

    def _get(self, resource: str, params: Mapping[str, str]) -> httpx.Response:
        return self._ask("GET", resource, params=params)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
    ) -> httpx.Response:
        used = self.token()
        answer = self._call(method, path, used, params, body)
        if answer.status_code != 401:
            return answer
        # Revoked before its time, perhaps: one new token, and then the answer stands.
        with self._lock:
            if self._token is not None and self._token.text == used:
                self._token = None
        answer = self._call(method, path, self.token(), params, body)
        if answer.status_code == 401:
            reason, hint = _denied(method, path, "Greenhouse answered 401")
            raise AuthFailed(reason, hint=hint)
        return answer

    def _call(
        self,
        method: str,
        path: str,
        token: str,
        params: Mapping[str, str] | None,
        body: object,
    ) -> httpx.Response:
        try:
            return self._door.call(
                method,
                f"/{path}",
                params=params,
                body=body,
                headers={"authorization": f"Bearer {token}"},
                accept=(401,),
            )
        except AuthFailed as error:
            kind = AuthFailed if method == "GET" else NotAllowed
            reason, hint = _denied(method, path, error.reason)
            raise kind(reason, hint=hint) from None

    def _new_token(self) -> _Token:
        access = self._access
        if not (access.client_id and access.client_secret):
            missing = "client_secret" if access.client_id else "client_id"
            raise ConfigError(
                f"greenhouse: {missing} is not set, and polling and checking need it",
                hint="create a Harvest v3 (OAuth) credential in Greenhouse: Configure, Dev Center,"
                " API Credentials",
            )
        pair = f"{access.client_id}:{access.client_secret}".encode()
        form = {"grant_type": "client_credentials"}
        if access.user_id:
            form["sub"] = access.user_id
        try:
            answer = self._sign_in.call(
                "POST",
                access.token_url,
                form=form,
                headers={"authorization": f"Basic {base64.b64encode(pair).decode()}"},
                writes=False,  # a token too many does no harm
            )
        except AuthFailed as error:
            raise _no_token(error.reason) from None
        except Refused as error:
            if error.status != 400:  # RFC 6749, 5.2: `invalid_grant` and its kin come as 400
                raise
            raise _no_token(error.reason) from None
        return self._read_token(self._sign_in.json(answer))

    def _read_token(self, found: Any) -> _Token:
        text = found.get("access_token") if isinstance(found, dict) else None
        if not (isinstance(text, str) and text and text.isascii() and text.isprintable()):
            raise Malformed("Greenhouse sign-in: the answer has no access_token")
        try:
            expires_at = datetime.fromisoformat(found["expires_at"])
            expires_at = expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)
        except (KeyError, TypeError, ValueError):
            expires_at = self._now() + _TOKEN_LIFE_UNTOLD
        return _Token(text, expires_at - _RENEW_BEFORE)


def row_id(row: object) -> str:
    """The `id` of a row as text; empty where it has none that can be used."""
    return number_of(row, "id")


def number_of(row: object, key: str) -> str:
    """The number under `key` as text; empty where there is none."""
    found = row.get(key) if isinstance(row, dict) else None
    return str(found) if type(found) is int and found >= 0 else ""


def is_id(text: str) -> bool:
    """Whether the vendor could have given this id: anything else would spoil the call for all."""
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX


def access_hint(resource: str, verb: str = "list") -> str:
    """`verb` is the last word of the scope: list, create, update or destroy."""
    why = "Greenhouse lists nothing to anybody else"
    if verb != "list":
        why = "others may not change every candidate"
    return (
        f"give the API credential the scope harvest:{resource}:{verb}, and let user_id name a Site"
        f" Admin: {why}"
    )


def _denied(method: str, path: str, reason: str) -> tuple[str, str]:
    """What to say and what to do where the vendor lets these credentials not do it."""
    resource, verb = path.partition("/")[0], _VERBS[method]
    said = f"Greenhouse does not let these credentials {verb} {resource} ({reason})"
    return said, access_hint(resource, verb)


def _no_token(reason: str) -> AuthFailed:
    return AuthFailed(
        f"Greenhouse gives no token for these credentials ({reason})",
        hint="check client_id and client_secret (a Harvest v3 credential, not a v1 key), and that"
        " user_id is the id of an active Site Admin",
    )


def _next_cursor(answer: httpx.Response) -> str:
    """The cursor of `Link: <…?cursor=…>; rel="next"`. Only the cursor is taken from it: where to
    call stays our own setting."""
    url = answer.links.get("next", {}).get("url", "")
    try:
        return parse_qs(urlsplit(url).query).get("cursor", [""])[0]
    except ValueError:
        raise Malformed("Greenhouse: the address of the next page cannot be read") from None
