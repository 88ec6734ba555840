"""The changes of pictures and boxes that a detector is trained with, in their order."""

from typing import Any

import jax

from septet.task import Augment
from septet.vision import augmentation, moving
from septet.vision.detection_options import DetectionModelOptions


def augmenting(options: DetectionModelOptions, size: tuple[int, int]) -> Augment | None:
    """What `options` ask for, or None where that is nothing.

    Args:
        options: Of the network.
        size: Height and width of the pictures.
    """
    moves = bool(options.flip or options.scale or options.shift or options.stretch)
    looks: list[augmentation.Change] = []
    if options.colour or options.hue:
        looks.append(augmentation.colour(options.colour, options.hue))
    if options.blur:
        looks.append(augmentation.blur(options.blur))
    if options.cutout:
        looks.append(augmentation.cutout(min(options.cutout, *size)))
    if not (moves or looks or options.mosaic or options.mixup):
        return None
    look = augmentation.compose(looks)

    def change(key: Any, inputs: dict[str, Any], boxes: Any) -> tuple[dict[str, Any], Any]:
        pictures = inputs["pictures"]
        for_mosaic, for_place, for_look = jax.random.split(key, 3)
        if options.mosaic:
            pictures, boxes = moving.mosaic(for_mosaic, pictures, boxes, share=options.mosaic)
        if moves:
            maps = moving.random_map(
                for_place,
                len(pictures),
                size,
                flip=bool(options.flip),
                scale=options.scale,
                shift=options.shift,
                stretch=options.stretch,
            )
            pictures = moving.moved_pictures(maps, pictures)
            boxes = moving.moved_boxes(maps, boxes, size)
        if options.mixup:
            for_mix = jax.random.fold_in(key, 3)
            pictures, boxes = moving.mixed(for_mix, pictures, boxes, share=options.mixup)
        return {**inputs, "pictures": look(for_look, pictures)}, boxes

    return change
