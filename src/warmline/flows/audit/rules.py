"""What the audit looks for: each rule with what it costs and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding spoils a sync. What is to be mended first stands first."""

    CRITICAL = "critical"  # somebody may be mailed who must not be
    HIGH = "high"  # the record cannot be synced, or spoils others
    MEDIUM = "medium"  # it can be synced, and will mislead
    LOW = "low"  # worth knowing


@dataclass(frozen=True, slots=True)
class Rule:
    """`of` is what a finding counts: records, applications or rows. `blocks`: a record with this
    finding is not ready to sync."""

    key: str
    title: str
    severity: Severity
    why: str
    todo: str
    of: str = "records"
    blocks: bool = False


_HIGH, _MEDIUM, _LOW = Severity.HIGH, Severity.MEDIUM, Severity.LOW

_TABLE = (
    Rule(
        "opt_out_conflict",
        "Opt-outs that disagree",
        Severity.CRITICAL,
        "One record of a person says do not contact and another does not: whoever works from the "
        "other one mails somebody who asked not to be.",
        "Set do-not-contact on every record of the person. Warmline takes the strictest of them.",
    ),
    Rule(
        "exact_duplicates",
        "Exact duplicates",
        _HIGH,
        "One mailbox, or one telephone and one name, on several records: mails arrive twice, the "
        "history is torn in parts, and every segment counts the person more than once.",
        "Merge them in the ATS. Until then Warmline joins those that are beyond doubt by itself.",
    ),
    Rule(
        "missing_email",
        "No e-mail address",
        _HIGH,
        "Nothing can be sent, and the CRM has nothing to look the person up by.",
        "Ask for the address, or leave the record out of the sync.",
        blocks=True,
    ),
    Rule(
        "invalid_email",
        "E-mail addresses that are none",
        _HIGH,
        "The mail cannot leave, or bounces; bounces cost the sender's standing with mailbox "
        "providers.",
        "Correct the address: most are slips such as a comma for a dot.",
    ),
    Rule(
        "id_twice",
        "The same id twice",
        _HIGH,
        "Two rows claim to be one record or one application and do not say the same: which one "
        "is right cannot be told.",
        "Export again. If it stays, look at the join that the report is made with.",
        blocks=True,
    ),
    Rule(
        "orphan_applications",
        "Applications without a candidate",
        _HIGH,
        "Somebody applied and nobody can answer: the row names no candidate.",
        "Find the candidate by the application's id in the ATS.",
        of="applications",
    ),
    Rule(
        "unread_rows",
        "Rows that cannot be read",
        _HIGH,
        "What stands there was not audited and will not be synced.",
        "Mend the rows in the file, or export it again as CSV in UTF-8.",
        of="rows",
    ),
    Rule(
        "no_name",
        "No name",
        _MEDIUM,
        "A mail that begins with “Dear ,” is read as spam, and duplicates hide behind it.",
        "Fill in the name from the CV.",
        blocks=True,
    ),
    Rule(
        "no_stage",
        "No pipeline stage",
        _MEDIUM,
        "Without a stage nobody knows whether the person is still in the running: no segment, no "
        "sequence, no interview mail.",
        "Set the stage, or reject the application if it is over.",
        blocks=True,
    ),
    Rule(
        "no_owner",
        "No recruiter",
        _MEDIUM,
        "Nobody introduces themselves, nobody gets the reply, and nobody is reminded.",
        "Assign a recruiter, best by job and all at once.",
        blocks=True,
    ),
    Rule(
        "no_role",
        "No applied role",
        _MEDIUM,
        "The welcome mail cannot say what the person applied for.",
        "Attach the application to its job.",
        blocks=True,
    ),
    Rule(
        "probable_duplicates",
        "Probable duplicates",
        _MEDIUM,
        "Likely the same person under two addresses or two spellings. Joined wrongly, one of two "
        "people gets the other's mail: so somebody has to look.",
        "Go through the pairs, the likeliest first.",
    ),
    Rule(
        "role_email",
        "Shared office addresses",
        _MEDIUM,
        "An address such as jobs@ or info@ is read by an office: the mail does not reach the "
        "candidate, and many people seem to be one.",
        "Ask for a personal address.",
    ),
    Rule(
        "disposable_email",
        "Throw-away addresses",
        _LOW,
        "The mailbox was made for an hour: it will bounce, or somebody else will read it.",
        "Ask for a lasting address, or leave the record out of sequences.",
    ),
    Rule(
        "impossible_dates",
        "Impossible dates",
        _LOW,
        "Days in the future, before 1990, or out of order: reminders fall due at the wrong time "
        "and time-to-hire is nonsense.",
        "Correct the date in the ATS.",
    ),
    Rule(
        "unreadable_dates",
        "Dates that are none",
        _LOW,
        "What is no date counts as no date: the record looks younger or older than it is.",
        "Correct the date. Where day and month could be either, say which with --date-order.",
    ),
)
RULES: Mapping[str, Rule] = {rule.key: rule for rule in _TABLE}
