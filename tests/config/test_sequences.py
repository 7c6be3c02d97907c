"""A wrong sequence or letter stops start-up and says where, what was found and expected."""

from __future__ import annotations

import pytest

from tests.config.conftest import Folder
from warmline.config.project import load

SEQUENCE = "sequences/welcome/sequence.yaml"
LETTER = "sequences/welcome/02-culture-story.md"
LAYOUT = "sequences/layout.mjml"
STEP_2 = "  - {day: 3, file: 02-culture-story.md, class: marketing}"

FAULTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "not YAML": ("name: welcome", "name: welcome: x", ("is not YAML here",)),
    "a key twice": ("title: New", "name: again\ntitle: New", ("'name'", "given twice")),
    "an unknown setting": ("title: New", "titel: New", ("titel", "not a setting")),
    "an unknown segment": (
        "segment: active_applicant", "segment: everybody",
        ("segment", "found 'everybody'", "'silver_medalist'"),
    ),
    "no segment": ("segment: active_applicant\n", "", ("segment", "is missing")),
    "a wrong type": (STEP_2, STEP_2.replace("day: 3", "day: third"),
                     ("steps.1.day", "found 'third'")),
    "a day before the first": (STEP_2, STEP_2.replace("day: 3", "day: -3"),
                               ("steps.1.day", "found -3")),
    "a class that is none": (STEP_2, STEP_2.replace("class: marketing", "class: promo"),
                             ("steps.1.class", "found 'promo'", "'transactional'")),
    "an unknown column": (STEP_2, STEP_2.replace("class:", "kind:"),
                          ("steps.1.kind", "not a setting")),
    "a missing file": (STEP_2, STEP_2.replace("02-culture", "02-kultur"),
                       ("steps.1.file", "'02-kultur-story.md'", "expected a file in")),
    "a file of another folder": (STEP_2, STEP_2.replace("02-culture-story.md", "../layout.mjml"),
                                 ("'../layout.mjml'", "expected a file in")),
    "a file of the machine": (STEP_2, STEP_2.replace("02-culture-story.md", "/etc/hostname"),
                              ("'/etc/hostname'", "expected a file in")),
    "the folder above": (STEP_2, STEP_2.replace("02-culture-story.md", ".."),
                         ("'..'", "expected a file in")),
    "the folder itself": (STEP_2, STEP_2.replace("02-culture-story.md", '""'),
                          ("''", "expected a file in")),
    "days out of order": (STEP_2, STEP_2.replace("day: 3", "day: 9"),
                          ("[0, 9, 7]", "ascending order")),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_sequence_is_named_with_its_line(folder: Folder, fault: str) -> None:
    old, new, words = FAULTS[fault]
    line = folder.edit(old, new, SEQUENCE)
    error = folder.fault()
    for word in words:
        assert word in str(error)
    if "is missing" in words:
        assert error.file == str(folder.path / SEQUENCE)
        return
    assert str(error).startswith(f"{folder.path / SEQUENCE}:{error.line}: ")
    wanted = line - 1 if fault == "days out of order" else line
    assert error.line is not None
    assert abs(error.line - wanted) <= 1


@pytest.mark.parametrize("text", ["", "- a\n", "words\n", "steps: []\n"])
def test_what_is_no_sequence_is_a_sentence(folder: Folder, text: str) -> None:
    (folder.path / SEQUENCE).write_text(text)
    assert str(folder.fault()).startswith(str(folder.path / SEQUENCE))


def test_two_sequences_of_one_name_are_refused(folder: Folder) -> None:
    import shutil

    shutil.copytree(folder.path / "sequences/welcome", folder.path / "sequences/welcome-2")
    assert "two sequences are called 'welcome'" in str(folder.fault())


def test_a_missing_layout_is_named(folder: Folder) -> None:
    (folder.path / LAYOUT).unlink()
    error = folder.fault()
    assert str(error).startswith(str(folder.path / LAYOUT))
    assert "is missing" in str(error)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("Hi there", "begin with `---`"),
        ("---\nsubject: x\nno end", "begin with `---`"),
        ("---\npreheader: x\n---\nHi", "expected `subject:`"),
        ("---\nsubject: ''\n---\nHi", "expected `subject:`"),
        ("---\n---\nHi", "expected `subject:`"),
        ("---\njust words\n---\nHi", "expected `subject:`"),
        ("---\nsubject: x\nsubjekt: y\n---\nHi", "['subjekt']"),
        ("", "begin with `---`"),
    ],
)
def test_a_letter_without_its_front_matter_is_named(folder: Folder, head: str, words: str) -> None:
    (folder.path / LETTER).write_text(head)
    error = folder.fault()
    assert str(error).startswith(f"{folder.path / LETTER}:1: ")
    assert words in str(error)


def test_a_fault_in_the_front_matter_has_its_line(folder: Folder) -> None:
    line = folder.edit("preheader: A", "subject: B\npreheader: A", LETTER)
    error = folder.fault()
    assert (error.file, error.line) == (str(folder.path / LETTER), line)
    assert "given twice" in str(error)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('Hi {{ candidate.first_name | default: "there" }},', "Hi {{ candidate.first_name }, "),
        ("A job advert says little", "{% if x %} A job advert"),
        ("The first answer came", "{{ recruiter.name | shout }} The first answer came"),
        ("Lena kept the kettle", "{% include 'x' %} Lena kept the kettle"),
    ],
)
def test_a_liquid_error_has_the_line_of_its_file(folder: Folder, old: str, new: str) -> None:
    line = folder.edit(old, new, LETTER)
    error = folder.fault()
    assert (error.file, error.line) == (str(folder.path / LETTER), line)
    assert "found" in str(error)
    assert "expected" in str(error)


def test_a_liquid_error_in_the_layout_has_the_layouts_line(folder: Folder) -> None:
    line = folder.edit('href="{{ unsubscribe_url }}"', 'href="{{ x | shout }}"', LAYOUT)
    error = folder.fault()
    assert (error.file, error.line) == (str(folder.path / LAYOUT), line)


@pytest.mark.parametrize("file", [SEQUENCE, LETTER, LAYOUT])
def test_another_encoding_is_named(folder: Folder, file: str) -> None:
    path = folder.path / file
    path.write_bytes(path.read_bytes() + "Weiß".encode("latin-1"))
    error = folder.fault()
    assert error.file == str(path)
    assert "expected UTF-8; byte" in str(error)


@pytest.mark.parametrize("file", [SEQUENCE, LETTER, LAYOUT])
def test_a_huge_file_is_refused(folder: Folder, file: str) -> None:
    path = folder.path / file
    path.write_bytes(path.read_bytes() + b"x" * 1024 * 1024)
    error = folder.fault()
    assert error.file == str(path)
    assert "at most 1 MiB" in str(error)


@pytest.mark.parametrize("file", [SEQUENCE, LETTER, LAYOUT])
def test_other_content_is_another_version(folder: Folder, file: str) -> None:
    before = load(folder.path).sequences["welcome"].sequence.version
    path = folder.path / file
    path.write_bytes(path.read_bytes() + (b"<!-- x -->" if file == LAYOUT else b"\n# x\n"))
    after = load(folder.path).sequences["welcome"].sequence.version
    assert before != after
    assert load(folder.path).sequences["welcome"].sequence.version == after


def test_a_project_without_sequences_loads(folder: Folder) -> None:
    import shutil

    shutil.rmtree(folder.path / "sequences")
    assert "expected one of []" in str(folder.fault())
