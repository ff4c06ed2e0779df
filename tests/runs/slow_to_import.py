"""A module that takes a while, and like some others cannot be imported again once its import was cut off."""

import os
import time

from tests.runs.lessons_to_run import call_process

if "CUT_OFF" in os.environ:
    raise ImportError("its import was cut off")
os.environ["CUT_OFF"] = "so far"
call_process("importing")
time.sleep(0.3)
del os.environ["CUT_OFF"]
