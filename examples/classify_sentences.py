"""Train on sentences of movie reviews, ask about sentences of your own, and see why.

    python examples/classify_sentences.py

Takes less than a minute. With your own texts, give the path of a CSV, TSV, JSON lines or
Parquet file with a column of texts and one of classes, or a folder of text files a class.
"""

import septet

SENTENCES = ["A warm and funny film, beautifully acted.", "Too long, and the plot is a mess."]


def main() -> None:
    run = septet.train("sentiment-analysis", "movie-sample", seed=1)
    low, high = run.evaluation["intervals"]["accuracy"]
    print(f"accuracy {run.scores['accuracy']:.3f} (95 %: {low:.3f} to {high:.3f})")

    model = run.load()
    answers, explanations = model.predict(SENTENCES), model.explain(SENTENCES)
    for sentence, answer, explanation in zip(SENTENCES, answers, explanations, strict=True):
        print(f"{answer.label} ({answer.probability:.0%}): {sentence}")
        strongest = sorted(explanation.parts, key=lambda part: -part[1])[:3]
        print("  because of: " + ", ".join(f"{word} {added:+.2f}" for word, added in strongest))
    print(f"every mistake explained, word by word: {run.report}")


if __name__ == "__main__":
    main()
