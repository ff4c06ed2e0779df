"""A module that takes a while, and like some others cannot be imported again once its import was cut off."""

import os
import time

if "CUT_OFF" in os.environ:
    raise ImportError("its import was cut off")
os.environ["CUT_OFF"] = "so far"
time.sleep(0.3)
del os.environ["CUT_OFF"]
