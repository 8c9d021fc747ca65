"""The alert rules and the dashboard in deploy/, against /metrics and by Prometheus' own tool."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.parts import MissingPart, leave_out
from tests.support.servers import find_program

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "balcao.json"
GUIDE = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
SUFFIXES = re.compile(r"_(bucket|count|sum)$")


def rules() -> list[dict[str, Any]]:
    """The alerts, in the order of the file."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_expressions() -> list[str]:
    """What the panels ask Prometheus."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def promtool(*args: str, folder: Path = PROMETHEUS) -> None:
    """Run Prometheus' tool; fail with what it prints."""
    program = find_program("promtool")
    if program is None:
        leave_out(MissingPart("promtool (Debian: prometheus)"))
    ended = subprocess.run(
        [program, *args], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_metric_of_alerts_and_dashboard_exists(client):
    """A renamed metric would leave an alert silent for ever, and a panel empty."""
    families = dict(re.findall(r"^# TYPE (\S+) (\w+)$", client.get("/metrics").text, re.MULTILINE))
    expressions = [rule["expr"] for rule in rules()] + dashboard_expressions()
    names = {name for one in expressions for name in re.findall(r"\bbalcao_\w+", one)}
    assert len(names) > 15
    for name in names:
        family = SUFFIXES.sub("", name)
        is_part = family != name and families.get(family) == "histogram"
        assert is_part or name in families, name


def test_the_guide_has_the_same_alerts():
    """Rules and table are one idea: name, expression, time and reason; and each alert says what to
    do."""
    table = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \| `(.+?)` \| (.+?) \| (.+) \|$", GUIDE, re.M)
    in_guide = [(name, expression, during) for name, _, expression, during, _ in table]
    assert in_guide == [
        (rule["alert"], rule["expr"], "at once" if rule["for"] == "0m" else rule["for"])
        for rule in rules()
    ]
    headings = set(re.findall(r"^### (\w+)$", GUIDE, re.M))
    for rule in rules():
        name = rule["alert"]
        assert name in headings
        assert rule["annotations"]["runbook"] == f"docs/operators.md#{name.lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_prometheus_accepts_the_rules_and_they_fire_when_they_should():
    """deploy/prometheus/tests.yml has for each alert a case that fires and one just below."""
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "tests.yml")
    cases = yaml.safe_load((PROMETHEUS / "tests.yml").read_text(encoding="utf-8"))["tests"]
    for rule in rules():
        fires = {
            bool(check["exp_alerts"])
            for case in cases
            for check in case["alert_rule_test"]
            if check["alertname"] == rule["alert"]
        }
        assert fires == {True, False}, rule["alert"]


def test_prometheus_accepts_what_the_dashboard_asks(tmp_path):
    """The tool checks rules only, so each expression becomes one."""
    recorded = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(dashboard_expressions())
    ]
    text = yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]})
    (tmp_path / "panels.yml").write_text(text, encoding="utf-8")
    promtool("check", "rules", "panels.yml", folder=tmp_path)
