"""How often each difficulty comes in the generated export. Where no source is named, the figure is
chosen: so that each case is there often enough to be counted, and rarer ones are not drowned."""

from __future__ import annotations

DUPLICATES = 0.03
"""Records that are a further record of a person who is there already, of all records: the figure
the product is measured by."""
FURTHER = ((1, 85), (2, 12), (3, 3))
"""How many further records a person with duplicates has, and the weight of it."""

# What links a further record to the person's first one: name of the relation, and its weight.
RELATIONS = (
    ("same_address", 28),
    ("same_mailbox", 14),  # written otherwise: a +tag, Gmail's dots, capitals
    ("old_address", 12),  # a new one in front; the first stands under other e-mails
    ("phone_only", 24),  # other addresses, the same phone in another notation
    ("email_typo", 5),  # a slip in the address; the same phone
    ("no_email", 4),  # the further record has none; the same phone
    ("link_only", 5),  # other address, other phone or none; the same LinkedIn profile
    ("no_shared_key", 8),  # neither address nor phone nor profile is the same
)
# With a shared mailbox: what became of the phone.
PHONE_AFTER = (("same", 60), ("changed_phone", 25), ("no_phone", 15))

# What became of the name: of all further records.
NAME_NOISE = (
    ("", 44),
    ("typo", 15),
    ("nickname", 9),
    ("middle_name", 9),
    ("accents_lost", 7),
    ("swapped_names", 5),
    ("surname_changed", 7),
    ("initial", 4),
)
SECOND_NOISE = 0.12
"""Of the further records whose name was changed once, those where it is changed once more."""
CAPITALS = 0.05
"""Names in capitals or in small letters throughout: typed so, or another system's."""
ONE_SLIP = 0.8
"""Misspelt words with one slip alone; the others have two (Damerau, "A technique for computer
detection and correction of spelling errors", 1964; the same found for other languages by Gimenes,
Roman and Carvalho, Computational Linguistics 41(1), 2015)."""
SLIPS = (("neighbour", 35), ("dropped", 25), ("transposed", 20), ("doubled", 15), ("misread", 5))
"""A neighbour on the keyboard, a letter dropped, two transposed, one doubled, one misread by a
scanner."""
MEN_CHANGE = 0.06
"""Men who change theirs, for one woman who does: 5 against 79 in 100 (as below)."""
HYPHENATED = 0.06
"""Changed surnames that are both, with a hyphen: 5 of 84 women who changed theirs (Pew Research
Center, "About eight in ten women … took their husband's last name", 2023)."""
EMPLOYER_CHANGED = 0.25
MOVED = 0.10
EMPLOYER_OTHERWISE = 0.20
"""The same employer, written otherwise (Ltd, capitals)."""

# Of all people.
HOUSEHOLDS = 0.03
"""People of whom a relative of the same surname is there as well, at the same place."""
HOUSEHOLD_PHONE = 0.70
HOUSEHOLD_MAILBOX = 0.02
SAME_NAME = 0.02
"""Households (of men) where the relative has the same first name too: father and son. More than
in life: most relatives are spouses, sisters or brothers, and few sons have the father's name."""
NAMESAKES = 0.002
"""Somebody else of the same first and last name in the same town."""
AGENCY = 0.005
"""Sent by a recruiting agency, with the agency's address."""
AGENCY_PEOPLE = 250
"""How many people come by one agency, in the mean."""
SWITCHBOARD = 0.010
"""They give the number of their employer's switchboard."""
RECYCLED_PHONE = 0.002
"""The number was somebody else's before."""
MIDDLE_NAME = 0.12
SECOND_ADDRESS = 0.06
NO_EMAIL = 0.005
NO_PHONE = 0.14
LINKEDIN = 0.45
NO_EMPLOYER = 0.14
NO_PLACE = 0.06
MIXED_NAMES = 0.06
"""A first name of another culture than the surname's."""

# Faults of hygiene, of all records that are nobody's duplicate: 1.5 % in all, with NO_EMAIL.
INVALID_EMAIL = 0.004
NO_STAGE = 0.002
NO_OWNER = 0.003
IMPOSSIBLE_DATE = 0.002
DO_NOT_CONTACT = 0.02
"""A record is marked so; each record of a person by itself, so that they disagree at times."""
