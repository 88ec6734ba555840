"""A compiled `keras.Model` in Septet's engine, as its own `fit` will do it: loop and control."""

from septet.engine import devices
from septet.engine.feeds import ResidentFeed
from septet.engine.loop import Loop
from septet.engine.program import keras_step
from septet.engine.schedules import Plan
from septet.engine.state import create_metrics, initial_state


def make_loop(model, features, labels, *, batch_size, learning_rate, seed):
    """(loop, control) for a constant learning rate; nothing is compiled yet."""
    step = keras_step(model, learning_rate=learning_rate, schedule="constant", warmup=0.0)
    feed = ResidentFeed.of((features, labels), batch_size=batch_size, seed=seed)
    create_metrics(model, feed.block)
    state = initial_state(model, with_average=False)
    loop = Loop(step, feed, state, platform=devices.start())
    plan = Plan()
    plan.revise(0, 10_000_000)
    return loop, plan.control(1.0)


def run_epoch(loop, control, epoch, is_over=lambda: False):
    """Steps done and the epoch's running loss; `is_over` is asked after each chunk."""
    done, loss = 0, float("nan")
    while done < loop.feed.steps_per_epoch and not is_over():
        chunk = loop.advance(epoch, done, loop.feed.steps_per_epoch, control)
        done += chunk.count
        loss = chunk.logs["loss"]
    return done, loss
