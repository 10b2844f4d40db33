"""What every procedure is: phases, and the order in which an update goes through them."""

from collections.abc import ItemsView, Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.objectives import Objective
from elbowroom.recipes import described
from elbowroom.vae import VAE

__all__ = ["Mover", "Phase", "Procedure"]


@runtime_checkable
class Mover(Protocol):
    """What a procedure's update is given to make steps with."""

    def move(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> dict[str, Tensor]:
        """One optimizer step of a phase; the batch means before it."""
        ...


@described("phase")
class Phase(nn.Module):
    """An objective, the parameters it moves, and the settings of their optimizer, which is the phase's own.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    parts : sequence of str, default ("vae", "objective")
        What is moved: "vae" (all of the model), a part of it by its name ("prior", "posterior", "likelihood",
        "posterior.z1", …), "objective" (the objective's own parameters). Phases may share parameters; each has
        moments of its own for them.
    lr, lr_final, betas, clip : optional
        As in `er.fit`; None takes what `fit` was given.

    Raises
    ------
    InputError
        For no parts at all.

    >>> from elbowroom.objectives import Elbo
    >>> Phase(Elbo(), parts=("posterior",), lr=1e-4).parts
    ('posterior',)
    """

    def __init__(
        self,
        objective: Objective,
        parts: Sequence[str] = ("vae", "objective"),
        *,
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
        self.betas = None if betas is None else tuple(betas)


@described("procedure")
class Procedure(nn.Module):
    """Who is updated when: an update goes through the phases in their order, once each, on one batch.

    The first phase is the main one: its "objective" stands in the history beside rate and distortion and says which
    epoch is kept, while what others log has their name in front, as in "sleep.objective". A subclass may `update` in
    another way. What it has to remember stands in buffers of its objectives or is read off the clock, so that the
    model, the objectives and the optimizers are the whole state of a run.

    Parameters
    ----------
    phases : Mapping[str, Phase]
        By names without a dot.

    Raises
    ------
    InputError
        For no phases, or a name with a dot.

    >>> from elbowroom.objectives import Elbo
    >>> both = Procedure({"encoder": Phase(Elbo(), ("posterior",)), "rest": Phase(Elbo(), ("prior", "likelihood"))})
    >>> both.main, both.draws, both.schedule_steps
    ('encoder', 1, 0)
    """

    def __init__(self, phases: Mapping[str, Phase]) -> None:
        super().__init__()
        if not phases or any("." in name for name in phases):
            raise InputError(f"A procedure needs one phase or more, by names without a dot; got {list(phases)}.")
        self.phases = nn.ModuleDict(phases)
        self.main = next(iter(phases))
        self.draws = max(phase.objective.draws for phase in phases.values())
        self.schedule_steps = max(phase.objective.schedule_steps for phase in phases.values())

    def items(self) -> ItemsView[str, Phase]:
        """Names and phases, in their order."""
        return cast(ItemsView[str, Phase], self.phases.items())

    def __getitem__(self, name: str) -> Phase:
        return cast(Phase, self.phases[name])

    def update(self, mover: Mover, batch: Batch, noise: Noise, clock: Tensor) -> dict[str, Tensor]:
        """Make the steps that one batch is for; what is logged, by name.

        Parameters
        ----------
        mover : Mover
            `mover.move(phase, batch, noise, clock)` makes one step of a phase and returns what it logs.
        batch : Batch
            Examples.
        noise : Noise
            The model's and the objectives', [draws, batch, …].
        clock : Tensor
            Updates before this one, a float scalar.
        """
        record: dict[str, Tensor] = {}
        for name in self.phases:
            record |= mover.move(name, batch, noise, clock)
        return record

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Of standard-normal noise that the objectives want beside the model's, per draw and example, by name."""
        found: dict[str, tuple[int, ...]] = {}
        for _, phase in self.items():
            found |= phase.objective.noise_shapes(vae)
        return found

    def kept_by(self, means: Mapping[str, float]) -> float:
        """The number by which an epoch is kept, smaller is better, from its validation means: the main objective's."""
        return self[self.main].objective.kept_by(means)
