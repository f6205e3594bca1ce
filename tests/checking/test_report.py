"""Reports as objects, as text and as JSON."""

from __future__ import annotations

import json
import re

import pytest

from lossmith.checking import Finding, Report

REPORT = Report(
    "formula('a')",
    "regression",
    (
        Finding("one", "ok", "Fine", "Nothing to say. " * 9, facts={"at": [1.0, float("inf")]}),
        Finding("two", "error", "Broken", "At y = 1 it is no number.", "Mend it. " * 12),
        Finding("three", "note", "By the way", "It is 3."),
    ),
)


@pytest.mark.parametrize("columns", [40, 80, 100])
def test_the_text_fills_its_columns_and_begins_with_what_is_wrong(columns: int) -> None:
    text = REPORT.text(columns)
    assert max(map(len, text.splitlines())) <= columns
    assert re.findall(r"^  (ok|note|warning|error) ", text, re.MULTILINE) == ["error", "note", "ok"]
    assert text.endswith("1 error, no warnings, 1 note")
    assert "→ Mend it." in text
    assert str(REPORT) == REPORT.text(100)


def test_a_report_is_plain_data() -> None:
    plain = json.loads(REPORT.to_json())
    assert (plain["schema"], plain["ok"]) == (1, False)
    assert plain["counts"] == {"error": 1, "warning": 0, "note": 1, "ok": 1}
    assert plain["findings"][0]["facts"] == {"at": [1.0, None]}
    assert [finding["topic"] for finding in plain["findings"]] == ["one", "two", "three"]
    assert (REPORT.ok, REPORT.errors, REPORT["three"].title) == (False, REPORT.findings[1:2], "By the way")
    with pytest.raises(KeyError, match="was not looked at, but one, two, three"):
        REPORT["four"]
