"""A module that takes a while, and like some others cannot be imported again once its import was cut off."""

from tests.runs.lessons_to_run import not_to_be_cut_off

not_to_be_cut_off("importing")
