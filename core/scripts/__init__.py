"""Lessons as stand-alone scripts: what the notebook should have been, for a student to run, read and change.

A script is the file `<slug>.py` beside this one. It runs by itself and uses nothing of this product. Its settings stand
between two lines; whoever takes it home gets them as the run at hand had them, written as Python literals.
"""

from pathlib import Path
from typing import Any

from core.knobs import Knob, Knobs
from core.lesson import AnyLesson

FOLDER = Path(__file__).parent
BEGIN, END = "# ---- settings ----\n", "# ---- end of settings ----\n"
WIDE = 120  # columns; a remark that would lie beyond them is left out


def has_script(lesson: AnyLesson) -> bool:
    """Whether the lesson can be taken home as a script."""
    return (FOLDER / f"{lesson.slug}.py").is_file()


def script(lesson: AnyLesson, knobs: Knobs) -> str:
    """The lesson's script with the settings of these knobs; `FileNotFoundError` where it has none."""
    text = (FOLDER / f"{lesson.slug}.py").read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{settings(lesson, knobs)}{END}{after}"


def settings(lesson: AnyLesson, knobs: Knobs) -> str:
    """One assignment for each setting, with what it does where a knob of that name says so."""
    known = {knob.name: knob for knob in lesson.knobs.declared()}
    lines = []
    for name, value in lesson.settings(knobs).items():
        line = f"{name} = {literal(value)}"
        remark = f"  # {_remark(known[name])}" if name in known else ""
        lines.append(line + remark if len(line + remark) <= WIDE else line)
    return "".join(f"{line}\n" for line in lines)


def literal(value: Any) -> str:
    """A value as Python reads it: numbers, switches and texts, tuples of them, dictionaries of them."""
    if isinstance(value, dict):
        return "{\n" + "".join(f"    {literal(name)}: {literal(each)},\n" for name, each in value.items()) + "}"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if not isinstance(value, int | float | str):
        raise TypeError(f"settings are numbers, texts, tuples and dictionaries of them, and none is {type(value)}")
    text = repr(value)
    plain = isinstance(value, str) and '"' not in text and text.startswith("'")
    return f'"{text[1:-1]}"' if plain else text  # double quotes, as the rest of the script has them


def _remark(knob: Knob) -> str:
    """The first part of what the knob's help says, and what there is to choose from."""
    help = knob.help.partition(";")[0].partition(":")[0]
    return f"{help}: {knob.limits}" if knob.kind == "choice" else help
