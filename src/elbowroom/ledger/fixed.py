"""What fixing a model leaves."""

from dataclasses import dataclass, field

from elbowroom.numerics import Estimate, with_error
from elbowroom.records import AuditRecord
from elbowroom.remedies import Remedied
from elbowroom.vae import VAE

__all__ = ["Fixed"]


@dataclass(frozen=True)
class Fixed:
    """A model with the remedies that paid, and what was tried, in nats per example.

    Parameters
    ----------
    vae : VAE
        The model that is left; the one that was given where nothing paid.
    steps : tuple of Remedied
        What was tried, in order, each on what was kept before it: bounds on validation. It was kept where it `pays`.
    untried : tuple of str
        A sentence for each remedy that this model cannot have, or that there was no time for.
    elbo_before, elbo_after : Estimate
        ELBO on the same test examples, looked at once, when all was decided.
    before, after : AuditRecord, optional
        Audits on test; None where none were asked for.
    seconds : float
        What all of it took.
    """

    vae: VAE
    steps: tuple[Remedied, ...]
    untried: tuple[str, ...]
    elbo_before: Estimate
    elbo_after: Estimate
    before: AuditRecord | None
    after: AuditRecord | None
    seconds: float = field(compare=False)

    @property
    def kept(self) -> tuple[Remedied, ...]:
        """The steps that paid."""
        return tuple(step for step in self.steps if step.pays)

    @property
    def won(self) -> Estimate:
        """The ELBO that was won on test, paired by example."""
        return self.elbo_after - self.elbo_before

    def __str__(self) -> str:
        lines = [
            f"{step.name}: {with_error(step.gain.mean, step.gain.se_total)} nats on validation, "
            f"{'kept' if step.pays else 'not kept'}"
            for step in self.steps
        ]
        if self.untried:
            names = ", ".join(sentence.split(": ")[0] for sentence in self.untried)
            lines.append(f"not tried: {names}, for the reasons in untried")
        won = with_error(self.won.mean, self.won.se_total)
        ends = f"{self.elbo_before.mean:.2f} → {self.elbo_after.mean:.2f}"
        lines.append(f"ELBO on test: {ends}, {won} nats won on {len(self.won):,} examples")
        return "\n".join([*lines, *self._of_log_p()])

    def _of_log_p(self) -> list[str]:
        """What became of log p(x): an ELBO may also rise as p comes nearer to what q can say."""
        moved = None if self.before is None or self.after is None else self.after.log_p_beyond(self.before)
        if moved is None:
            return []
        by = with_error(moved.mean, moved.se_total)
        return [f"log p(x) by {moved.estimator}: {by} nats on {len(moved):,} of them"]
