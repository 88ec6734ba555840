"""Train on numbers in words, translate some that it never saw, and exchange the languages.

    python examples/translate_sentences.py

Takes about a minute. With your own text, give the path of a table with a column for each
language, of two files such as train.en and train.de, of a translation memory (.tmx) or of a
catalog of gettext (.po, .mo).
"""

import septet

SETTINGS = {
    "data": {"source": "en", "target": "de", "tokenizer": "characters"},
    "model": {"dim": 64, "depth": 2, "dropout": 0.0},
    "training": {"learning_rate": 3e-3, "batch_size": 16},
}
ASKED = ["seven hundred and fifty-two", "three hundred and nine"]


def main() -> None:
    run = septet.train("translation", "number-words", settings=SETTINGS, epochs=30, seed=1)
    print(f"BLEU {run.scores['bleu']:.1f}, chrF {run.scores['chrf']:.1f}")
    print(f"signature {run.evaluation['signatures']['bleu']}")

    model = run.load()
    for text, answer in zip(ASKED, model.predict(ASKED), strict=True):
        print(f"{text} = {answer.translation}")
    print(f"good and bad translations, and what they looked at: {run.report}")


if __name__ == "__main__":
    main()
