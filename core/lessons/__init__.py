"""The lessons, one file each, in the order in which a class meets them."""

from collections.abc import Mapping

from core.lesson import AnyLesson
from core.lessons import dying_relu, vanishing_gradients, width_and_interpolation

CURRICULUM: tuple[AnyLesson, ...] = (
    vanishing_gradients.LESSON,
    dying_relu.LESSON,
    width_and_interpolation.LESSON,
)

LESSONS: Mapping[str, AnyLesson] = {lesson.slug: lesson for lesson in CURRICULUM}
"""The curriculum by slug."""
