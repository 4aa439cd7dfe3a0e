#!/usr/bin/env python3
"""Counts what tests have said; prints `PASSED FAILED`.

    tally.py check BUILD    the logs of `make check`: the cases of each cmocka program, one a fuzz target
    tally.py junit FILE     pytest's report
"""

import re
import sys
import xml.etree.ElementTree
from pathlib import Path

PASSED = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (?:\w+: )?(\d+) test\(s\)", re.M)


def program_count(trs):
    """A program that did not come to its own sum has one failure: it crashed, or it was not cmocka's."""
    log = trs.with_suffix(".log").read_text(errors="replace") if trs.with_suffix(".log").exists() else ""
    is_good = re.search(r"^:test-result: (PASS|SKIP)", trs.read_text(), re.M) is not None
    passed = sum(map(int, PASSED.findall(log)))
    failed = sum(map(int, FAILED.findall(log)))
    if is_good:
        return max(passed, 1), 0
    return passed, max(failed, 1)


def check_count(build):
    counts = [program_count(trs) for trs in sorted(Path(build).glob("tests/*/*.trs"))]
    return sum(p for p, _ in counts), sum(f for _, f in counts)


def junit_count(path):
    if not Path(path).exists():
        return 0, 1
    suites = xml.etree.ElementTree.parse(path).getroot().iter("testsuite")
    passed = failed = 0
    for s in suites:
        bad = int(s.get("failures", 0)) + int(s.get("errors", 0))
        failed += bad
        passed += int(s.get("tests", 0)) - bad - int(s.get("skipped", 0))
    return passed, failed


def main():
    kind, where = sys.argv[1:]
    print(*(check_count(where) if kind == "check" else junit_count(where)))


if __name__ == "__main__":
    main()
