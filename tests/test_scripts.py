"""The stand-alone scripts: run as a student runs them, and held against the lesson, number by number."""

import ast
import json
import math
import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from core.frames import Recording
from core.knobs import Knobs
from core.lesson import AnyLesson
from core.lessons import CURRICULUM, LESSONS
from core.scripts import BEGIN, END, FOLDER, has_script, literal, script

WITH_SCRIPT = [lesson for lesson in CURRICULUM if has_script(lesson)]
ALLOWED = {"numpy", "torch", "torchvision", "matplotlib", "sklearn"}  # sklearn has the digits, which need no download
LINES = 80

# Stands in for matplotlib and notes what is drawn: what a student would see is what is tested.
PYPLOT = """
import json, os
import numpy as np
drawn = {}
class Anything:
    def __getattr__(self, name): return lambda *_, **__: Anything()
def curve(x, y, *style, label, **look): drawn[label] = [np.asarray(each, dtype=float).tolist() for each in (x, y)]
plot = semilogx = semilogy = loglog = scatter = curve
def show(): open(os.environ["DRAWN"], "w").write(json.dumps(drawn))
def __getattr__(name): return lambda *_, **__: Anything()
"""


@pytest.mark.parametrize("lesson", WITH_SCRIPT, ids=lambda lesson: lesson.slug)
def test_a_script_is_short_stands_alone_and_lies_there_with_the_classrooms_knobs(lesson):
    text = (FOLDER / f"{lesson.slug}.py").read_text()
    assert len(text.splitlines()) < LINES
    assert script(lesson, lesson.presets["Classroom"]) == text
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes}
    assert {name.partition(".")[0] for name in names} <= ALLOWED | sys.stdlib_module_names
