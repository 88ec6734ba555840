"""Train a small network on chapters of a novel, and have it write on.

    python examples/write_a_text.py

Takes about a minute. With your own text, give the path of a text file, a folder of them, or
JSON lines; with hours to spare, leave the sizes out.
"""

import septet

SMALL = {
    "data": {"length": 64},
    "model": {"dim": 64, "depth": 2, "heads": 2},
    "training": {"batch_size": 32, "learning_rate": 5e-3},
}


def main() -> None:
    run = septet.train("text-generation", "austen-sample", settings=SMALL, epochs=6)
    print(f"bits per character: {run.scores['bits_per_character']:.2f}")

    model = run.load()
    for temperature in (0.0, 0.7):
        answer = model.predict(
            "It is a truth universally", tokens=150, temperature=temperature, seed=1
        )
        print(f"temperature {temperature:g}: {answer}")
    print(f"what it wrote on the way there: {run.report}")


if __name__ == "__main__":
    main()
