"""Train a regression, then train it again from its receipt and see that nothing changed.

    python examples/predict_a_number.py

Takes about twenty seconds.
"""

import septet


def main() -> None:
    run = septet.train("tabular-regression", "diabetes", epochs=20, seed=3)
    low, high = run.evaluation["intervals"]["r2"]
    print(f"R2 {run.scores['r2']:.3f} (95 %: {low:.3f} to {high:.3f})")

    again = septet.reproduce(run.name)
    print("the same weights and log, bit for bit" if again.equal else again.differences)


if __name__ == "__main__":
    main()
