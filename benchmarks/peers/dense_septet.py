"""The dense net in Septet's engine: one epoch to warm up and compile, then timed ones.

    python dense_septet.py EPOCHS

The same `keras.Sequential`, compiled alike; the engine runs its own `train_step` in a
device loop and hands control back every quarter of a second.
"""

import sys
import time

import dense_data as setting

import septet


def main(epochs):
    import keras
    from dense_keras import dense_net
    from septet_loop import make_loop, run_epoch

    keras.utils.set_random_seed(0)
    features, labels = setting.make()
    model = dense_net()
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    begin = time.perf_counter()
    loop, control = make_loop(
        model, features, labels, batch_size=setting.BATCH_SIZE, learning_rate=1e-3, seed=0
    )
    loop.compile(control)
    run_epoch(loop, control, 0)
    warm_up_s = time.perf_counter() - begin

    epoch_s, loss = [], 0.0
    for epoch in range(1, epochs + 1):
        begin = time.perf_counter()
        _, loss = run_epoch(loop, control, epoch)
        epoch_s.append(time.perf_counter() - begin)
    setting.finish("septet", septet.__version__, warm_up_s, epoch_s, loss)


if __name__ == "__main__":
    main(int(sys.argv[1]))
