"""An inspection from start to end: a subject, its scenes, their rows and remarks."""

import inspect as signatures
import os
from typing import Any

import jax
import jax.numpy as jnp
import keras

from septet.engine import devices
from septet.errors import InputError
from septet.inspection.findings import Inspection
from septet.inspection.looking import Scene, look
from septet.inspection.players import scenes_of
from septet.inspection.remarks import remarks_on
from septet.inspection.subjects import Subject
from septet.models.adversarial import Adversarial


def inspect_subject(
    subject: Subject,
    *,
    backward: bool,
    depth: int | None = None,
    is_timed: bool = True,
    seed: int = 0,
) -> Inspection:
    """Look into a subject, layer by layer.

    Args:
        subject: A network with a batch.
        backward: Gradients, too; the network then runs as in a training step, with dropout
            and statistics of the batch, and else as in prediction.
        depth: Show layers within layers down to this depth; None for all.
        is_timed: Measure each layer's time, which takes most of the time.
        seed: Of the noise that two players need.

    Raises:
        InputError: Gradients were asked for, and there is no loss or no target.
    """
    platform = devices.start()
    scenes = _scenes(subject, backward, seed)
    parts = [look(scene, platform=platform, depth=depth, is_timed=is_timed) for scene in scenes]
    about = devices.describe()
    cores = f", {len(os.sched_getaffinity(0))} cores" if about["platform"] == "cpu" else ""
    remarks = [
        f"{part.name}: {remark}" if len(parts) > 1 else remark
        for part in parts
        for remark in remarks_on(part)
    ]
    return Inspection(
        subject.title,
        subject.notes,
        len(jax.tree.leaves(subject.inputs)[0]),
        backward,
        f"{about['kind']}{cores}",
        parts,
        remarks,
    )


def _scenes(subject: Subject, backward: bool, seed: int) -> list[Scene]:
    model = subject.model
    if isinstance(model, Adversarial):
        given = subject.inputs
        pictures = given["pictures"] if isinstance(given, dict) else given
        return scenes_of(model, pictures, is_training=backward, with_loss=backward, seed=seed)
    if backward:
        _require_loss(subject)
    given = (subject.inputs, subject.targets, subject.weights)
    data = jax.tree.map(jnp.asarray, given)
    takes = "training" in signatures.signature(model.call).parameters
    named = {"training": backward} if takes else {}

    def run(data: Any) -> Any:
        return model(data[0], **named)

    def loss(data: Any) -> Any:
        inputs, targets, weights = data
        return model.compute_loss(inputs, targets, run(data), weights)

    variables = [*model.variables]
    return [Scene(model.name, model, variables, data, run, loss if backward else None)]


def _require_loss(subject: Subject) -> None:
    model = subject.model
    has_own = type(model).compute_loss is not keras.Model.compute_loss
    if not model.compiled:
        raise InputError(
            f"The model '{model.name}' is not compiled, so it has no loss whose gradient could be "
            "shown. Call model.compile(loss=...) first, or leave out backward."
        )
    if getattr(model, "loss", None) is None and not has_own and not model.losses:
        raise InputError(
            f"The model '{model.name}' was compiled without a loss. Call "
            "model.compile(loss=...), or leave out backward."
        )
    if subject.targets is None and getattr(model, "loss", None) is not None:
        raise InputError("Gradients need targets. Give y, or leave out backward.")
