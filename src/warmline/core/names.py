"""Names of a person: whether two of them may belong to one and the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache


class Agreement(StrEnum):
    """What two names say about whether they are one person's."""

    SAME = "same"  # the same but for case, accents, hyphens and spaces
    ALIKE = "alike"  # written otherwise: a typo, a nickname, the order, a middle name
    UNKNOWN = "unknown"  # too little is known, or one of two parts changed
    DIFFERENT = "different"  # they contradict each other


# Letters that Unicode does not take apart into a base letter and an accent.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h"}
    | {"\u0131": "i"}
    | dict.fromkeys("'\u2019\u2018`\u00b4\u02bc\u02b9.", "")  # O'Brien is one word
)
_TITLES = frozenset(("dr", "prof", "mr", "mrs", "ms", "miss", "herr", "frau", "phd", "mba", "dipl"))
_GENERATIONS = frozenset(("jr", "sr", "ii", "iii"))
_PARTICLES = frozenset(
    """al bin da de del den der di do dos du el la le van von y zu""".split()  # noqa: SIM905
)

# The formal name first, then what its bearers are called. A word may stand in several lines.
_NICKNAMES = """
abigail abby gail;adelheid heidi;albert al bert bertie;aleksandr sasha alex;alexander alex al
sandy sasha xander lex alec;alexandra alex sandra sandy sasha lexi;alfred fred alf alfie;amanda
mandy;andreas andy andi;andrew andy drew;angela angie;antonio toni tonio tony;anthony tony;anton
toni tony;barbara barb babs barbie;beatrice bea trixie;benjamin ben benny benji;bernhard bernd
bernie;bernard bernie;bradley brad;caroline carrie caro;catherine cathy cat kate katie kitty;
charles charlie chuck chas;charlotte charlie lottie;christian chris;christina chris chrissy tina;
christine chris chrissy tina;christoph chris stoffel;christopher chris kit topher;daniel dan danny;
daniela dani;david dave davey;deborah deb debbie debra;dmitri dima mitya;dominic dom nick;donald don
donnie;dorothy dot dottie dolly;douglas doug;eberhard ebi;edmund ed eddie ned ted;eduard edi ed
eddie;edward ed eddie ned ted teddy;eleanor ellie nell nora;elisabeth lisa liesl sissi elli lisbeth
beth ella betty;elizabeth liz lizzie beth betsy betty eliza lisa ella ellie libby;emily em emmy;
eugene gene;evgeni zhenya;ferdinand ferdi;frances fran franny;francesco franco ciccio;francis frank
fran;francisco paco pancho curro fran;franklin frank;franz franzl;frederick fred freddie;friedrich
fritz fred;gabriel gabe;gabriele gabi;gabriella gaby ella;georg schorsch;geoffrey geoff jeff;gerald
gerry jerry;gerhard gerd;gregory greg;guillermo memo;gustav gus;hans hansi;harold harry hal;heinrich
heinz heiner heini;helena lena hella;henry harry hank hal;henrik rik;herbert herb bert;howard howie;
ignacio nacho;isabella bella izzy isa;ivan vanya;jacob jake jack;jacqueline jackie;jakob jaap kobi;
james jim jimmy jamie jem;janet jan;jennifer jen jenny;jeffrey jeff;jessica jess jessie;joachim
jochen achim;joanna jo;johan jan johannes;johannes hans jan johann hannes;john jack johnny jon;
jonathan jon jonny nathan;jose pepe;josef sepp jupp;joseph joe joey jo;josephine jo josie;joshua
josh;judith judy;juergen jurgen;karl karli carl;katharina kathi kati kathrin;katherine kate kathy
katie kitty kat;kathleen kathy kate katie;kenneth ken kenny;kimberly kim;konstantin kostya;lawrence
larry laurie;leonard leo len lenny;lorenz enzo;lorenzo enzo renzo;louis lou louie;ludwig lutz;
magdalena lena magda;manuel manolo manu;margaret maggie meg peggy marge greta daisy;margarete
grete gretel greta;maria mia mitzi;maria masha;mariajose marijo;martin marty;matthew matt matty;
matthias matze hias;maximilian max;megan meg;michael mike mick mickey micky michi;michelle shelly;
mikhail misha;mohammed mohamed muhammad mohammad mohamad mo md;nataliya natasha natalia;nathaniel
nate nathan nat;nicholas nick nicky nico;nikolaus niko klaus nikolas;nikolai kolya;olga olya;oliver
olli ollie;pamela pam;patricia pat patty tricia trish;patrick pat paddy rick;peter pete;petrus
piet;philip phil pip;rachel rae;raymond ray;rebecca becky becca;reinhard reini;richard rick rich
dick ricky richie;robert rob bob bobby robbie bert;roberto beto;roger rodge;ronald ron ronnie;rudolf
rudi rolf;russell russ;salvatore toto turi;samantha sam;samuel sam sammy;sandra sandy;sebastian
basti seb;sergei seryozha;sigmund siggi;stanley stan;stefan steffen steve;stefania stefi;stephanie
steph steffi;stephen steve stevie;steven steve stevie;susan sue susie suzy;susanne susi sanne;
tatiana tanya;teresa tess terry resi;theodore ted teddy theo;theresa tess terry resi;thomas tom
tommy;timothy tim timmy;tobias tobi;ulrich uli;ulrike uli;valentina valya;veronica ronnie vera;
victor vic;victoria vicky tori;vincent vince vinny;virginia ginny;vladimir vova volodya;walter walt
wally;wilhelm willi willy wim;william will bill billy willie liam;wolfgang wolf wolfi;yekaterina
katya;zachary zach zack
"""
_FORMAL: dict[str, set[str]] = {}
for _line in _NICKNAMES.split(";"):
    for _word_of_it in _line.split():
        _FORMAL.setdefault(_word_of_it, set()).add(_line.split()[0])


def formal_names(word: str) -> frozenset[str]:
    """The formal names behind a folded word: `bob` gives `robert`. Itself where none is known."""
    return frozenset(_FORMAL.get(word, (word,)))


def nicknames() -> dict[str, str]:
    """Each nickname with one formal name behind it, the first in the alphabet."""
    return {word: min(formal) for word, formal in _FORMAL.items()}


@lru_cache(maxsize=65_536)
def folded(raw: str) -> tuple[str, ...]:
    """The words of a name in lower case without accents, apostrophes and titles.

    `"Dr. Zoë O'Brien-Møller"` gives `("zoe", "obrien", "moller")`. Scripts are kept as they are.
    """
    spaced = re.sub(r"(?<=\b\w)\.(?=\w)", " ", raw)
    parts = unicodedata.normalize("NFKD", spaced.casefold().translate(_LETTERS)).casefold()
    plain = "".join(" " if not c.isalnum() else c for c in parts if not unicodedata.combining(c))
    words = plain.split()
    return tuple(w for w in words if w not in _TITLES) or tuple(words)


def names_agree(a_first: str, a_last: str, b_first: str, b_last: str) -> Agreement:
    """How two names compare. The order of the two does not matter.

    A surname that changed beside the same first name is UNKNOWN: people marry. Another first name
    beside the same surname is DIFFERENT: families share telephones and mailboxes. An initial, a
    missing part, or another script agrees with everything it could stand for, and is UNKNOWN.
    """
    (af, al, a_generation), (bf, bl, b_generation) = _name(a_first, a_last), _name(b_first, b_last)
    if not (af or al) or not (bf or bl) or _latin(af + al) is not _latin(bf + bl):
        return Agreement.UNKNOWN
    if a_generation and b_generation and a_generation != b_generation:
        return Agreement.DIFFERENT
    if sorted(af + al) == sorted(bf + bl) and len(af + al) > 1:
        exact = "".join(af) == "".join(bf) and "".join(al) == "".join(bl)
        return Agreement.SAME if exact and af and al else Agreement.ALIKE
    if not (af and al and bf and bl):
        return _partly(af, al, bf, bl)
    straight = _both(_first(af, bf), _last(al, bl))
    if straight in _GOOD or not (_swapped(af, al, bf, bl) or _swapped(bf, bl, af, al)):
        return straight
    return Agreement.ALIKE


_Words = tuple[str, ...]
_GOOD = (Agreement.SAME, Agreement.ALIKE)


def _name(first: str, last: str) -> tuple[_Words, _Words, str]:
    """First words, last words and the generation (`jr`, `ii`) that stands behind either."""
    parts, generation = [], ""
    for words in (folded(first), folded(last)):
        if len(words) > 1 and words[-1] in _GENERATIONS:
            words, generation = words[:-1], words[-1]
        parts.append(words)
    return parts[0], parts[1], generation


def _latin(words: _Words) -> bool:
    letters = [c for word in words for c in word if c.isalpha()]
    return not letters or any(c < "\u0250" for c in letters)


def _both(first: Agreement, last: Agreement) -> Agreement:
    if first is Agreement.DIFFERENT:
        return Agreement.DIFFERENT
    if last is Agreement.DIFFERENT:
        return Agreement.UNKNOWN if first in _GOOD else Agreement.DIFFERENT
    if Agreement.UNKNOWN in (first, last):
        return Agreement.UNKNOWN
    return Agreement.ALIKE if Agreement.ALIKE in (first, last) else Agreement.SAME


def _swapped(af: _Words, al: _Words, bf: _Words, bl: _Words) -> bool:
    """Whether it fits when a's columns are taken to be swapped."""
    return _both(_first(al, bf), _last(af, bl)) in _GOOD


def _partly(af: _Words, al: _Words, bf: _Words, bl: _Words) -> Agreement:
    """One side lacks a first or a last name: it may stand in the other column, or be missing."""
    few, many = sorted((af + al, bf + bl), key=lambda words: (len(words), words))
    if (not af and not bl) or (not al and not bf):
        return Agreement.UNKNOWN  # a first name here, a surname there: nothing to compare
    agreed = [max((_word(w, other) for other in many), key=_RANK.index) for w in few]
    if all(one in _GOOD for one in agreed):
        return Agreement.ALIKE if len(few) > 1 else Agreement.UNKNOWN
    if any(one is not Agreement.DIFFERENT for one in agreed):
        return Agreement.UNKNOWN
    return Agreement.DIFFERENT


_RANK = (Agreement.DIFFERENT, Agreement.UNKNOWN, Agreement.ALIKE, Agreement.SAME)


def _first(a: _Words, b: _Words) -> Agreement:
    whole = _word("".join(a), "".join(b))
    if whole in _GOOD:
        return whole
    head = _word(a[0], b[0])
    if head in _GOOD:
        few, many = sorted((a[1:], b[1:]), key=lambda words: (len(words), words))
        known = all(any(_word(w, o) is not Agreement.DIFFERENT for o in many) for w in few)
        return Agreement.ALIKE if known else Agreement.UNKNOWN
    long_a, long_b = ({w for w in words if len(w) > 1} for words in (a, b))
    if long_a and long_b and (long_a <= set(b) or long_b <= set(a)):
        return Agreement.ALIKE  # called by a middle name
    if head is Agreement.UNKNOWN or whole is Agreement.UNKNOWN or long_a & long_b:
        return Agreement.UNKNOWN
    return Agreement.DIFFERENT


def _last(a: _Words, b: _Words) -> Agreement:
    found = _spelt("".join(a), "".join(b))
    if found in _GOOD:
        return found
    core_a, core_b = ({w for w in words if w not in _PARTICLES} for words in (a, b))
    if core_a and core_b and (core_a <= core_b or core_b <= core_a):
        return Agreement.ALIKE  # Smith and Smith-Jones, Berg and van der Berg
    return found


def _word(a: str, b: str) -> Agreement:
    """Two first names. A short form beside a longer one (Dan, Daniela) is UNKNOWN: which long
    form is meant cannot be known."""
    if a != b and len(a) > 1 and len(b) > 1:
        if formal_names(a) & formal_names(b):
            return Agreement.ALIKE
        if a.startswith(b) or b.startswith(a) or _sibling_forms(a, b):
            return Agreement.UNKNOWN
    return _spelt(a, b)


def _sibling_forms(a: str, b: str) -> bool:
    """Names of which one is the other's female or male form: Mario and Maria, Julian, Juliana."""
    stems = sorted((a.rstrip("aeo"), b.rstrip("aeo")))
    return stems[0] == stems[1]


def _spelt(a: str, b: str) -> Agreement:
    """A slip of the keyboard or none: one edit from five letters on, two from nine on. Below that
    another letter is often another name (Lind, Lund)."""
    if a == b:
        return Agreement.SAME
    if len(a) == 1 or len(b) == 1:
        return Agreement.UNKNOWN if a[0] == b[0] else Agreement.DIFFERENT
    shorter = min(len(a), len(b))
    edits = _edits(a, b, 2 if shorter >= 9 else 1)
    if edits is None:
        return Agreement.DIFFERENT
    if shorter < 4:
        return Agreement.UNKNOWN if shorter == 3 else Agreement.DIFFERENT
    return Agreement.ALIKE if shorter >= 5 or sorted(a) == sorted(b) else Agreement.UNKNOWN


def _edits(a: str, b: str, most: int) -> int | None:
    """Letters put in, left out, replaced, or swapped with their neighbour (the Damerau-Levenshtein
    distance in its optimal string alignment form, F. Damerau 1964); None past `most`."""
    if abs(len(a) - len(b)) > most:
        return None
    while a and b and a[-1] == b[-1]:  # what agrees at either end changes nothing
        a, b = a[:-1], b[:-1]
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    if not a or not b:
        return len(a) + len(b)
    if most == 1:
        return 1 if len(a) == len(b) == 1 or (len(a) == 2 and a == b[::-1]) else None
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        earlier, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > most and min(before) > most:
            return None
    return row[-1] if row[-1] <= most else None


def difference_in_words(a_first: str, a_last: str, b_first: str, b_last: str) -> str:
    """What sets two names apart, for people to read, without quoting either: `last name differs by
    a letter`. Empty where nothing does. The order of the two does not matter."""
    (af, al, a_generation), (bf, bl, b_generation) = _name(a_first, a_last), _name(b_first, b_last)
    if not (af or al) or not (bf or bl):
        return "no name on one side"
    if _latin(af + al) is not _latin(bf + bl):
        return "names in different scripts"
    if a_generation and b_generation and a_generation != b_generation:
        return "another generation (junior, senior)"
    parts = [_apart("first", af, bf, _first), _apart("last", al, bl, _last)]
    if all(parts):
        if sorted(af + al) == sorted(bf + bl) or _swapped(af, al, bf, bl):
            return "first and last name swapped"
        if _swapped(bf, bl, af, al):
            return "first and last name swapped"
    return ", ".join(part for part in parts if part)


def _apart(which: str, a: _Words, b: _Words, compare: Callable[[_Words, _Words], Agreement]) -> str:
    if not a or not b:
        return f"{which} name missing on one side" if a or b else ""
    found = compare(a, b)
    whole_a, whole_b = "".join(a), "".join(b)
    if found is Agreement.SAME or whole_a == whole_b:
        return ""
    if len(whole_a) == 1 or len(whole_b) == 1:
        same = whole_a[0] == whole_b[0]
        return f"{which} name is an initial" if same else f"another {which} name"
    if found is Agreement.DIFFERENT:
        return f"another {which} name"
    if _edits(whole_a, whole_b, 1) is not None:
        return f"{which} name differs by a letter"
    if set(a) & set(b):
        return f"{which} name is longer on one side"
    if which == "first" and formal_names(a[0]) & formal_names(b[0]):
        return "first name is a nickname"
    return f"{which} name is written differently"
