"""Instructions of a pick at 1,000 endpoints, counted by callgrind: bounded for every algorithm, and nothing is allocated."""
import os
import shutil
import subprocess

import pytest

from kit import process


@pytest.mark.skipif(shutil.which("valgrind") is None or shutil.which("cc") is None, reason="valgrind or cc is not there")
@pytest.mark.limit(180)
def test_a_pick_among_a_thousand_is_bounded():
    program = process.TREE / "tests" / "bench" / "pick-cost"
    environment = {k: v for k, v in os.environ.items() if not k.endswith("SAN_OPTIONS")}
    done = subprocess.run([program, "--endpoints", "1000", "--picks", "5000"], capture_output=True, timeout=170, text=True,
                          env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
