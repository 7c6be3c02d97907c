"""What a folder says of its connector is what the connector is."""

from __future__ import annotations

import re

from warmline.core.actions import Action, ActionKind, ContactRef
from warmline.core.outcomes import OutcomeKind
from warmline.ports import CAPABILITIES
from warmline.testing.contract.suite import Subject, check, every_check, require


@check()
def what_is_declared_is_implemented(subject: Subject) -> None:
    with subject.alone() as made:
        implemented = {name for name, what in CAPABILITIES.items() if isinstance(made, what)}
    declared = set(subject.manifest.capabilities)
    require(
        not declared - implemented,
        f"manifest.toml declares {sorted(declared - implemented)}, which the class does not have",
    )
    require(
        not implemented - declared,
        f"the class has {sorted(implemented - declared)}, which manifest.toml does not declare",
    )


@check()
def every_setting_stands_in_the_readme(subject: Subject) -> None:
    path = subject.folder / "README.md"
    require(path.is_file(), "README.md is missing")
    lines = path.read_text().splitlines()
    for setting in subject.manifest.settings:
        line = next((x for x in lines if x.startswith(f"| `{setting.name}` |")), None)
        require(line is not None, f"README.md: no row of a table for the setting {setting.name}")
        assert line is not None  # noqa: S101 -- for the type
        require(setting.help, f"manifest.toml: settings.{setting.name} has no help")
        require(
            not setting.secret or "secret" in line,
            f"README.md: {setting.name} is not called secret",
        )
        told = setting.default in (None, "", {}) or str(setting.default) in line
        require(told, f"README.md: {setting.name}: its default {setting.default!r} is not told")
    told_of = {name for line in lines for name in re.findall(r"^\| `(\w+)` \|.*secret", line)}
    there = {setting.name for setting in subject.manifest.settings}
    require(told_of <= there, f"README.md: {sorted(told_of - there)} is no setting")


@check()
def no_secret_has_a_default(subject: Subject) -> None:
    for setting in subject.manifest.settings:
        held = not (setting.secret and setting.default)
        require(held, f"manifest.toml: settings.{setting.name} is secret and has a default")
        held = not (setting.required and setting.default is not None)
        require(held, f"manifest.toml: settings.{setting.name} is required and has a default")


@check()
def each_exemption_names_a_check_and_a_reason(subject: Subject) -> None:
    names = {one.name for one in every_check()}
    for name, reason in subject.harness.exempt.items():
        require(name in names, f"contract.py: exempt: there is no check {name}")
        require(len(reason.split()) >= 4, f"contract.py: exempt: {name} needs a reason")


@check("applies_actions")
def actions_declared_are_those_applied(subject: Subject) -> None:
    """Each declared kind has a sample that ends well; every other is refused without a call."""
    declared = subject.manifest.actions
    with subject.scene() as scene, scene.connector() as made:
        samples = {kind.value for kind in scene.place.samples}
        require(
            samples == declared,
            f"contract.py has samples of {sorted(samples)}, "
            f"manifest.toml declares {sorted(declared)}",
        )
        for kind, sample in scene.place.samples.items():
            (action,) = scene.know([sample.make()])
            require(
                not sample.holds(action), f"contract.py: a fresh {kind} holds before it is done"
            )
            done = scene.try_(lambda action=action: made.apply([action]))  # type: ignore[misc]
            require(done.error is None, f"{kind}: raised {done.error!r}")
            require(len(done.value) == 1, f"{kind}: {len(done.value)} outcomes for one action")
            require(
                done.value[0].kind is OutcomeKind.DONE and sample.holds(action),
                f"{kind}: {done.value[0].kind}, {done.value[0].reason!r}; "
                "expected done, and to hold at the vendor",
            )
        model = scene.cast(1)[0]
        for kind in ActionKind:
            if kind.value in declared:
                continue
            _refuses(scene.between, made, kind, model)


def _refuses(between: object, made: object, kind: ActionKind, model: Action) -> None:
    road, connector = between, made
    road.play()  # type: ignore[attr-defined]
    other = Action(
        key=f"other:{kind}",
        kind=kind,
        candidate_id=1,
        contact=ContactRef(model.contact.external_id, model.contact.emails or ("a@example.com",)),
        fields=model.fields,
        occurred_at=model.occurred_at,
        tags=model.tags,
        records=model.records,
    )
    found = connector.apply([other])  # type: ignore[attr-defined]
    kinds = [outcome.kind for outcome in found]
    require(kinds == [OutcomeKind.REFUSED], f"{kind}, which is not declared: {kinds}, not refused")
    sent = [f"{call.method} {call.path}" for call in road.calls]  # type: ignore[attr-defined]
    require(not sent, f"{kind}, which is not declared, was refused only after {sent}")
