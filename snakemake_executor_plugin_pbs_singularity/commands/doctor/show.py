"""The findings as people and as programs read them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from ...text import count, one_line
from ..table import print_table
from .findings import Finding, Level


def print_json(findings: Sequence[Finding]) -> None:
    """Print all findings as a list."""
    click.echo(json.dumps([finding.as_json() for finding in findings], indent=2))


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a table of all, and below it what there is to do, the worst first."""
    rows = [[finding.what, finding.level.value, finding.said] for finding in findings]
    print_table(["CHECK", "RESULT", "SEEN"], rows)
    for level in (Level.PROBLEM, Level.WARNING):
        for finding in findings:
            if finding.level is level:
                click.echo(f"{level.value.upper()} {one_line(finding.what)}: {one_line(finding.remedy)}")
    click.echo(summary(findings))


def summary(findings: Sequence[Finding]) -> str:
    """Say in a sentence whether this site will work."""
    problems, warnings = (
        sum(finding.level is level for finding in findings) for level in (Level.PROBLEM, Level.WARNING)
    )
    if problems:
        return (
            f"Workflows will not run here until {count(problems, 'problem')} {'is' if problems == 1 else 'are'} solved."
        )
    if warnings:
        return f"Workflows will run here; there {'is' if warnings == 1 else 'are'} {count(warnings, 'warning')}."
    return "Workflows will run here."
