"""The certificate of an answer, kept so that Explore shows it when the point is opened there."""

from dataclasses import asdict

from hybrid import evaluation
from hybrid.choosing import Answer

__all__ = ["keep"]


def keep(answer: Answer, words: str) -> None:
    """Note a certified answer in the ledger of the images that certified it.

    It spent the delta of Choose, so it is no question to these images.

    Args:
        words: the certificate as a sentence.

    Raises:
        CertificateError: the ledger cannot be read or written.
    """
    if answer.best is None or answer.proof is None:
        return
    best = answer.best
    split = f"{answer.images}-certify" if answer.images else "certify"
    evaluation.ledger(best.network, split).keep_chosen(
        weights_sha256=best.weights_sha256,
        thresholds=best.thresholds,
        measure=best.measure,
        certificate=asdict(answer.proof) | {"sentence": words},
    )
