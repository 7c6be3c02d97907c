"""Addresses, phone numbers and profile links of invented people, in the notations people use.

They are made up at random, below public mail providers too (that Gmail ignores dots is one of the
difficulties), so one of them may exist. Nothing is ever sent to any.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate

from bench.identity.noise import plain

_EVERYWHERE = (
    ("gmail.com", 45), ("outlook.com", 12), ("hotmail.com", 10), ("yahoo.com", 9),
    ("icloud.com", 7), ("proton.me", 2), ("googlemail.com", 1),
)  # fmt: skip
_LOCAL = {
    "german": "gmx.de web.de t-online.de", "french": "orange.fr free.fr laposte.net",
    "polish": "wp.pl o2.pl interia.pl", "italian": "libero.it", "chinese": "qq.com 163.com",
    "portuguese": "uol.com.br sapo.pt", "english": "btinternet.com aol.com",
    "indian": "rediffmail.com",
    "nordic": "telia.com",
}  # fmt: skip
_LOCAL_WEIGHT = 22
# Where what stands behind a + is no part of the mailbox's name.
TAGGED = frozenset(
    {"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "icloud.com", "proton.me"}
)
_TAGS = ("jobs", "work", "apply", "careers", "cv", "2024", "linkedin", "greenhouse", "recruiting")
_WORDS = (
    "sky", "river", "pixel", "lucky", "green", "tiger", "moon", "code", "music", "ocean", "star",
    "blue", "happy", "runner", "coffee", "maple", "red", "storm", "silver", "north", "data", "art",
)  # fmt: skip
# A plan: dialling code, what stands before a number at home (- for nothing), digits in all, weight,
# and how mobile numbers begin.
_PLANS = {
    "english": ("44 0 10 60 77 78 79 74 75", "1 - 10 34 212 415 617 312 206", "353 0 9 6 85 86 87"),
    "spanish": ("34 - 9 55 6 7", "52 - 10 25 55 81 33", "1 - 10 20 305 213 210"),
    "german": ("49 0 11 80 151 160 170 171 176", "43 0 10 10 664 676", "41 0 9 10 76 78 79"),
    "indian": ("91 0 10 1 98 99 97 88 70 63",),
    "french": ("33 0 9 85 6 7", "32 0 9 15 47 48 49"),
    "polish": ("48 - 9 1 50 60 69 72 78 88",),
    "chinese": ("86 - 11 1 13 15 18 17",),
    "portuguese": ("351 - 9 30 91 93 96", "55 0 11 70 119 219 319"),
    "arabic": ("971 0 9 40 50 52 55", "20 0 10 30 10 11 12", "44 0 10 30 77 78 79"),
    "italian": ("39 - 10 1 32 33 34 39",),
    "nordic": ("46 0 9 60 70 72 73 76", "45 - 8 40 2 3 4"),
    "turkish": ("90 0 10 1 53 54 55",),
    "nigerian": ("234 0 10 1 80 81 70 90",),
}
_BITS = 27


@dataclass(frozen=True, slots=True)
class Phone:
    """A number without its notation. `home` stands before it when it is dialled at home."""

    dial: str
    home: str
    digits: str
    extension: str = ""

    @property
    def key(self) -> str:
        """The same for the same line: an extension is another desk behind one switchboard."""
        return self.dial + self.digits


def phone(rng: random.Random, culture: str) -> Phone:
    plans, sums = _plans(culture)
    dial, home, length, begins = (
        plans[0] if len(plans) == 1 else rng.choices(plans, cum_weights=sums)[0]
    )
    begin = begins[int(rng.random() * len(begins))]
    left = length - len(begin)
    return Phone(dial, home, begin + str(int(rng.random() * 10**left)).zfill(left))


@cache
def _plans(culture: str) -> tuple[list[tuple[str, str, int, list[str]]], list[int]]:
    plans, weights = [], []
    for plan in _PLANS[culture]:
        dial, home, length, weight, *begins = plan.split()
        plans.append((dial, "" if home == "-" else home, int(length), begins))
        weights.append(int(weight))
    return plans, list(accumulate(weights))


def written(rng: random.Random, number: Phone) -> str:
    """In one of the notations that exports hold. A spreadsheet drops the leading 0 at times."""
    dial, home, digits = number.dial, number.home, number.digits
    first, second, third = digits[:-6], digits[-6:-3], digits[-3:]
    pick = rng.random()
    if pick < 0.30:
        text = f"+{dial} {first} {second} {third}"
    elif pick < 0.45:
        text = f"+{dial}{digits}"
    elif pick < 0.53:
        text = f"00{dial} {first}{second}{third}"
    elif pick < 0.68:
        text = f"{home}{first} {second}{third}"
    elif pick < 0.82:
        text = home + digits
    elif pick < 0.88:
        text = (
            f"+{dial} (0){first} {second} {third}" if home else f"+{dial} {first}-{second}-{third}"
        )
    elif pick < 0.94:
        text = f"({home}{first}) {second}-{third}"
    elif pick < 0.985:
        text = f"{home}{first}.{second}.{third}"
    else:
        text = digits
    return f"{text} x{number.extension}" if number.extension else text


@lru_cache(maxsize=200_000)
def letters(name: str) -> str:
    """A name as it stands in an address: ASCII letters, small."""
    text = plain(name).lower()
    return text if text.isalpha() else "".join(letter for letter in text if letter.isalpha())


def written_link(rng: random.Random, slug: str) -> str:
    pick = rng.random()
    if pick < 0.6:
        return f"https://www.linkedin.com/in/{slug}"
    if pick < 0.8:
        return f"linkedin.com/in/{slug}/"
    if pick < 0.9:
        country = rng.choice(("uk", "de", "es", "in", "fr"))
        return f"https://{country}.linkedin.com/in/{slug}?trk=profile"
    return f"http://linkedin.com/in/{slug.upper()}"


class Addresses:
    """Gives addresses, none twice: a Bloom filter of 16 MiB remembers those given."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._given = bytearray(1 << (_BITS - 3))
        self._domains: dict[str, tuple[list[str], list[int]]] = {}

    def _new(self, mailbox: str) -> bool:
        at = zlib.crc32(mailbox.encode()) & ((1 << _BITS) - 1)
        byte, bit = at >> 3, 1 << (at & 7)
        if self._given[byte] & bit:
            return False
        self._given[byte] |= bit
        return True

    def domain(self, culture: str) -> str:
        if culture not in self._domains:
            local = _LOCAL.get(culture, "").split()
            weights = [weight for _, weight in _EVERYWHERE]
            weights += [_LOCAL_WEIGHT // max(1, len(local))] * len(local)
            words = [domain for domain, _ in _EVERYWHERE] + local
            self._domains[culture] = words, list(accumulate(weights))
        words, sums = self._domains[culture]
        return self._rng.choices(words, cum_weights=sums)[0]

    def given(self, first: str, last: str, domain: str) -> str:
        """A new address of somebody of this name."""
        rng = self._rng
        one, two = letters(first.split(" ")[0].split("-")[0]) or "x", letters(last) or "x"
        pick, year = rng.random(), str(int(55 + rng.random() * 51) % 100).zfill(2)
        if pick < 0.32:
            local = f"{one}.{two}"
        elif pick < 0.42:
            local = one + two
        elif pick < 0.52:
            local = f"{one[0]}.{two}"
        elif pick < 0.66:
            local = f"{one}.{two}{year}"
        elif pick < 0.75:
            local = f"{one}{year}{int(rng.random() * 100)}"
        elif pick < 0.80:
            local = f"{one}_{two}"
        elif pick < 0.85:
            local = f"{two}.{one}"
        elif pick < 0.92:
            local = f"{one[0]}{two}{year}"
        else:
            local = f"{rng.choice(_WORDS)}{rng.choice(_WORDS)}{int(rng.random() * 1000)}"
        return self.free(local, domain)

    def free(self, local: str, domain: str) -> str:
        """The address itself, or with a number behind where somebody else has it."""
        while not self._new(mailbox(f"{local}@{domain}")):
            local += str(int(self._rng.random() * 10))
        return f"{local}@{domain}"


def mailbox(address: str) -> str:
    """Where an address of this generator is delivered: one key for all its ways of writing. It
    errs on the safe side when it asks whether an address is free: dots count nowhere."""
    local, _, domain = address.lower().partition("@")
    local = local.partition("+")[0].replace(".", "")
    return f"{local}@{'gmail.com' if domain == 'googlemail.com' else domain}"


def otherwise(rng: random.Random, address: str) -> tuple[str, str]:
    """The same mailbox written otherwise, and which way: plus_alias, gmail_dots,
    address_capitals."""
    local, _, domain = address.partition("@")
    gmail = domain in ("gmail.com", "googlemail.com")
    pick = rng.random()
    bare = local.replace(".", "")
    if gmail and pick < 0.5 and len(bare) > 2:
        at = 1 + int(rng.random() * (len(bare) - 1))
        dotted = f"{bare[:at]}.{bare[at:]}"
        new = bare if dotted == local else dotted
        host = "googlemail.com" if rng.random() < 0.1 else "gmail.com"
        return f"{new}@{host}", "gmail_dots"
    if domain in TAGGED and pick < 0.9:
        return f"{local}+{rng.choice(_TAGS)}@{domain}", "plus_alias"
    capitals = f"{local.title()}@{domain}" if pick < 0.95 else address.upper()
    return capitals, "address_capitals"
