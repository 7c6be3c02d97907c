"""Invented applicants, jobs and staff: believable, diverse, seeded, and never a real person.

Addresses are only ever below example.com, example.org and example.net (RFC 2606).
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass

FIRST_NAMES = (
    "Amara", "Zoë", "Łukasz", "Chidi", "Ingrid", "Mateo", "Priya", "Yusuf", "Freya", "Kenji",
    "Siobhán", "Tomasz", "Leilani", "Olu", "François", "Nadia", "Søren", "Xiomara", "Arjun",
    "Beatriz", "Dmitri", "Esra", "Fatoumata", "Gábor", "Hana", "Iñaki", "Jelena", "Kwame",
    "Lærke", "Mircea", "Noor", "Ören", "Paulina", "Quentin", "Renée", "Sanjay", "Thandiwe",
    "Ulrike", "Vikram", "Wanjirũ", "Ximena", "Yara", "Žofia", "Adaeze", "Björn", "Camila",
    "Daniel", "Élodie", "Farah", "Grace", "Håkon", "Ines", "Jamal", "Katarzyna", "Li", "Mei",
    "Minh", "Nguyễn", "Oksana", "Pedro", "Rosa", "Samuel", "Tuấn", "Ursula", "Wei", "Anaïs",
)  # fmt: skip
LAST_NAMES = (
    "Okafor", "Müller", "Nowak", "García", "Larsen", "Nguyễn", "O'Brien", "Kowalczyk", "Haddad",
    "Tanaka", "Ferrari", "Silva", "Şahin", "Jørgensen", "Kaur", "Petrović", "Mbeki",
    "Lindqvist", "Novák", "Dubois", "Kim", "Rossi", "Almeida", "Popescu", "Abebe", "Çelik",
    "Johansson", "Singh", "Van-Dijk", "Muñoz", "Horvat", "Adeyemi", "Fischer", "Moreau",
    "Ivanova", "Chen", "Bauer", "Costa", "Ahmed", "Wójcik", "Björk", "Traoré", "Santos",
    "Murphy", "Y\u0131lmaz", "Park", "Castillo", "Nakamura", "Osei", "Lefèvre", "Schmidt",
    "Đorđević",
)  # fmt: skip
MAIL_HOSTS = (
    "mail.example.com",
    "post.example.com",
    "inbox.example.com",
    "mail.example.org",
    "letters.example.org",
    "home.example.net",
    "mail.example.net",
)
COMPANIES = (
    "Northwind Freight",
    "Lumen & Reed",
    "Harbour Analytics",
    "Kestrel Robotics",
    "Juniper Health",
    "Blue Quarry",
    "Tidewater Energy",
    "Ostrava Instruments",
    "Fable Learning",
    "Cobalt Insurance",
)
CITIES = ("Lisbon", "Kraków", "Nairobi", "Toronto", "Malmö", "São Paulo", "Pune", "Dublin", "Osaka")
TAGS = (
    "Python",
    "Go",
    "PostgreSQL",
    "Kubernetes",
    "Figma",
    "Accessibility",
    "Copywriting",
    "Enterprise sales",
    "Recruiting ops",
    "Statistics",
    "French",
    "Remote",
    "Referral",
)
TITLES = ("Engineer", "Senior engineer", "Analyst", "Designer", "Account manager", "Team lead")
SOURCES = ("Jobs page on your website", "LinkedIn", "Referral", "Indeed", "University fair")
# Letters that Unicode does not decompose into a base letter and a mark.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "\u0131": "i", "æ": "ae", "ß": "ss", "ð": "d", "'": "", " ": ""}
)


@dataclass(frozen=True)
class Person:
    """One invented applicant."""

    first_name: str
    last_name: str
    email: str
    phone: str
    company: str
    title: str
    city: str
    tags: tuple[str, ...]
    link: str = ""  # a profile page


@dataclass(frozen=True)
class Colleague:
    """One invented member of staff."""

    first_name: str
    last_name: str
    email: str
    role: str  # recruiter, interviewer or admin


@dataclass(frozen=True)
class JobOpening:
    """One invented job with its stages in order."""

    name: str
    department: str
    office: str
    location: str
    requisition: str
    stages: tuple[str, ...]


_ENGINEERING = (
    "Application Review",
    "Phone Screen",
    "Technical Interview",
    "Final Interview",
    "Reference Check",
    "Offer",
)
_BUSINESS = (
    "Application Review",
    "Recruiter Screen",
    "Interview Scheduled",
    "Final Interview",
    "Offer",
)
_DESIGN = (
    "Application Review",
    "Recruiter Screen",
    "Portfolio Review",
    "Face to Face",
    "Final Interview",
    "Offer",
)
JOBS = (
    JobOpening(
        "Backend Engineer", "Engineering", "Lisbon", "Lisbon, Portugal", "ENG-101", _ENGINEERING,
    ),
    JobOpening(
        "Data Engineer", "Engineering", "Kraków", "Kraków, Poland", "ENG-102", _ENGINEERING,
    ),
    JobOpening(
        "Reliability Engineer", "Engineering", "Remote", "Remote, Europe", "ENG-103", _ENGINEERING,
    ),
    JobOpening(
        "Product Designer", "Design", "Malmö", "Malmö, Sweden", "DES-201", _DESIGN,
    ),
    JobOpening(
        "Content Designer", "Design", "Remote", "Remote, Europe", "DES-202", _DESIGN,
    ),
    JobOpening(
        "Account Executive", "Sales", "Toronto", "Toronto, Canada", "SAL-301", _BUSINESS,
    ),
    JobOpening(
        "Customer Success Manager", "Sales", "Lisbon", "Lisbon, Portugal", "SAL-302", _BUSINESS,
    ),
    JobOpening(
        "People Partner <EMEA> & Ops", "People", "Kraków", "Kraków, Poland", "PPL-401", _BUSINESS,
    ),
    JobOpening(
        "Data Scientist", "Data", "Toronto", "Toronto, Canada", "DAT-501", _ENGINEERING,
    ),
)  # fmt: skip

STAFF = (
    Colleague("Rosalind", "Achterberg", "rosalind.achterberg@staff.example.com", "admin"),
    Colleague("Tobias", "Nkemelu", "tobias.nkemelu@staff.example.com", "recruiter"),
    Colleague("Mirela", "Vasquez", "mirela.vasquez@staff.example.com", "recruiter"),
    Colleague("Hiroko", "Lindgren", "hiroko.lindgren@staff.example.com", "recruiter"),
    Colleague("Gareth", "Oyelaran", "gareth.oyelaran@staff.example.com", "interviewer"),
    Colleague("Saoirse", "Banerjee", "saoirse.banerjee@staff.example.com", "interviewer"),
    Colleague("Émile", "Kowalski", "emile.kowalski@staff.example.com", "interviewer"),
    Colleague("Nomvula", "Fitzgerald", "nomvula.fitzgerald@staff.example.com", "interviewer"),
)


def plain(name: str) -> str:
    """`Wójcik` as `wojcik`: what a person would put into an address."""
    spread = unicodedata.normalize("NFKD", name.lower().translate(_PLAIN))
    return "".join(letter for letter in spread if letter.isascii() and letter not in " '")


class People:
    """Draws applicants. The same seed draws the same people; no two share an address."""

    def __init__(self, rng: random.Random) -> None:
        """Draw with `rng`."""
        self._rng = rng
        self._drawn = 0

    def applicant(self) -> Person:
        """The next applicant."""
        rng = self._rng
        self._drawn += 1
        first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        local = f"{plain(first)}.{plain(last)}.{self._drawn}"
        return Person(
            first_name=first,
            last_name=last,
            email=f"{local}@{rng.choice(MAIL_HOSTS)}",
            phone=f"+1 202 555 {rng.randrange(100, 200):04d}",  # the numbers kept for fiction
            company=rng.choice(COMPANIES),
            title=rng.choice(TITLES),
            city=rng.choice(CITIES),
            tags=tuple(rng.sample(TAGS, rng.randrange(0, 4))),
            link=self._link(first, last),
        )

    def _link(self, first: str, last: str) -> str:
        """Every other one has a profile page, under a name that nobody's real one has."""
        if self._drawn % 2:
            return ""
        return f"https://www.linkedin.com/in/{plain(first)}-{plain(last)}-sandbox-{self._drawn}"

    def applicants(self, number: int) -> list[Person]:
        """The next `number` applicants."""
        return [self.applicant() for _ in range(number)]
