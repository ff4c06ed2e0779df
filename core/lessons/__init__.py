"""The lessons, one file each, in the order in which a class meets them."""

from core.lesson import AnyLesson
from core.lessons import (
    batchnorm_and_dropout,
    cnn_arithmetic,
    cutout_and_batch_augmentation,
    depth_vs_width,
    dropout,
    dying_relu,
    optimizers,
    overfitting_cures,
    perceptron,
    scaling,
    vanishing_gradients,
    width_and_interpolation,
)
from core.library import Library

CURRICULUM: tuple[AnyLesson, ...] = (
    perceptron.lesson,
    vanishing_gradients.lesson,
    dying_relu.lesson,
    overfitting_cures.lesson,
    dropout.lesson,
    batchnorm_and_dropout.lesson,
    width_and_interpolation.lesson,
    cnn_arithmetic.lesson,
    optimizers.lesson,
    cutout_and_batch_augmentation.lesson,
    depth_vs_width.lesson,
    scaling.lesson,
)

LESSONS = Library(CURRICULUM)
"""By slug: the curriculum, and the lessons of one's own."""
