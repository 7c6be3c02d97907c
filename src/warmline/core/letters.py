"""What a letter may speak of, and the two readers on whom it is tried before anybody gets it.

`VARIABLES` are the values that each mail is filled with. `full_reader` has all of them;
`bare_reader` is what an ATS knows of somebody who was typed in by hand: a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

VARIABLES: Mapping[str, str] = {
    "candidate.first_name": "may be unknown",
    "candidate.last_name": "may be unknown",
    "candidate.name": "the whole name; may be unknown",
    "job.title": "may be unknown",
    "job.department": "may be unknown",
    "job.office": "may be unknown",
    "application.date": "the day, as 2 March 2026; empty where nobody applied",
    "application.rejection_date": "the day; empty where there was none",
    "application.weeks_since_rejection": "whole weeks; absent where there was none",
    "recruiter.name": "the candidate's recruiter, or `mail.sender`",
    "recruiter.first_name": "the same",
    "recruiter.email": "the same",
    "company": "from `warmline.yaml`",
    "postal_address": "from `warmline.yaml`",
    "careers_url": "from `warmline.yaml`; may be empty",
    "roles": "open roles that fit, each with `title`, `url`, `place` and `department`; may be none",
    "unsubscribe_url": "ends the mails",
    "preferences_url": "fewer, a pause, other topics",
    "view_url": "this letter in the browser",
    "keep_posted_url": "yes, keep me posted: one click",
    "opt_in_url": "yes, you may write to me",
}
OF_A_ROLE = ("title", "url", "place", "department")


def known(content: Iterable[str]) -> frozenset[str]:
    """Every name that a letter of this project may use; `content` are its own."""
    return frozenset({*VARIABLES, "content", *(f"content.{name}" for name in content)})


def full_reader(
    *,
    company: str,
    postal_address: str,
    careers_url: str,
    sender_name: str,
    sender_address: str,
    content: Mapping[str, object],
    public_url: str,
) -> dict[str, object]:
    """Somebody of whom everything is known. The person, the job and the roles are invented."""
    careers = careers_url or "https://careers.example.com"
    return {
        "candidate": {"first_name": "Amara", "last_name": "Okonkwo", "name": "Amara Okonkwo"},
        "job": {"title": "Head Baker", "department": "Bakery", "office": "Bristol"},
        "application": {
            "date": "2 March 2026",
            "rejection_date": "24 March 2026",
            "weeks_since_rejection": 1,
        },
        "recruiter": {
            "name": sender_name,
            "first_name": sender_name.split()[0] if sender_name else "",
            "email": sender_address,
        },
        "company": company,
        "postal_address": postal_address,
        "careers_url": careers,
        "roles": [
            {
                "title": title,
                "url": f"{careers.rstrip('/')}/{number}",
                "place": place,
                "department": "Bakery",
            }
            for number, title, place in ((1, "Night Baker", "Bristol"), (2, "Pastry Lead", "Bath"))
        ],
        "content": dict(content),
        **links(public_url),
    }


def bare_reader(full: Mapping[str, object]) -> dict[str, object]:
    """The same project's reader of whom nothing but a name is known, and for whom no role fits."""
    return {
        **full,
        "candidate": {"first_name": "", "last_name": "", "name": "Amara"},
        "job": {"title": "", "department": "", "office": ""},
        "application": {"date": "", "rejection_date": ""},
        "careers_url": "",
        "roles": [],
    }


def links(public_url: str) -> dict[str, str]:
    """Our own pages as a mail links to them, for nobody: each says that it does not know them."""
    base = public_url.rstrip("/")
    return {
        name: f"{base}{path}sample"
        for name, path in {
            "unsubscribe_url": "/u/",
            "preferences_url": "/p/",
            "view_url": "/v/",
            "keep_posted_url": "/k/",
            "opt_in_url": "/k/opt-in-",
        }.items()
    }
