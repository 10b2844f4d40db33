"""A table in the place of an encoder: numbers of their own for each example."""

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError
from elbowroom.recipes import described

__all__ = ["PerExample"]


@described("per-example")
class PerExample(nn.Module):
    """Numbers of its own for each of some examples, which a posterior reads by their index: q without an encoder.

    With it a posterior is not amortised, as in stochastic variational inference: `DiagonalNormal(PerExample(100, 4), 2,
    given=("index",))` has a mean and a raw spread of their own for 100 examples. It knows examples by their place in
    the data set alone, so that other rows in the same places are taken for them; what is bounded then stays a bound, a
    loose one.

    Parameters
    ----------
    rows : int
        Examples, 1 or more; at first those with index 0, 1, ….
    numbers : int
        Numbers for each, as many as the posterior asks of its network; they start at 0.

    Raises
    ------
    InputError
        For fewer than one example or number, and for examples that it has no numbers for.

    References
    ----------
    Hoffman, Blei, Wang & Paisley, "Stochastic variational inference" (2013).
    Cremer, Li & Duvenaud, "Inference suboptimality in variational autoencoders" (2018): amortisation measured by it.

    Examples
    --------
    >>> table = PerExample(3, 2).of(torch.tensor([7, 2, 5]), torch.tensor([[7.0, 7.0], [2.0, 2.0], [5.0, 5.0]]))
    >>> table(torch.tensor([2, 7])).tolist()
    [[2.0, 2.0], [7.0, 7.0]]
    """

    index: Tensor

    def __init__(self, rows: int, numbers: int) -> None:
        super().__init__()
        if rows < 1 or numbers < 1:
            raise InputError(f"PerExample needs one example and one number or more; got {rows} and {numbers}.")
        self.numbers = nn.Parameter(torch.zeros(rows, numbers))
        self.register_buffer("index", torch.arange(rows))

    def of(self, index: Tensor, numbers: Tensor) -> "PerExample":
        """The same table, filled.

        Parameters
        ----------
        index : Tensor
            Place of each example in its data set, [rows] int64, each once.
        numbers : Tensor
            Theirs, [rows, numbers].

        Returns
        -------
        PerExample
            This one.

        Raises
        ------
        InputError
            For an example that is given twice.
        """
        if len(index.unique()) < len(index):
            raise InputError("An example stands twice among these, and it has its numbers once: give every row once.")
        order = index.argsort()
        with torch.no_grad():
            self.index.copy_(index[order])
            self.numbers.copy_(numbers[order])
        return self

    def places(self, index: Tensor) -> Tensor:
        """Rows of the table of the examples with these indices, [n] int64.

        Parameters
        ----------
        index : Tensor
            [n] int64.

        Returns
        -------
        Tensor
            [n] int64.

        Raises
        ------
        InputError
            For an example that is not in the table.
        """
        index = index.to(self.index)
        places = torch.searchsorted(self.index, index).clamp(max=len(self.index) - 1)
        strange = index[self.index[places] != index]
        if len(strange):
            raise InputError(
                f"This posterior has numbers of its own for {len(self.index):,} examples, and the one with index "
                f"{int(strange[0])} is not among them: refine the encoder for these rows, remedies.refine(vae, rows)."
            )
        return places

    def forward(self, index: Tensor) -> Tensor:
        """The numbers of the examples with these indices, [n, numbers]."""
        return self.numbers[self.places(index)]
