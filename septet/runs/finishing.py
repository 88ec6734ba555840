"""The end of a run: test scores, model folder, pictures, receipt and report."""

import tempfile
import time
from pathlib import Path
from typing import Any

from septet import backends
from septet.evaluation import drawing
from septet.runs import index, storage
from septet.runs.folder import RunFolder
from septet.runs.model_folder import name_weights, save_model_folder
from septet.runs.observer import Observer
from septet.runs.receipt import hash_dataset, hash_tensors, make_receipt
from septet.runs.report import write_report
from septet.runs.session import Session
from septet.runs.training import Training, Weights

EXPLAINED = 8
"""So many of the worst mistakes, and of the first examples, are explained in the report."""


def finish(training: Training, observer: Observer) -> dict[str, Any]:
    """Write everything that a finished run has; its evaluation.

    Each file is committed on its own and can be written again, so a run that is killed
    here finishes when it is resumed.
    """
    session, run = training.session, training.run
    weights = training.shipped()
    session.calibrate(weights)
    evaluation, outputs, split = _evaluate(session, weights)
    if texts := training.text_glimpses():
        evaluation = {**evaluation, "glimpses": texts}
    _commit_json(run.path / "evaluation.json", evaluation)
    _save_model(session, run, weights, evaluation)
    receipt = _receipt(training, weights)
    _commit_json(run.receipt_path, receipt)
    with drawing.undrawn() as characters:
        figures = _draw(session, run, training, evaluation, outputs, split)
    _write_report(training, evaluation, receipt, figures, drawing.remark_on(characters))
    _set_finished(training, evaluation)
    observer.note(f"Report: {run.report_path}")
    return evaluation


def _evaluate(session: Session, weights: Weights) -> tuple[dict[str, Any], Any, str]:
    """Scores on the test split, or on the best one there is, and where they come from."""
    sizes = {name: len(split) for name, split in session.material.dataset.splits.items()}
    name = next(name for name in ("test", "validation", "train") if sizes.get(name))
    outputs = session.outputs(weights, name)
    task, prepared = session.material.task, session.material.prepared
    splits = session.split(name), session.split("train")
    evaluation = task.evaluate_beside(outputs, *splits, prepared)
    network = task.shipped_network(session.model)
    more = task.examine(network, session.shipped(weights), splits[0], evaluation, prepared)
    evaluation = {**evaluation, **more}
    if task.explains and backends.current() == "jax":
        evaluation = {**evaluation, "explanations": _explain(session, weights, name, evaluation)}
    if task.decoding_options is not None:
        network, shipped = task.shipped_network(session.model), session.shipped(weights)
        samples = task.specimens(network, shipped, splits[0], prepared)
        evaluation = {**evaluation, "samples": samples}
    return {"split": name, "examples": sizes[name], **evaluation}, outputs, name


def _explain(
    session: Session, weights: Weights, name: str, evaluation: dict[str, Any]
) -> list[dict[str, Any]]:
    """Why the network answered as it did: the worst mistakes, then the first examples."""
    task, split = session.material.task, session.split(name)
    wrong = [entry["row"] for entry in evaluation["mistakes"][:EXPLAINED]]
    rows = list(dict.fromkeys([*wrong, *range(min(len(split), EXPLAINED))]))
    if not rows:
        return []
    explanations = task.explain(
        task.shipped_network(session.model),
        session.shipped(weights),
        [task.explainable(split, row) for row in rows],
        session.material.prepared,
    )
    return [
        {"row": row, "actual": task.truth(split, row), **explanation.to_json()}
        for row, explanation in zip(rows, explanations, strict=True)
    ]


def _receipt(training: Training, weights: Weights) -> dict[str, Any]:
    """Hashes of what went in and came out, and the settings to do it again."""
    config = training.session.material.config.model_dump(mode="json")
    receipt = make_receipt(
        config=config,
        data=hash_dataset(training.session.material.dataset),
        weights=hash_tensors(_weights_by_name(training.session, weights)),
        log=training.run.log_path.read_bytes(),
        pretrained=training.session.material.pretrained,
        plan=training.plan.to_json(),
        user_folder=Path.cwd(),
    )
    return {**receipt, "settings": config}


def _weights_by_name(session: Session, weights: Weights) -> dict[str, Any]:
    return name_weights(*session.shipped_architecture, *session.shipped(weights))


def _save_model(
    session: Session, run: RunFolder, weights: Weights, evaluation: dict[str, Any]
) -> None:
    name, arguments = session.shipped_architecture
    chosen = session.material.config.training.restore_best
    save_model_folder(
        run.model,
        task=session.material.task.name,
        architecture=name,
        arguments=arguments,
        prepared=session.material.prepared,
        weights=_weights_by_name(session, weights),
        evaluation=evaluation,
        account=session.material.dataset.account.to_json(),
        monitor=session.material.task.monitor if chosen else None,
    )


def _draw(
    session: Session,
    run: RunFolder,
    training: Training,
    evaluation: dict[str, Any],
    outputs: Any,
    split: str,
) -> list[tuple[str, str]]:
    """The run's pictures, committed one by one: (file name, caption) of each."""
    from septet.evaluation.figures import draw_curves, draw_glimpses

    task, prepared = session.material.task, session.material.prepared
    with tempfile.TemporaryDirectory(prefix="septet-") as folder:
        staged = Path(folder)
        figures = draw_curves(training.log.read(), staged)
        figures += draw_glimpses(training.glimpses(), staged)
        figures += task.draw(outputs, session.split(split), evaluation, prepared, staged)
        for name, _ in figures:
            storage.commit_file(run.path / name, (staged / name).read_bytes())
    return figures


def _write_report(
    training: Training,
    evaluation: dict[str, Any],
    receipt: dict[str, Any],
    figures: list[tuple[str, str]],
    remark: str,
) -> None:
    session, run = training.session, training.run
    html = write_report(
        run.path,
        name=run.name,
        config=session.material.config.model_dump(mode="json"),
        account=session.material.dataset.account.to_json(),
        evaluation=evaluation,
        log_rows=training.log.read(),
        figures=figures,
        remark=remark,
        receipt=receipt,
        facts=_facts(training),
    )
    storage.commit_file(run.report_path, html.encode())


def _facts(training: Training) -> dict[str, Any]:
    session = training.session
    is_best = training.options.restore_best and training.best is not None
    last = training.log.read()[-1]["epoch"]
    return {
        "architecture": session.architecture[0],
        "parameters": int(session.model.count_params()),
        "steps": training.step,
        "shipped_epoch": training.books.best_epoch if is_best else last,
        "ended": training.books.stopped or "as planned",
        "seconds": round(training.spent_s + time.monotonic() - training.started, 1),
    }


def _set_finished(training: Training, evaluation: dict[str, Any]) -> None:
    name, value = next(iter(evaluation["scores"].items()))
    rows = training.log.read()
    training.run.set_status(
        "finished",
        epochs=rows[-1]["epoch"],
        steps=training.step,
        score=value,
        score_name=name,
        seconds=_facts(training)["seconds"],
        error=None,
    )
    index.refresh(training.run.path.parent)


def _commit_json(path: Path, value: dict[str, Any]) -> None:
    storage.commit_file(path, storage.json_bytes(value))
