"""The small CNN in Septet's engine, for so many seconds of training.

    python fashion_septet.py DATA.npz SECONDS SEED

The very `keras.Sequential` of `fashion_keras.py`, compiled alike, at a constant rate.
"""

import sys

import fashion_data as setting

import septet


def main(path, seconds, seed):
    import keras
    from fashion_keras import small_cnn
    from septet_loop import make_loop, run_epoch

    from septet.engine import devices
    from septet.engine.predict import Predictor
    from septet.engine.state import shipped_weights

    keras.utils.set_random_seed(seed)
    (x, y), (x_test, y_test) = setting.load(path)
    model = small_cnn()
    model.compile(
        optimizer=keras.optimizers.Adam(setting.LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    predictor = Predictor(
        keras.Model({"picture": model.inputs[0]}, model.outputs[0]), platform=devices.start()
    )
    # The clock starts before compiling, as it does for the others.
    clock = setting.Clock(seconds)
    loop, control = make_loop(
        model, x, y, batch_size=setting.BATCH_SIZE, learning_rate=setting.LEARNING_RATE, seed=seed
    )
    loop.compile(control)
    steps, epoch, curve = 0, 0, []
    while not clock.is_over():
        done, _ = run_epoch(loop, control, epoch, clock.is_over)
        steps, epoch = steps + done, epoch + 1
        clock.pause()
        logits = predictor(shipped_weights(loop.state), {"picture": x_test})
        curve.append([round(clock.spent, 2), round(float((logits.argmax(1) == y_test).mean()), 4)])
        clock.go_on()
    setting.finish("septet", septet.__version__, curve, steps, clock)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
