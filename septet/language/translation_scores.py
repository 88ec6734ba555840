"""How good translations are: BLEU and chrF by sacreBLEU, which names what it did in a signature."""

from collections.abc import Sequence
from typing import Any, Literal

from septet.errors import MissingPackageError

ScoreTokenizer = Literal["13a", "zh", "char"]
"""How BLEU cuts a translation into words: 13a at spaces and marks, zh and char at characters."""

RESAMPLES = 1000


def sacrebleu_metrics() -> Any:
    """The metrics of the package `sacrebleu`.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        from sacrebleu import metrics  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingPackageError("sacrebleu", "language", "Scores of translations") from None
    return metrics


def corpus_scores(
    translations: Sequence[str], references: Sequence[str], tokenizer: ScoreTokenizer
) -> dict[str, Any]:
    """BLEU (Papineni et al. 2002) and chrF (Popović 2015) of a whole test set, 0 to 100.

    Returns "scores", "intervals" (95 %, bootstrap over sentences) and "signatures" by name.
    """
    metrics = sacrebleu_metrics()
    kinds = {"bleu": metrics.BLEU(tokenize=tokenizer), "chrf": metrics.CHRF()}
    scores, intervals, signatures = {}, {}, {}
    for name, metric in kinds.items():
        several = len(translations) > 1
        give_plain_numbers(metric)
        result = metric.corpus_score(
            list(translations), [list(references)], n_bootstrap=RESAMPLES if several else 1
        )
        scores[name] = float(result.score)
        mean, half = getattr(result, "_mean", -1.0), getattr(result, "_ci", -1.0)
        if several and half >= 0:
            intervals[name] = [max(0.0, float(mean - half)), min(100.0, float(mean + half))]
        signatures[name] = str(metric.get_signature())
    return {"scores": scores, "intervals": intervals, "signatures": signatures}


def give_plain_numbers(metric: Any) -> None:
    """Makes all scores of a metric Python's numbers.

    Of resamples in which nothing matches they are, of others NumPy's, and the mean of
    both kinds in sacreBLEU 2.6 raises TypeError; it can go once its `estimate_ci` takes both.
    """
    compute = metric._compute_score_from_stats

    def plain(stats: Any) -> Any:
        result = compute(stats)
        result.score = float(result.score)
        return result

    metric._compute_score_from_stats = plain


def sentence_scores(translations: Sequence[str], references: Sequence[str]) -> list[float]:
    """The chrF of each sentence, 0 to 100."""
    chrf = sacrebleu_metrics().CHRF()
    return [
        float(chrf.sentence_score(translation, [reference]).score)
        for translation, reference in zip(translations, references, strict=True)
    ]
