"""Who is updated when."""

from collections.abc import ItemsView, Mapping
from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .phase import Phase

__all__ = ["Mover", "Procedure"]


@runtime_checkable
class Mover(Protocol):
    """What a procedure's update makes its steps with: the training loop's engine."""

    def move(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> dict[str, Tensor]:
        """One optimizer step of a phase.

        Parameters
        ----------
        phase : str
            Name of the phase.
        batch : Batch
            Examples.
        noise : Noise
            Standard-normal noise of the model and the objectives, [draws, batch, …] each.
        clock : Tensor
            Updates before this one, a float scalar.

        Returns
        -------
        dict of str to Tensor
            The batch means before the step, by name.
        """
        ...

    def another(self) -> tuple[Batch, Noise]:
        """Another batch of training examples, drawn at random with replacement, and noise of its own.

        Returns
        -------
        batch : Batch
            As many examples as a batch of the epoch has.
        noise : Noise
            As for an update.
        """
        ...


@described("procedure")
class Procedure(nn.Module):
    """Which parts of a model are updated when, and by which objective: one or more phases.

    An update goes through the phases in their order, once each, on one batch. The first phase is the main one: its
    "objective" stands in the history beside rate and distortion and says which epoch is kept. What other phases log has
    their name in front, as in "sleep.objective".

    Parameters
    ----------
    phases : Mapping[str, Phase]
        The phases, by names without a dot.

    Attributes
    ----------
    alone : str or None
        Why several models are trained one by one by this procedure, in a sentence; None where they may be stacked.

    Raises
    ------
    InputError
        For no phases, or a name with a dot.

    Notes
    -----
    A subclass may define another `update`. What it has to remember stands in buffers, its objectives' or its own, or
    follows from the clock, so that model, procedure and optimizers are the whole state of a run. A procedure with
    buffers of its own, or whose steps depend on the numbers that it sees, says so in `alone`.

    Examples
    --------
    >>> from elbowroom.objectives import Elbo
    >>> encoder, rest = Phase(Elbo(), parts=("posterior",)), Phase(Elbo(), parts=("prior", "likelihood"))
    >>> both = Procedure({"encoder": encoder, "rest": rest})
    >>> both.main, both.draws, both.schedule_steps
    ('encoder', 1, 0)
    """

    alone: str | None = None

    def __init__(self, phases: Mapping[str, Phase]) -> None:
        super().__init__()
        if not phases or any("." in name for name in phases):
            raise InputError(f"A procedure needs one phase or more, by names without a dot; got {list(phases)}.")
        self.phases = nn.ModuleDict(phases)
        self.main = next(iter(phases))
        self.draws = max(phase.objective.draws for phase in phases.values())

    @property
    def schedule_steps(self) -> int:
        """Updates until the schedules of all phases have ended."""
        return max(phase.objective.schedule_steps for _, phase in self.items())

    def items(self) -> ItemsView[str, Phase]:
        """Names and phases, in their order."""
        return cast(ItemsView[str, Phase], self.phases.items())

    def __getitem__(self, name: str) -> Phase:
        return cast(Phase, self.phases[name])

    def update(self, mover: Mover, batch: Batch, noise: Noise, clock: Tensor) -> dict[str, Tensor]:
        """Make the steps of one batch.

        Parameters
        ----------
        mover : Mover
            `mover.move(phase, batch, noise, clock)` makes one step of a phase and returns what it logs.
        batch : Batch
            Examples.
        noise : Noise
            Standard-normal noise of the model and the objectives, [draws, batch, …] each.
        clock : Tensor
            Updates before this one, a float scalar.

        Returns
        -------
        dict of str to Tensor
            What is logged, by name.
        """
        logged: dict[str, Tensor] = {}
        for name in self.phases:
            logged |= mover.move(name, batch, noise, clock)
        return logged

    def after_epoch(self, means: Mapping[str, float]) -> None:
        """Take note of an epoch: change buffers of the procedure's own by what was logged on validation.

        Parameters
        ----------
        means : Mapping[str, float]
            Validation means of what is logged, by name.
        """

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Shapes of the noise that the objectives need beside the model's, per draw and example, by name."""
        found: dict[str, tuple[int, ...]] = {}
        for _, phase in self.items():
            found |= phase.objective.noise_shapes(vae)
        return found

    def kept_by(self, means: Mapping[str, float]) -> float:
        """The number by which epochs are compared, smaller is better: the main objective's, from validation means."""
        return self[self.main].objective.kept_by(means)
