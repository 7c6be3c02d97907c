"""What happens to a name on its way into a record: slips, nicknames, lost accents, capitals."""

from __future__ import annotations

import random
import unicodedata
from functools import lru_cache
from pathlib import Path

from bench.identity import rates

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_MISREAD = {
    "m": "rn", "w": "vv", "l": "1", "i": "l", "o": "0", "e": "c", "h": "b", "u": "v", "n": "ri",
    "d": "cl", "g": "q", "s": "5", "a": "o", "r": "n", "t": "f", "b": "6", "c": "e", "y": "v",
}  # fmt: skip
# Letters that Unicode does not decompose into a base letter and a mark.
_PLAIN = str.maketrans(
    {
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "\u0131": "i",
        "ß": "ss",
        "æ": "ae",
        "Æ": "Ae",
        "đ": "d",
    }
)


def _nicknames() -> dict[str, tuple[str, ...]]:
    """Each line of the file: names that stand for one another, the full one first."""
    lines = Path(__file__).with_name("nicknames.txt").read_text("utf-8").splitlines()
    return {full: tuple(short) for full, *short in (line.split() for line in lines)}


NICKNAMES = _nicknames()


def _neighbours() -> dict[str, str]:
    near: dict[str, str] = {}
    for row, letters in enumerate(_ROWS):
        for at, letter in enumerate(letters):
            around = letters[max(0, at - 1) : at] + letters[at + 1 : at + 2]
            if row:
                around += _ROWS[row - 1][at : at + 2]
            if row + 1 < len(_ROWS):
                around += _ROWS[row + 1][max(0, at - 1) : at + 1]
            near[letter] = around
    return near


_NEAR = _neighbours()
_KINDS = [kind for kind, _ in rates.SLIPS]
_WEIGHTS = [weight for _, weight in rates.SLIPS]


@lru_cache(maxsize=200_000)
def plain(text: str) -> str:
    """Without accents, as forms and old systems write it: Łukasz is Lukasz."""
    if text.isascii():
        return text
    split = unicodedata.normalize("NFD", text.translate(_PLAIN))
    return "".join(letter for letter in split if not unicodedata.combining(letter))


def slip(rng: random.Random, word: str) -> str:
    """The word with one slip; itself where it has fewer than three letters."""
    for _ in range(20):
        if len(word) < 3:
            break
        at = rng.randrange(len(word) - 1)
        kind = rng.choices(_KINDS, _WEIGHTS)[0]
        made = _slipped(rng, word, at, kind)
        if made != word:
            return made
    return word


def _slipped(rng: random.Random, word: str, at: int, kind: str) -> str:
    letter = word[at]
    before, behind = word[:at], word[at + 1 :]
    if kind == "dropped":
        # Hardly anybody drops the first letter of a name; it is seen at once.
        return word[: at + 1] + word[at + 2 :]
    if kind == "doubled":
        return before + letter + letter.lower() + behind
    if kind == "transposed":
        pair = behind[0] + letter
        return before + (pair.capitalize() if at == 0 else pair) + behind[1:]
    around = _NEAR.get(letter.lower(), "") if kind == "neighbour" else _MISREAD.get(letter, "")
    if not around:
        return word
    new = rng.choice(around) if kind == "neighbour" else around
    return before + (new.upper() if letter.isupper() else new) + behind


def typo(rng: random.Random, word: str) -> str:
    """The word misspelt: mostly one slip, at times two where it has five letters or more."""
    made = slip(rng, word)
    if len(word) >= 5 and rng.random() > rates.ONE_SLIP:
        twice = slip(rng, made)
        if twice != word:
            made = twice
    return made
