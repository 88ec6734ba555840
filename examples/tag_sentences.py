"""Give sentences any number of labels, and see which words each label is due to.

    python examples/tag_sentences.py

Takes less than a minute. The sentences are those of `movie-sample`; "praise" is what people said
of them, and the other labels are made here, by the words that a sentence has: an easy stand-in
for labels that people gave. With your own texts, give a JSON lines or Parquet file with a column
of texts and one of lists of labels, or a CSV file and, as a setting, what parts labels in it.
"""

import csv
import json
import re
from pathlib import Path

import septet
from septet import registry

SUBJECTS = {
    "cast": r"\b(act(or|ress|ing)|perform|cast\b)",
    "story": r"\b(story|plot|script|tale\b)",
    "humour": r"\b(funny|comed|laugh|humor|joke)",
}
SENTENCES = [
    "A warm and funny film, beautifully acted.",
    "The plot is a mess, and the cast seems tired.",
    "Two hours in a dark room.",
]


def label(sentences: Path, target: Path) -> Path:
    """The sentences as JSON lines with a list of labels each."""
    with sentences.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    with target.open("w", encoding="utf-8") as file:
        for row in rows:
            labels = [name for name, words in SUBJECTS.items() if re.search(words, row["text"])]
            labels += ["praise"] * (row["label"] == "positive")
            line = {"text": row["text"], "labels": labels, "split": row["split"]}
            file.write(json.dumps(line) + "\n")
    return target


def main() -> None:
    path = label(registry.sample("movie-sample").path(), Path("tagged-sentences.jsonl"))
    run = septet.train("text-classification", path, seed=1)
    for name in ("micro_f1", "macro_f1", "exact_match", "hamming_loss"):
        low, high = run.evaluation["intervals"][name]
        print(f"{name} {run.scores[name]:.3f} (95 %: {low:.3f} to {high:.3f})")
    for entry in run.evaluation["per_class"]:
        print(f"  {entry['label']}: F1 {entry['f1']:.2f}, given from {entry['threshold']:.2f} on")

    model = run.load()
    answers, explanations = model.predict(SENTENCES), model.explain(SENTENCES)
    for sentence, answer, explanation in zip(SENTENCES, answers, explanations, strict=True):
        print(f"{answer}: {sentence}")
        for each in (explanation, *explanation.others) if answer.labels else ():
            word, added = max(each.parts, key=lambda part: part[1])
            print(f"  {each.answer} because of: {word} {added:+.2f}")


if __name__ == "__main__":
    main()
