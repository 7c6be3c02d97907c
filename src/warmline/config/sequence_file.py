"""What `sequence.yaml` may hold, as pydantic checks it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from warmline.core.segments import Segment
from warmline.core.sequences import Exit, StepClass
from warmline.core.timing import Days, Window, clock_time

DAY_MAX = 3650


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WindowFile(_Strict):
    """The hours, where the reader is, in which steps leave."""

    opens: str = Field(alias="from", default="00:00")
    closes: str = Field(alias="to", default="24:00")
    days: Days = Days.ANY

    @field_validator("opens", "closes", mode="before")
    @classmethod
    def _quoted(cls, found: object) -> object:
        if not isinstance(found, str):
            raise ValueError('expected a time of day in quotes, such as "09:30"')
        clock_time(found)
        return found

    @model_validator(mode="after")
    def _some_time(self) -> WindowFile:
        self.window()
        return self

    def window(self) -> Window:
        return Window(clock_time(self.opens), clock_time(self.closes), self.days)


class BranchFile(_Strict):
    when: str = ""
    file: str


class StepFile(_Strict):
    day: int = Field(ge=0, le=DAY_MAX)
    file: str | None = None
    step_class: StepClass = Field(alias="class", default=StepClass.MARKETING)
    branches: tuple[BranchFile, ...] = ()
    variants: dict[str, str] = Field(default_factory=dict, max_length=8)
    holdout: float = Field(default=0.0, ge=0, le=0.9)


class MonthlyFile(_Strict):
    """The library that a sequence goes on with after its last step."""

    library: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    from_day: int = Field(ge=1, le=DAY_MAX)
    every_days: int = Field(default=30, ge=1, le=366)
    step_class: StepClass = Field(alias="class", default=StepClass.MARKETING)


class SequenceFile(_Strict):
    name: str = Field(min_length=1, max_length=64)
    title: str = ""
    segment: Segment
    lives_in: str = Field(alias="in", default="warmline", min_length=1)
    options: dict[str, Any] = Field(alias="with", default_factory=dict)
    priority: int = Field(default=0, ge=-1000, le=1000)
    enrol_within_days: float = Field(default=2.0, gt=0)
    reentry_days: int | None = Field(default=None, ge=1, le=DAY_MAX)
    exits: tuple[Exit, ...] = ()
    hold: str = ""
    window: WindowFile | None = None
    steps: tuple[StepFile, ...] = ()
    monthly: MonthlyFile | None = None
