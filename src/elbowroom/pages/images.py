"""What images look like: reconstructions and samples, as rows of pictures."""

from elbowroom.records import StudyRecord

from . import words
from .figure import Figure
from .strips import picture_rows

__all__ = ["image_figures"]


def image_figures(study: StudyRecord) -> list[Figure]:
    """Held-out images over their reconstructions, and what the model generates."""
    return [_reconstructions(study), _samples(study) if study.reconstruction.why_none is None else _no_means(study)]


def _reconstructions(study: StudyRecord) -> Figure:
    if why := study.reconstruction.why_none:
        return Figure("reconstructions", "Held-out reconstructions", "", missing=why)
    title = f"Held-out reconstructions: {words.reconstruction_text(study)}"
    above, below = study.pictures.held_out, study.pictures.reconstructions
    strips, shown, note = picture_rows(study, (above, below), ("held out", "reconstruction"))
    how = (
        f"Above: validation examples, the first {shown} of a seeded draw, none picked by hand. Below: the model's "
        "reconstruction of each."
    )
    n = words.examples(study.reconstruction.n, "test")
    foot = f"{n} behind the numbers in the title; seed of the draw {study.evidence.seed}.{note}"
    return Figure("reconstructions", title, how, foot, strips=strips)


def _samples(study: StudyRecord) -> Figure:
    """Ancestral samples beside decoder means of the same z."""
    above, below = study.pictures.samples_ancestral, study.pictures.samples_mean
    strips, shown, note = picture_rows(study, (above, below), ("ancestral sample", "decoder mean"))
    title = f"{shown} ancestral samples, and the decoder means of the same z"
    how = (
        "Above: what the model generates, z drawn from the prior and then x from p(x | z). Below: the mean of "
        "p(x | z) at the same z; a mean is no sample, and hides the decoder's noise. Values beyond the range of the "
        "data are drawn black or white." + words.leak_words(study)
    )
    foot = f"Seed {study.evidence.seed}, the first {shown} draws.{note}"
    return Figure("samples", title, how, foot, strips=strips)


def _no_means(study: StudyRecord) -> Figure:
    """Ancestral samples beside held-out images, where there are no means."""
    above, below = study.pictures.held_out, study.pictures.samples_ancestral
    strips, shown, note = picture_rows(study, (above, below), ("held out", "ancestral sample"))
    title = f"{shown} validation examples, and {shown} ancestral samples"
    how = (
        "Above: validation examples. Below: what the model generates, z drawn from the prior and then x from p(x | z)."
    )
    foot = f"Seed {study.evidence.seed}, the first {shown} of a seeded draw and the first {shown} draws.{note}"
    return Figure("samples", title, how, foot, strips=strips)
