"""Waiting for events.  Nothing here sleeps for a fixed time and hopes."""
import time


def wait_until(condition, what="the condition", timeout=15.0, pause=0.01):
    """Gives the first true value of condition(); fails with `what` when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what() if callable(what) else what}")
        time.sleep(pause)


def wait_still(value, what, timeout=30.0, pause=0.3):
    """Until value() is the same after a pause as before it."""
    last = [object()]

    def is_still():
        was, last[0] = last[0], value()
        return last[0] == was
    wait_until(is_still, what, timeout, pause)


def stays(condition, seconds, pause=0.02):
    """Does the condition hold all the time?  For what must not happen: use short times."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not condition():
            return False
        time.sleep(pause)
    return True
