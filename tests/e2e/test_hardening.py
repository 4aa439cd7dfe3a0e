"""The process itself: how it is linked, what it gives up, and what it never shows."""
import os
import pwd
import re
import subprocess

import pytest

from kit.process import binary

HELLO = {"routes": [{"respond": {"status": 200, "body": "hello"}}]}


def status_of(hf):
    with open(f"/proc/{hf.pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_program_is_linked_to_be_hard_to_take_over():
    said = subprocess.run(["readelf", "-Whld", str(binary())], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Type:\s+DYN", said), "position-independent"
    assert "GNU_RELRO" in said and re.search(r"BIND_NOW|Flags: NOW", said), "full RELRO"
    assert re.search(r"GNU_STACK.*\bRW\b", said), "no executable stack"
    assert not re.search(r"LOAD.*\bRWE\b", said), "nothing writable can be run"
    assert "RPATH" not in said and "RUNPATH" not in said
    symbols = subprocess.run(["readelf", "-Ws", str(binary())], capture_output=True, text=True, check=True).stdout
    assert "__stack_chk_fail" in symbols


def test_no_exec_gives_more_rights(holdfast):
    assert status_of(holdfast(**HELLO))["NoNewPrivs"] == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
def test_root_is_given_up_for_good(holdfast):
    hf = holdfast(user="nobody", **HELLO)
    nobody = pwd.getpwnam("nobody")
    status = status_of(hf)
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert "0" not in status["Groups"].split()
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    assert hf.request().text == "hello"
