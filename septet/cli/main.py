"""The commands: each parses, calls `septet.api` and prints; heavy imports happen inside.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed while
running, 2 refused, 130 interrupted and resumable.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from septet import backends, registry
from septet.errors import InputError, Interrupted, SeptetError
from septet.version import __version__

STARTED = time.monotonic()

settings_option = click.option(
    "--set", "pairs", multiple=True, metavar="GROUP.NAME=VALUE",
    help="A setting, as in training.batch_size=64; may be given several times.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on the last line."
)
backend_option = click.option(
    "--backend", type=click.Choice(list(backends.BACKENDS)),
    help="What computes; by default what KERAS_BACKEND says, else jax.",
)  # fmt: skip
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
    help="Of splits, initial weights, order and augmentation.",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code; a user never sees a traceback."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    # XLA's own log lines, alarms about slow machines among them, are for XLA's makers.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        code = commands.main(
            args=None if arguments is None else list(arguments),
            prog_name="septet",
            standalone_mode=False,
        )
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Abort as abort:
        # What Click makes of every KeyboardInterrupt; the command to resume with is in its cause.
        command = str(abort.__cause__) if isinstance(abort.__cause__, Interrupted) else ""
        resume = f" Continue with: {command}" if command else ""
        click.echo(f"Stopped on request.{resume}", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except SeptetError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="septet %(version)s")
def commands() -> None:
    """Train, check, use and keep deep-learning models on your own data."""


@commands.command()
@json_option
def tasks(as_json: bool) -> None:
    """List what Septet can do."""
    found = {name: registry.task(name).summary for name in registry.TASKS}
    if as_json:
        print_json(found)
        return
    width = max(len(name) for name in found)
    for name, summary in found.items():
        click.echo(f"{name:<{width}}  {summary}")


@commands.command()
@click.argument("task")
@json_option
def settings(task: str, as_json: bool) -> None:
    """List the settings of TASK with their defaults."""
    from septet.cli.describing import settings_of

    rows = settings_of(registry.task(task))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['name']} = {json.dumps(row['default'])}\n    {row['description']}")


@commands.group()
def data() -> None:
    """Sample data: list them, fetch them."""


@data.command("list")
@json_option
def data_list(as_json: bool) -> None:
    """List the sample data sets."""
    found = [(name, registry.sample(name)) for name in registry.SAMPLES]
    if as_json:
        print_json(
            {name: {"task": sample.task, "summary": sample.summary} for name, sample in found}
        )
        return
    for name, sample in found:
        click.echo(f"{name:<20}{sample.task or 'septet.fit':<24}{sample.summary}")


@data.command("fetch")
@click.argument("name")
def data_fetch(name: str) -> None:
    """Bring the sample data set NAME to this machine; prints where it is."""
    from septet.data.fetching import fetch

    click.echo(str(fetch(registry.sample(name), say=note)))


@commands.command()
@click.argument("task")
@click.argument("source", metavar="DATA")
@settings_option
@seed_option
@json_option
def check(task: str, source: str, pairs: Sequence[str], seed: int, as_json: bool) -> None:
    """Print the account of DATA for TASK: what was read, used, rejected and why.

    Exits with 2 if training would refuse the data.
    """
    from septet import api
    from septet.cli.describing import print_account
    from septet.config import parse_settings

    account, max_rejected = api.examine(task, source, settings=parse_settings(pairs), seed=seed)
    if as_json:
        print_json(account.to_json())
    else:
        print_account(account.to_json())
    account.require_trainable(max_rejected)


@commands.command()
@click.argument("task")
@click.argument("source", metavar="DATA")
@settings_option
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training data.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True),
    help="End within so many minutes, everything included.",
)  # fmt: skip
@seed_option
@click.option("--name", help="Of the run; made up when absent.")
@click.option("--preset", metavar="NAME", help="A recipe of TASK, such as best.")
@backend_option
@json_option
def train(
    task: str,
    source: str,
    pairs: Sequence[str],
    epochs: int | None,
    minutes: float | None,
    seed: int,
    name: str | None,
    preset: str | None,
    backend: str | None,
    as_json: bool,
) -> None:
    """Train TASK on DATA (a path, or a sample's name) and keep everything in a run folder."""
    from septet.config import parse_settings

    chosen = parse_settings(pairs)

    def work(observer: Any) -> Any:
        from septet import api

        return api.train(
            task, source, settings=chosen, epochs=epochs, minutes=minutes, seed=seed,
            name=name, backend=backend, preset=preset, observer=observer, started=STARTED,
        )  # fmt: skip

    finish_run(work, as_json)


@commands.command()
@click.argument("run", default="latest")
@json_option
def resume(run: str, as_json: bool) -> None:
    """Continue RUN from its newest complete checkpoint."""

    def work(observer: Any) -> Any:
        from septet import api

        return api.resume(run, observer=observer, started=STARTED)

    finish_run(work, as_json)


@commands.command()
@click.argument("run", default="latest")
@click.option("--name", help="Of the new run; made up when absent.")
@json_option
def reproduce(run: str, name: str | None, as_json: bool) -> None:
    """Train RUN again from its receipt and say whether it came out the same."""
    from septet import api
    from septet.cli.describing import make_observer

    result = api.reproduce(run, name=name, observer=make_observer())
    if as_json:
        print_json(
            {"equal": result.equal, "differences": result.differences, "run": result.run.name}
        )
    elif result.equal:
        click.echo(f"Equal: '{result.run.name}' has the same weights and log, bit for bit.")
    else:
        click.echo("Not equal:\n" + "\n".join(f"- {line}" for line in result.differences))
    if not result.equal:
        sys.exit(1)


@commands.command()
@click.argument("run", default="latest")
@click.argument("source", metavar="[DATA]", required=False)
@backend_option
@json_option
def evaluate(run: str, source: str | None, backend: str | None, as_json: bool) -> None:
    """Print the scores of RUN's model, on its own test data or on DATA."""
    from septet import api
    from septet.cli.describing import print_scores

    if source is not None:
        backends.choose(backend)
    evaluation = api.evaluate(run, source)
    if as_json:
        print_json(evaluation)
    else:
        print_scores(evaluation)


@commands.command()
@click.argument("run")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--out", metavar="FOLDER",
    help="For pictures that RUN makes or draws on, masks it finds, and explanations.",
)  # fmt: skip
@click.option(
    "--explain", is_flag=True,
    help="Say which words decided, or draw where in a picture; where the task can.",
)  # fmt: skip
@click.option(
    "--set", "pairs", multiple=True, metavar="NAME=VALUE",
    help="How an answer is made, where the task has such settings, as in temperature=0.8.",
)  # fmt: skip
@click.option(
    "--stream", is_flag=True, help="Print a text as it is written; answer each frame of a video."
)
@backend_option
@json_option
def predict(
    run: str,
    inputs: Sequence[str],
    out: str | None,
    explain: bool,
    pairs: Sequence[str],
    stream: bool,
    backend: str | None,
    as_json: bool,
) -> None:
    """Print RUN's answer for each INPUT (a path, or what the task takes).

    A RUN that makes pictures is asked for a number of them, and saves them as PNG files; one that
    finds the class of every pixel saves a mask and an overlay for each picture.
    """
    from septet.cli import answering

    how = answering.parse_how(pairs)
    if stream and explain:
        raise InputError("Choose one of --stream and --explain.")
    if out and os.path.exists(out) and not os.path.isdir(out):
        raise InputError(
            f"'{out}' (--out) is no folder, and files are to go into one. Name another."
        )
    from septet import api

    backends.choose(backend)
    model = api.load(run)
    items = model.task.inputs_from_arguments(list(inputs))
    if stream and model.task.streams:
        answering.follow(model.stream(), items, as_json=as_json)
        if out:
            answering.note_unused(model, out)
    elif stream and not as_json:
        with answering.Streaming(several=len(items) > 1) as hear:
            model.answers(items, how, hear)
        if out:
            answering.note_unused(model, out)
    else:
        answering.answer_all(model, items, how, out=out, explain=explain, as_json=as_json)


@commands.command()
@click.argument("what", metavar="RUN|ARCHITECTURE", default="latest")
@click.option("--backward", is_flag=True, help="Gradients and the backward pass, too.")
@click.option("--plot", is_flag=True, help="Draw a picture and print its path.")
@click.option("--out", metavar="FILE", help="The picture's file; implies --plot.")
@click.option(
    "--set", "pairs", multiple=True, metavar="NAME=VALUE",
    help="An argument of ARCHITECTURE, as in filters=[8,16]; may be given several times.",
)  # fmt: skip
@click.option(
    "--split", type=click.Choice(["train", "validation", "test"]), default="train",
    show_default=True, help="Which of RUN's data the batch is of.",
)  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), help="Examples; RUN's own, or 32.")
@click.option("--depth", type=click.IntRange(1), help="Levels of layers within layers to show.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
              help="Of what is made up.")  # fmt: skip
@json_option
def inspect(
    what: str,
    backward: bool,
    plot: bool,
    out: str | None,
    pairs: Sequence[str],
    split: Any,
    batch_size: int | None,
    depth: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Show layer by layer what RUN's network, or ARCHITECTURE, does with one batch.

    A RUN has its own weights, loss and data. An ARCHITECTURE (a name such as cnn, recurrent
    or transformer-encoder) is built untrained, and its inputs are made up.
    """
    from septet.cli import inspecting

    arguments = inspecting.parse_arguments(pairs)
    picture = inspecting.picture_path(out)
    from septet import api

    subject = api.subject_of(
        what, arguments=arguments, split=split, batch_size=batch_size, seed=seed
    )
    found = api.inspect_subject(subject, backward=backward, depth=depth, seed=seed)
    if not as_json:
        inspecting.print_inspection(found)
    path = inspecting.save_picture(found, subject, picture) if plot or out else None
    if as_json:
        print_json({**found.to_json(), "picture": path})
    elif path:
        click.echo(f"Picture  {path}")


@commands.command()
@json_option
def runs(as_json: bool) -> None:
    """List the runs, newest last."""
    from septet.cli.describing import print_runs
    from septet.runs import index
    from septet.runs.folder import runs_root

    rows = index.rows(runs_root())
    if as_json:
        print_json(rows)
    elif not rows:
        note("No runs yet. Start one: septet train image-classification fashion-sample")
    else:
        print_runs(rows)


@commands.command()
@click.argument("run", default="latest")
@json_option
def show(run: str, as_json: bool) -> None:
    """Print how RUN stands: status, settings, scores, where its report is."""
    from septet.cli.describing import print_run, run_summary
    from septet.runs.folder import RunFolder, runs_root

    summary = run_summary(RunFolder.find(runs_root(), run))
    if as_json:
        print_json(summary)
    else:
        print_run(summary)


def finish_run(work: Callable[[Any], Any], as_json: bool) -> None:
    """Do `work` with an observer, then print the run's scores and what to type next."""
    from septet.cli.describing import make_observer, print_scores

    run = work(make_observer())
    if as_json:
        print_json({"run": run.name, "folder": str(run.folder), **run.evaluation})
        return
    print_scores(run.evaluation)
    click.echo(f"Run     {run.name}")
    click.echo(f"Report  {run.report}")
    click.echo(f"Next    septet predict {run.name} INPUT...   septet show {run.name}")


def print_json(value: Any) -> None:
    """One JSON object on one line of stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def note(text: str) -> None:
    """A line on stderr."""
    click.echo(text, err=True)
