"""`warmline segment` as it is typed, against the simulators."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.harness import Simulators, ask, clean_environment, make_project


def test_whoever_came_after_the_first_look_is_tagged_too(tmp_path: Path) -> None:
    project = tmp_path / "project"

    def segment(*arguments: str) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-m", "warmline", "segment", "--json", *arguments],
            cwd=project,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    with Simulators() as simulators:
        simulators.history(10)
        make_project(project, simulators, 9)
        assert segment()["candidates"] == 10
        status, said = ask(f"{simulators.ats}/_control/do/apply", method="POST", body={})
        assert status == 200, said
        assert segment("--no-read")["candidates"] == 10
        told = segment("--apply")
    assert (told["candidates"], told["records_without_their_tag"]) == (11, {"ats": 0})
    assert told["first_sync_allowed"] is True
