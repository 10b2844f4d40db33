"""What is updated together: an objective, the parts it moves, and their optimizer."""

from collections.abc import Sequence

from torch import nn

from elbowroom.numerics import InputError
from elbowroom.objectives import Objective
from elbowroom.recipes import described

__all__ = ["Phase"]


@described("phase")
class Phase(nn.Module):
    """An objective, the parameters it moves, and the settings of the phase's own optimizer.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    parts : sequence of str, default ("vae", "objective")
        What is moved: "vae" (all of the model), a part of it by its name ("prior", "posterior", "likelihood",
        "posterior.z1", …), "objective" (the objective's own parameters). Phases may share parameters; each has
        moments of its own for them.
    lr : float or None, default None
        Adam's learning rate at the start; None takes what `fit` was given.
    lr_final : float or None, default None
        Adam's learning rate at the end; None takes what `fit` was given.
    betas : sequence of float or None, default None
        Adam's decay rates of the first and second moment; None takes what `fit` was given.
    clip : float or None, default None
        Largest norm of the gradient; None takes what `fit` was given.

    Raises
    ------
    InputError
        For no parts at all, and for betas that are not two.

    Examples
    --------
    >>> from elbowroom.objectives import Elbo
    >>> Phase(Elbo(), parts=("posterior",), lr=1e-4).parts
    ('posterior',)
    """

    def __init__(
        self,
        objective: Objective,
        *,
        parts: Sequence[str] = ("vae", "objective"),
        lr: float | None = None,
        lr_final: float | None = None,
        betas: Sequence[float] | None = None,
        clip: float | None = None,
    ) -> None:
        super().__init__()
        if not parts or isinstance(parts, str):
            raise InputError(f"parts names what a phase moves, as in ('prior', 'likelihood'); got {parts!r}.")
        self.objective, self.parts = objective, tuple(parts)
        self.lr, self.lr_final, self.clip = lr, lr_final, clip
        if betas is not None and (not isinstance(betas, Sequence) or isinstance(betas, str) or len(betas) != 2):
            raise InputError(f"betas are Adam's two decay rates, as in (0.9, 0.999); got {betas!r}.")
        self.betas = None if betas is None else tuple(betas)
