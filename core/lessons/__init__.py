"""The lessons, one file each, in the order in which a class meets them."""

from collections.abc import Mapping

from core.lesson import AnyLesson
from core.lessons import depth_vs_width, dying_relu, overfitting_cures, width_and_interpolation

CURRICULUM: tuple[AnyLesson, ...] = (
    dying_relu.LESSON,
    overfitting_cures.LESSON,
    width_and_interpolation.LESSON,
    depth_vs_width.LESSON,
)

LESSONS: Mapping[str, AnyLesson] = {lesson.slug: lesson for lesson in CURRICULUM}
"""The curriculum by slug."""
