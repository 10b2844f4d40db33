"""Models of single cells by the names of the literature: words of a recipe."""

from collections.abc import Mapping
from typing import Any

__all__ = ["CELL_MODELS"]

_SIZE = (
    "Its size factor is that of the data: load_data(size_factor='latent'), as in the paper, or 'observed', which makes "
    "the score log p(x | size)"
)

CELL_MODELS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "scvi",
        "paper": "Lopez et al., Deep generative modeling for single-cell transcriptomics (2018)",
        "words": {"likelihood": "zero-inflated-negative-binomial", "latents": 10, "widths": [128]},
        "said": f"{_SIZE}. Means are exponentials of the decoder times the size, and not shares of a softmax; no "
        "dropout, no batch normalisation.",
    },
    {
        "name": "ldvae",
        "paper": "Svensson et al., Interpretable factor models of single-cell RNA-seq via variational "
        "autoencoders (2020)",
        "words": {
            "likelihood": "negative-binomial",
            "latents": 10,
            "widths": [128],
            "network": {"kind": "mlp", "decoder": []},
        },
        "said": f"A linear decoder, whose exponential times the size is the mean: its weights are loadings. {_SIZE}.",
    },
    {
        "name": "scanvi",
        "paper": "Xu et al., Probabilistic harmonization and annotation of single-cell transcriptomics data (2021)",
        "words": {
            "likelihood": "zero-inflated-negative-binomial",
            "latents": [10, 10],
            "widths": [128],
            "classes": "label",
            "objective": {"kind": "semi-supervised", "weight": 1.0},
        },
        "said": f"For data loaded with observed='label'; its classes are summed over where no label is known. {_SIZE}.",
    },
    {
        "name": "peakvi",
        "paper": "Ashuach, Reidenbach, Gayoso & Yosef, PeakVI: A deep generative model for single-cell chromatin "
        "accessibility analysis (2022)",
        "words": {"likelihood": "detection", "latents": 16, "widths": [128]},
        "said": "For zeros and ones. The cell factor is a latent or a context of the data and multiplies the mean of a "
        "count, P(1) = 1 − exp(−mean); theirs is a network of x inside p(x | z), so that theirs has no density.",
    },
)
