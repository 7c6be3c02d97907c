"""Answers: a person's, a machine's (out of office), and a no."""

from __future__ import annotations

import re

from mailparser_reply import EmailReplyParser
from mailparser_reply.constants import MAIL_LANGUAGES

from warmline.core.events import EventKind
from warmline.kit.incoming.letter import Letter
from warmline.kit.incoming.said import FROM, SUBJECT, TEXT, Said

ANSWER_CHARS_MAX = 500  # kept of what somebody wrote
READ_CHARS_MAX = 4000  # looked at for it: the library takes its time over long lines
_MACHINES = ("mailer-daemon", "postmaster", "noreply", "no-reply", "donotreply", "do-not-reply")
_MARKS = ("X-Autoreply", "X-Autorespond", "X-Autoreply-From", "X-Mail-Autoreply", "List-Id")
_PRECEDENCES = frozenset({"bulk", "junk", "list", "auto_reply", "auto-reply"})
# How the programs of the world call an answer of their own, at the beginning of its subject.
AUTOMATIC_SUBJECTS = (
    "automatic reply", "auto reply", "auto-reply", "autoreply", "auto response", "auto:",
    "out of office", "out of the office", "ooo:", "[ooo]", "vacation reply", "away from",
    "abwesenheitsnotiz", "automatische antwort", "abwesenheit", "abwesend", "réponse automatique",
    "reponse automatique", "absence du bureau", "absent du bureau", "respuesta automática",
    "respuesta automatica", "fuera de la oficina", "ausencia", "resposta automática",
    "resposta automatica", "fora do escritório", "ausência", "risposta automatica",
    "fuori ufficio", "assente", "automatisch antwoord", "afwezig", "automatiskt svar", "autosvar",
    "frånvaro", "automatisk svar", "fravær", "automaattinen vastaus", "poissa",
    "odpowiedź automatyczna", "automatická odpověď", "автоответ", "автоматический ответ",
    "otomatik yan", "automatikus válasz", "răspuns automat", "自動応答", "自动回复", "자동 회신",
)  # fmt: skip
# The subject that `List-Unsubscribe: <mailto:>` asks for, before the mail's id.
_UNSUBSCRIBE = re.compile(r"^\s*unsubscribe\b", re.IGNORECASE)
# A whole answer that says no, in so many words.
_NO = frozenset({
    "unsubscribe", "stop", "remove me", "please unsubscribe", "unsubscribe me", "please remove me",
    "please unsubscribe me", "abmelden", "bitte abmelden", "abbestellen", "désabonner",
    "me désabonner", "désinscrire", "se désinscrire", "darse de baja", "baja", "cancelar inscrição",
    "disiscrivimi", "afmelden", "uitschrijven", "avregistrera", "avmeld", "afmeld",
})  # fmt: skip
_REPLIES = EmailReplyParser(languages=sorted(MAIL_LANGUAGES))


def about_an_answer(letter: Letter) -> Said | None:
    """An answer's own text is what a person reads of it; a machine's answer shows only that the
    mail arrived, and a mail that names ours in its subject alone is none."""
    if _UNSUBSCRIBE.search(letter.subject):
        return Said(EventKind.CANDIDATE_UNSUBSCRIBED, "mail")
    if not (letter.header("In-Reply-To") or letter.header("References")):
        return None
    if is_automatic(letter):
        return Said(EventKind.MESSAGE_DELIVERED, "automatic reply")
    text = without_quote(letter.text)
    if " ".join(text.lower().split()).strip(" .!") in _NO:
        return Said(EventKind.CANDIDATE_UNSUBSCRIBED, "answered")
    fields = {TEXT: short(text), SUBJECT: letter.subject[:300], FROM: letter.sender[:254]}
    return Said(EventKind.MESSAGE_REPLIED, "reply", fields)


def is_automatic(letter: Letter) -> bool:
    """RFC 3834, what programs did before it, and the words in the subject."""
    submitted = letter.header("Auto-Submitted").lower()
    if submitted and not submitted.startswith("no"):
        return True
    if any(letter.header(name) for name in _MARKS) or letter.header("Return-Path") == "<>":
        return True
    if letter.header("Precedence").lower() in _PRECEDENCES:
        return True
    if letter.message.get_content_type() == "multipart/report":  # read receipts, for one
        return True
    if letter.sender.lower().startswith(_MACHINES):
        return True
    return letter.subject.lower().startswith(AUTOMATIC_SUBJECTS)


def without_quote(text: str) -> str:
    """What somebody wrote, without what they quoted and without a signature where it is marked."""
    try:
        found = _REPLIES.parse_reply(text=text[:READ_CHARS_MAX])
    except Exception:  # the library's own bug over a stranger's text
        found = text
    lines = (found if isinstance(found, str) else text).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(">")).strip()


def short(text: str) -> str:
    """As people read it in a note: few lines, and no endless one."""
    kept = re.sub(r"\n\s*\n+", "\n", text.strip())
    if len(kept) <= ANSWER_CHARS_MAX:
        return kept
    return kept[: ANSWER_CHARS_MAX - 1].rstrip() + "…"
