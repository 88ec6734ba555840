"""Check a table, train on it, and ask about a row that is given as a dictionary.

    python examples/classify_rows.py

Takes about ten seconds. With your own table, give the path of a CSV, TSV, JSON lines or
Parquet file, and name the column to predict with settings={"data": {"target": "..."}}.
"""

import csv

import septet
from septet import registry


def main() -> None:
    account = septet.check("tabular-classification", "breast-cancer")
    print(f"read {account.read} = used {account.used} + rejected {len(account.rejections)}")
    for finding in account.findings:
        print(f"{finding.severity}: {finding.message}")

    run = septet.train("tabular-classification", "breast-cancer", seed=1)
    low, high = run.evaluation["intervals"]["accuracy"]
    print(f"accuracy {run.scores['accuracy']:.3f} (95 %: {low:.3f} to {high:.3f})")

    with registry.sample("breast-cancer").path().open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    truth = row.pop("diagnosis")
    answer = septet.load(run.folder / "model").predict(row)
    print(f"first row: {answer.label} ({answer.probability:.1%}), in truth {truth}")


if __name__ == "__main__":
    main()
