"""Keys that compare: mailboxes, telephones, profiles, names."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from warmline.core.candidates import normal_email
from warmline.core.matching import (
    MAILBOX_DOMAINS,
    PROFILES,
    Agreement,
    base_key,
    is_disposable,
    is_role_address,
    mailbox_key,
    names_agree,
    phone_key,
    profile_key,
)
from warmline.core.names import folded

words = st.from_regex(r"[a-z][a-z0-9]{0,12}", fullmatch=True)
tags = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
tagging = st.sampled_from(sorted(MAILBOX_DOMAINS))
domains = st.one_of(tagging, st.sampled_from(["example.com", "yahoo.com", "uni.example.org"]))


@pytest.mark.parametrize(
    ("normal", "mailbox"),
    [
        ("a.da.lind@gmail.com", "adalind@gmail.com"),
        ("ada.lind+jobs@googlemail.com", "adalind@gmail.com"),
        ("ada.lind+jobs@outlook.com", "ada.lind@outlook.com"),
        ("ada.lind@hotmail.com", "ada.lind@hotmail.com"),
        ("ada+x+y@fastmail.com", "ada@fastmail.com"),
        ("ada@me.com", "ada@icloud.com"),
        ("ada@ya.ru", "ada@yandex.ru"),
        ("ada-jobs@yahoo.com", "ada-jobs@yahoo.com"),
        ("ada+jobs@example.com", "ada+jobs@example.com"),
        ("+tag@gmail.com", "+tag@gmail.com"),
    ],
)
def test_a_mailbox_has_one_key(normal: str, mailbox: str) -> None:
    assert mailbox_key(normal) == mailbox


def test_what_is_likely_is_kept_apart_from_what_is_certain() -> None:
    assert base_key("ada+jobs@example.com") == "ada@example.com"
    assert base_key("a.da+jobs@gmail.com") == "ada@gmail.com"
    assert base_key("+tag@example.com") == "+tag@example.com"


@given(words, words, tags, domains)
def test_keys_of_addresses_are_final_and_the_likely_one_is_the_coarser(
    name: str, other: str, tag: str, domain: str
) -> None:
    for local in (name, f"{name}.{other}", f"{name}+{tag}", f"{name}.{other}+{tag}+{other}"):
        normal = normal_email(f"{local}@{domain}")
        assert normal is not None
        assert mailbox_key(mailbox_key(normal)) == mailbox_key(normal)
        assert base_key(mailbox_key(normal)) == base_key(normal) == base_key(base_key(normal))
        assert normal_email(mailbox_key(normal)) == mailbox_key(normal)


@given(words, words, tags, tags, tagging)
def test_tags_never_make_a_second_mailbox_where_the_provider_drops_them(
    name: str, other: str, one: str, two: str, domain: str
) -> None:
    assert mailbox_key(f"{name}+{one}@{domain}") == mailbox_key(f"{name}+{two}@{domain}")
    if name != other:
        assert mailbox_key(f"{name}@{domain}") != mailbox_key(f"{other}@{domain}")


@pytest.mark.parametrize(
    "raw",
    [
        "+44 (0)20 7946 0018", "+44 (0)20 7946 0018 x12", "0044 20 7946 0018", "020 7946 0018",
        "(020) 7946-0018", "020.7946.0018", "tel:+44-20-7946-0018", "+44 20 7946 0018 ext. 4",
        "442079460018", "020 7946 0018 #12", "+44-20-7946-0018;ext=12", "+44 ( 0 ) 2079460018",
        "  +4402079460018\n", "02079460018 EXT 12", "020 7946 0018 (home)",
    ],
)  # fmt: skip
def test_a_telephone_number_compares_across_notations(raw: str) -> None:
    assert phone_key(raw) == "079460018"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+45 20 30 40 51", "20 30 40 51"),
        ("+33 6 12 34 56 79", "06 12 34 56 79"),
        ("+1 415 555 0123", "1-415-555-0123"),
        ("+36 30 123 4568", "06 30 123 4568"),
        ("+354 561 2345", "561 2345"),
        ("+39 06 6982 1234", "06 6982 1234"),
    ],
)
def test_the_country_code_makes_no_second_number(one: str, other: str) -> None:
    assert phone_key(one) == phone_key(other) != ""


@pytest.mark.parametrize(
    "raw",
    [
        "", "n/a", "123456", "1234567", "0123456789", "+1 234 567 890", "0000000000",
        "+44 0000 000000", "555-555-5555", "9876543210", "1" + "23" * 8, "0" * 30, "-", "+",
        "1-800-FLOWERS", "+45",
    ],
)  # fmt: skip
def test_what_is_no_telephone_number_has_no_key(raw: str) -> None:
    assert phone_key(raw) == ""


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=40), st.text(alphabet="+0123456789() -./x#ext", max_size=30)))
@example("٠١٢٣٤٥٦٧٨٩")
def test_a_phone_key_is_seven_to_nine_digits_or_empty(raw: str) -> None:
    assert re.fullmatch(r"(?:[0-9]{7,9})?", phone_key(raw))


@given(st.from_regex(r"[1-9][0-9]{8,9}", fullmatch=True), st.sampled_from(["44", "49", "1", "380"]))
def test_a_national_and_an_international_number_have_one_key(number: str, country: str) -> None:
    national = phone_key("0" + number)
    assert phone_key(f"+{country} {number[:3]} {number[3:]}") == national
    assert phone_key(f"00{country}{number}") == national
    assert phone_key(f"+{country} (0){number}") == national


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("https://www.linkedin.com/in/Ada-Lind-12/?trk=x", "linkedin:ada-lind-12"),
        ("de.linkedin.com/in/ada-lind-12/en", "linkedin:ada-lind-12"),
        (" http://linkedin.com/in/ada-lind-12#about ", "linkedin:ada-lind-12"),
        ("https://www.linkedin.com/in/j%C3%BCrgen-1", "linkedin:jürgen-1"),
        ("https://github.com/AdaLind", "github:adalind"),
        ("github.com/adalind?tab=repositories", "github:adalind"),
        ("https://www.xing.com/profile/Ada_Lind/cv", "xing:ada_lind"),
        ("https://stackoverflow.com/users/42/ada-lind", "stackoverflow:42"),
        ("https://gitlab.com/ada.lind/", "gitlab:ada.lind"),
        ("https://dribbble.com/ada", "dribbble:ada"),
        ("https://www.behance.net/ada", "behance:ada"),
        ("https://www.linkedin.com/company/example", ""),
        ("https://www.linkedin.com/in/", ""),
        ("https://www.linkedin.com/in/me", ""),
        ("https://www.linkedin.com/search/results/people/?keywords=ada", ""),
        ("https://linkedin.com", ""),
        ("https://github.com/features", ""),
        ("https://github.com/example/repository", ""),
        ("https://notgithub.com/ada", ""),
        ("https://example.com/linkedin.com/in/ada", ""),
        ("https://ada.example", ""),
        ("", ""),
    ],
)
def test_a_profile_has_one_key(raw: str, key: str) -> None:
    assert profile_key(raw) == key


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), st.sampled_from(["linkedin.com/in/", "github.com/"])))
@example("linkedin.com/in/%ff%00")
@example("linkedin.com/in/%2F%3f")
def test_a_profile_key_names_a_site_and_somebody(raw: str) -> None:
    for text in (raw, f"https://linkedin.com/in/{raw}", f"github.com/{raw}"):
        site, colon, name = profile_key(text).partition(":")
        assert (site in PROFILES and name != "") if colon else site == ""


@pytest.mark.parametrize(
    "normal",
    ["info@x.com", "jobs@x.com", "hr-team@x.com", "jobs.uk@x.com", "no-reply@x.com", "hr2@x.com",
     "noreply+42@x.com", "donotreply@x.com", "talent_acquisition@x.com", "careers@x.com"],
)  # fmt: skip
def test_an_office_is_no_person(normal: str) -> None:
    assert is_role_address(normal)


@pytest.mark.parametrize(
    "normal", ["ada@x.com", "hr.lind@x.com", "jobst@x.com", "the@x.com", "42@x.com", "ina.fo@x.com"]
)
def test_a_person_is_no_office(normal: str) -> None:
    assert not is_role_address(normal)


def test_disposable_addresses() -> None:
    assert is_disposable("x@mailinator.com")
    assert is_disposable("x@eu.mailinator.com")
    assert not is_disposable("x@no-mailinator.com")
    assert not is_disposable("x@gmail.com")


SAME, ALIKE = Agreement.SAME, Agreement.ALIKE
UNKNOWN, DIFFERENT = Agreement.UNKNOWN, Agreement.DIFFERENT


@pytest.mark.parametrize(
    ("one", "other", "agreement"),
    [
        ("Ada|Lind", "ADA|lind", SAME),
        ("Zoë|O\u2019Brien", "Zoe|OBrien", SAME),
        ("Anne-Marie|Møller", "Anne Marie|Moller", SAME),
        ("Dr. Ada|Lind", "Ada|Lind", SAME),
        ("Lind|Ada", "Ada|Lind", ALIKE),
        ("Lindt|Adele", "Adele|Lindt-Berg", ALIKE),
        ("Ada Lind|", "Ada|Lind", ALIKE),
        ("Bob|Smith", "Robert|Smith", ALIKE),
        ("Bob|Smith", "Rob|Smith", ALIKE),
        ("Ada Maria|Lind", "Ada|Lind", ALIKE),
        ("Ada M.|Lind", "Ada Maria|Lind", ALIKE),
        ("Maria|Lind", "Ada Maria|Lind", ALIKE),
        ("Jürgen|Müller", "Jurgen|Mueller", ALIKE),
        ("Johnathan|Lindqvist", "Jonathan|Lindqivst", ALIKE),
        ("Ada|Smith-Jones", "Ada|Jones", ALIKE),
        ("Ada|van der Berg", "Ada|Berg", ALIKE),
        ("A.|Lind", "Ada|Lind", UNKNOWN),
        ("J.R.|Lind", "John Robert|Lind", UNKNOWN),
        ("Ada|L.", "Ada|Lind", UNKNOWN),
        ("Ada|", "Ada|Lind", UNKNOWN),
        ("Ada|", "|Lind", UNKNOWN),
        ("|", "Ada|Lind", UNKNOWN),
        ("Ada|Lind", "Ada|Berg", UNKNOWN),
        ("Ada|Lind", "Ада|Линд", UNKNOWN),
        ("Mario|Rossi", "Maria|Rossi", UNKNOWN),
        ("Paul|Lind", "Paula|Lind", UNKNOWN),
        ("Maria Anna|Lind", "Maria Clara|Lind", UNKNOWN),
        ("John|Lind Jr.", "John|Lind Sr.", DIFFERENT),
        ("Ada|Lind", "Carl|Lind", DIFFERENT),
        ("Ada|Lind", "Carl|Berg", DIFFERENT),
        ("A.|Lind", "Carl|Lind", DIFFERENT),
        ("A.|Lind", "Ada|Berg", DIFFERENT),
        ("Ada|", "Carl|", DIFFERENT),
        ("Kim|Park", "Park|Choi", DIFFERENT),
    ],
)
def test_how_two_names_compare(one: str, other: str, agreement: Agreement) -> None:
    assert names_agree(*one.split("|"), *other.split("|")) is agreement


names = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["Ada", "Adah", "Ad", "A.", "Bob", "Robert", "Rob", "Lind", "Linde", "Lindqvist", "Lindqst",
         "Ada Maria", "Maria", "Maria Anna", "Lind Jr", "Lind Sr", "van der Lind", "Lind-Berg", "",
         "Ада", "李", "Dr", "J.R.", "Jonathan", "Johnathan", "Paula", "Paul"]
    ),
)  # fmt: skip


@settings(max_examples=1000)
@given(names, names, names, names)
def test_names_compare_alike_from_either_side(a: str, b: str, c: str, d: str) -> None:
    assert names_agree(a, b, c, d) is names_agree(c, d, a, b)


@given(names, names)
def test_a_name_never_contradicts_itself(first: str, last: str) -> None:
    assert names_agree(first, last, first, last) is not DIFFERENT
    assert names_agree(first, last, first.upper(), f" {last} ") is not DIFFERENT
    if folded(first) and folded(last):
        assert names_agree(first, last, first, last) is SAME


typed = st.from_regex(r"[a-z]{5,12}", fullmatch=True)


@given(typed, typed, st.integers(0, 3), st.data())
def test_one_slip_of_the_keyboard_is_forgiven(
    first: str, last: str, kind: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(last) - 2))
    letter = data.draw(st.sampled_from("abcdefgh"))
    slips = [
        last[:at] + letter + last[at:],
        last[:at] + letter + last[at + 1 :],
        last[:at] + last[at + 1] + last[at] + last[at + 2 :],
        last[:at] + last[at + 1 :] + ("" if len(last) > 5 else last[-1]),
    ]
    if kind < 3 or len(last) > 5:
        assert names_agree(first, last, first, slips[kind]) in (SAME, ALIKE)
