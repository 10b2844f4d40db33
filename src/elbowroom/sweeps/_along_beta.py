"""The rate-distortion curve of one model whose networks read the weight of the rate."""

from collections.abc import Sequence

from elbowroom.data import Dataset
from elbowroom.models.words import text
from elbowroom.numerics import InputError, plain_arguments
from elbowroom.runs import History
from elbowroom.vae import VAE

from .swept import Swept
from .swept_of import swept_of

__all__ = ["along_beta"]


@plain_arguments
def along_beta(
    vae: VAE,
    data: Dataset,
    betas: Sequence[float],
    *,
    history: History | None = None,
    draws: int = 100,
    seed: int = 0,
) -> list[Swept]:
    """Read one model at several weights β of the rate, and measure it at each on data.validation.

    Parameters
    ----------
    vae : VAE
        Trained by `objectives.MultiRate`.
    data : Dataset
        As `er.load_data` returns it.
    betas : sequence of float
        Weights within the range that it was trained for, all different.
    history : History, optional
        Of its training, as `fit` returned it, which each then carries.
    draws : int, default 100
        Of z, per validation example, for the bounds.
    seed : int, default 0
        Of the bounds' noise.

    Returns
    -------
    list of Swept
        One for each β, as `er.sweep` returns them: for `er.choose` and for the rate-distortion plane. The networks of
        their models are shared.

    Raises
    ------
    InputError
        For a model whose networks do not read β, and for no β or one twice.

    References
    ----------
    Bae et al., "Multi-rate VAE: Train once, get the full rate-distortion curve" (2023).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> words = {"objective": "multi-rate", "latents": 2, "widths": [8]}
    >>> vae = er.models.build(words, digits)
    >>> history = er.fit(vae, digits, er.models.goal(words), epochs=1, progress=False)
    >>> [one.label for one in along_beta(vae, digits, [0.1, 1.0, 10.0], history=history, draws=2)]
    ['β = 0.1', 'β = 1', 'β = 10']
    """
    if not betas or len(set(betas)) < len(betas):
        raise InputError(f"betas must hold a weight or more, all different; got {betas}.")
    models = {beta: vae.at_beta(beta) for beta in betas}
    history = History() if history is None else history
    return [
        swept_of(f"beta-{text(beta)}", {"beta": beta}, one, history, data=data, draws=draws, seed=seed)
        for beta, one in models.items()
    ]
