"""Keys under which what two systems write about one person compares equal.

Each is kept simple enough to be said in SQL as well: the linkage of large tables says the plain
cases there, with the patterns and tables of this module, and asks these functions for the rest.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from disposable_email_domains import blocklist

from warmline.core.names import Agreement, names_agree

__all__ = [
    "Agreement",
    "base_key",
    "is_disposable",
    "is_role_address",
    "mailbox_key",
    "names_agree",
    "phone_key",
    "profile_key",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MICROSOFT = """
outlook.com outlook.at outlook.be outlook.cl outlook.co.id outlook.co.il outlook.co.th
outlook.com.ar outlook.com.au outlook.com.br outlook.com.gr outlook.com.tr outlook.com.vn
outlook.cz outlook.de outlook.dk outlook.es outlook.fr outlook.hu outlook.ie outlook.in outlook.it
outlook.jp outlook.kr outlook.lv outlook.my outlook.ph outlook.pt outlook.sa outlook.sg outlook.sk
hotmail.com hotmail.be hotmail.ch hotmail.co.jp hotmail.co.th hotmail.co.uk hotmail.com.ar
hotmail.com.br hotmail.com.tr hotmail.de hotmail.dk hotmail.es hotmail.fi hotmail.fr hotmail.gr
hotmail.it hotmail.nl hotmail.no hotmail.se live.com live.at live.be live.ca live.cl live.cn
live.co.uk live.co.za live.com.ar live.com.au live.com.mx live.com.pt live.de live.dk live.fr
live.ie live.in live.it live.jp live.nl live.no live.ru live.se msn.com windowslive.com
"""
_TAGGED = (
    "fastmail.com fastmail.fm proton.me protonmail.com protonmail.ch pm.me zoho.com zohomail.com"
)
_APPLE = "icloud.com me.com mac.com"
_YANDEX = "yandex.ru yandex.com yandex.by yandex.kz yandex.ua ya.ru"

# The domains where what follows a `+` is no part of the mailbox, and the domain it is known by.
MAILBOX_DOMAINS: Final = (
    {domain: domain for domain in f"{_MICROSOFT} {_TAGGED}".split()}
    | dict.fromkeys(_APPLE.split(), "icloud.com")
    | dict.fromkeys(_YANDEX.split(), "yandex.ru")
    | dict.fromkeys(("gmail.com", "googlemail.com"), "gmail.com")
)


def mailbox_key(normal: str) -> str:
    """The mailbox that an address in normal form (`core.candidates.normal_email`) is delivered to,
    where its provider says so; else the address itself.

    Gmail leaves out dots and everything from `+`, and `googlemail.com` is the same domain
    (support.google.com/mail/answer/7436150, /10313). Tags behind `+` (subaddresses, RFC 5233):
    Outlook.com, iCloud, Fastmail, Proton, Yandex, Zoho, each in its own help pages. One name is
    one mailbox in all of Yandex's domains (yandex.com/support/domain/additional/mailbox-alias)
    and in Apple's three (support.apple.com/en-us/102540). Yahoo's `-` aliases hang on names of
    their own and are left alone.
    """
    local, _, domain = normal.rpartition("@")
    known_as = MAILBOX_DOMAINS.get(domain)
    local = local.partition("+")[0]
    if known_as == "gmail.com":
        local = local.replace(".", "")
    return f"{local}@{known_as}" if known_as and local else normal


def base_key(normal: str) -> str:
    """The mailbox if every domain took what follows a `+` for a tag: likely, not certain."""
    mailbox = mailbox_key(normal)
    local, _, domain = mailbox.rpartition("@")
    name = local.partition("+")[0]
    return f"{name}@{domain}" if name else mailbox


# RFC 2142 names the first ten; the rest are what job applications are sent from and answered to.
_ROLES = _words(
    """
    info marketing sales support abuse noc security postmaster hostmaster webmaster
    admin administrator application applications apply billing bewerbung career careers contact
    contactus enquiries enquiry finance hello help helpdesk hiring hr humanresources inbox
    inquiries job jobs kontakt mail mailbox noreply office people personal personalabteilung
    personnel press recruit recruiter recruiters recruiting recruitment reception resume resumes
    root rrhh service staff staffing talent talents team test unknown user vacancies
    """
)
_ROLE_PARTS = _ROLES | _words(
    "acquisition and answer at com de department dept desk do donot emea en eu fr global group "
    "int not no online reply resources human it is ops the uk us usa"
)
_ROLE_WHOLE = frozenset(("donotreply", "do-not-reply", "no-reply", "no_reply", "no.reply", "none"))


def is_role_address(normal: str) -> bool:
    """Whether an office and not a person reads it: `jobs@`, `hr-team@`, `noreply+42@`.

    Every part of the name must be a role or a word that goes with one: `hr.lind@` is a person's.
    """
    local = normal.rpartition("@")[0].partition("+")[0]
    parts = [part for part in re.split(r"[._-]", local.rstrip("0123456789")) if part]
    return local in _ROLE_WHOLE or (
        any(part in _ROLES for part in parts) and all(part in _ROLE_PARTS for part in parts)
    )


def is_disposable(normal: str) -> bool:
    """Whether the domain, or one above it, gives out mailboxes that anybody may read."""
    labels = normal.rpartition("@")[2].split(".")
    return any(".".join(labels[at:]) in blocklist for at in range(len(labels) - 1))


# What stands behind a telephone number and is no part of it.
PHONE_EXTENSION: Final = (
    r"(?:;ext=|[^a-z](?:ext|extension|extn|x|#|durchwahl|poste)[.: ]*|#)[0-9]{1,6}[^0-9]*$"
)
# International numbers begin with `+` or `00`; then the country code (ITU-T E.164, list of codes
# assigned): one digit, two, or three.
PHONE_ABROAD: Final = r"^[^0-9+]*(?:\+[^0-9]*|00)"
PHONE_COUNTRY: Final = (
    r"^(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|2[1-689][0-9]|3[578][0-9]|42[0-9]|50[0-9]|59[0-9]|6[7-9][0-9]|8[0578][0-9]|9[679][0-9])"
)
PHONE_RUNS: Final = ("123456789012345678901234567890", "987654321098765432109876543210")


def phone_key(raw: str) -> str:
    """Nine digits, or as few as seven, under which a telephone number compares however it is
    written; empty where it is none.

    The extension, a bracketed `(0)`, the country code of an international number and leading
    zeros go; the last nine of what is left stay, since an old export leaves out the country.
    `+44 (0)20 7946 0018 x12`, `0044 2079460018` and `020 7946 0018` are `079460018`. Numbers of
    fewer than 7 or more than 15 digits (E.164's longest), of one digit repeated, and runs such as
    1234567 are no numbers.
    """
    text = re.sub(PHONE_EXTENSION, "", raw.translate(_LOWER), flags=re.DOTALL)
    text = re.sub(r"\( *0 *\)", "", text)
    abroad = re.search(PHONE_ABROAD, text) is not None
    digits = re.sub("[^0-9]", "", text)
    if not 7 <= len(digits.lstrip("0")) <= 15 or len(digits) > 17:
        return ""
    national = digits.lstrip("0")
    if abroad:
        national = re.sub(PHONE_COUNTRY, "", national).lstrip("0")
    key = national[-9:]
    if len(key) < 7 or key == key[0] * len(key) or any(key in run for run in PHONE_RUNS):
        return ""
    return key


_LOWER = {upper: upper + 32 for upper in range(65, 91)}

# What may follow a profile's name in its address. Patterns are of the kind RE2 knows.
_END = r"(?:[/?#].*)?$"
_START = r"^ *(?:[a-z]+://)?(?:[a-z0-9-]+\.)?"
PROFILES: Final = {
    "linkedin": _START + r"linkedin\.com/(?:mwlite/)?in/([^/?# ]+)" + _END,
    "xing": _START + r"xing\.com/profile/([^/?# ]+)" + _END,
    "stackoverflow": _START + r"stackoverflow\.com/users/([0-9]+)" + _END,
    "github": _START + r"github\.com/([a-z0-9-]+)/?(?:[?#].*)?$",
    "gitlab": _START + r"gitlab\.com/([a-z0-9._-]+)/?(?:[?#].*)?$",
    "behance": _START + r"behance\.net/([a-z0-9_-]+)/?(?:[?#].*)?$",
    "dribbble": _START + r"dribbble\.com/([a-z0-9_-]+)/?(?:[?#].*)?$",
}
# First words of a path that the site keeps for itself, and what forms leave in place of a name.
NO_PROFILE: Final = _words(
    """
    about account admin blog business collections company contact dashboard directory enterprise
    explore features groups help home issues jobs join login logout marketplace me my
    name new notifications null orgs people pricing profile projects pulls register
    search security settings shots signin signup site stories team teams topics trending
    unavailable undefined user username users your-name your-profile yourname yourprofile
    """
)


def profile_key(raw: str) -> str:
    """`linkedin:slug`, `github:user`, `xing:name`, `stackoverflow:42` and the like; empty where
    the link names nobody: a company, a search, a repository, the bare site.

    Lower-case and percent-decoded, without scheme, subdomain (`de.linkedin.com`), query and
    whatever follows the name. LinkedIn and GitHub compare so: their names know no case.
    """
    text = " ".join(unquote(raw).lower().split())
    for site, pattern in PROFILES.items():
        found = re.search(pattern, text)
        if found:
            return "" if found[1] in NO_PROFILE else f"{site}:{found[1]}"
    return ""
