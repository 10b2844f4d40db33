"""The VAE: what people ask of three densities and their preprocessing."""

import copy
from typing import Any, Literal

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.distributions import capabilities, require, simulate
from elbowroom.numerics import Given, InputError, Rows, as_rows, derived_seed, in_parts, one_of, plain_arguments
from elbowroom.numerics._own_modes import own_modes
from elbowroom.preprocess import mean_of_x

from ._check_readings import check_readings
from ._describe import describe
from .core import VAECore
from .drawn_moments import drawn_moments
from .evaluating import evaluating
from .outside import coded, refuse_misfits, refuse_other_columns, refuse_outside
from .simulation import where_known
from .vae_target import VAETarget

__all__ = ["VAE"]

Mode = Literal["ancestral", "mean", "offset"]

_SAMPLED = 0x5A  # x is drawn with a seed of its own


class VAE(VAECore):
    """A variational autoencoder: p(z), q(z | x), p(x | z), and the preprocessing of x.

    Latents are one block "z", or several named blocks. Every density it reports is on the scale of the user's x: the
    log-Jacobian of the preprocessing is part of it.

    Parameters
    ----------
    prior : Component or mapping of str to Component
        p(z), from `er.priors`: one component (the block "z"), or one for each block by name.
    posterior : Component or mapping of str to Component
        q(z | x), from `er.posteriors`: the same blocks. They are drawn in this order, and each may read those before
        it.
    likelihood : Likelihood
        p(x | z), from `er.likelihoods`, over preprocessed x of its `event`.
    preprocess : Preprocess, optional
        The map from the user's x to the x that encoder and likelihood see, from `er.preprocess`; that of a data set is
        `data.preprocess`. It is copied. By default x stays as it is.

    Raises
    ------
    InputError
        Where blocks, names or shapes do not fit together, or p(z) or p(x | z) reads x.

    See Also
    --------
    elbowroom.models.build : The same from a few words and a data set.

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes" (2014).

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(torch.nn.Linear(3, 4), 2),
    ...              er.likelihoods.Normal(torch.nn.Linear(2, 3), 3))
    >>> vae.sample(5).shape
    torch.Size([5, 3])
    """

    table: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of a model of a table with names: those of its columns, with the words that codes mean; `fit` takes them."""
    coding: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __str__(self) -> str:
        return describe(self)

    @own_modes
    def examples(self, examples: Any) -> Rows:
        """Examples that this model can take, from an array, tensor, DataFrame, batch or part of a data set.

        Parameters
        ----------
        examples : Rows, Batch, array, tensor, DataFrame or list
            [n, *event] on the user's scale; a part of a data set, such as `data.test`, brings its contexts. A DataFrame
            may hold the words that the model was fitted to.

        Returns
        -------
        Rows
            The same, read by rows.

        Raises
        ------
        InputError
            For examples of another shape, with missing cells where the preprocessing mixes cells, without a context
            that the model reads, or with values that its data cannot be: fractions or −1 for a model of bits.
        """
        refuse_other_columns(self.table, examples)
        rows = as_rows(coded(self.table, examples))
        self.check_rows(rows)
        refuse_outside(self, rows)
        return rows

    def check_rows(self, rows: Rows) -> None:
        """Refuse examples of another shape, or without what the model reads; of their values nothing is asked.

        Parameters
        ----------
        rows : Rows
            The examples, of which the first is read.

        Raises
        ------
        InputError
            Where they do not fit the model.
        """
        refuse_misfits(self, rows)

    @own_modes
    @plain_arguments
    def target(self, examples: Any, *, seed: int = 0) -> VAETarget:
        """The unnormalised posterior p(z) p(x | z) of each example, for samplers and annealed importance sampling.

        Parameters
        ----------
        examples : Rows, Batch, array, tensor, DataFrame or list
            [n, *event] on the user's scale.
        seed : int, default 0
            Keys the noise of the preprocessing, by example.

        Returns
        -------
        VAETarget
            A frozen copy of the model at these examples, over flat z.

        Raises
        ------
        InputError
            Where p(z) or p(x | z) reads x.
        CapabilityError
            For blocks that samplers cannot move in, such as classes.
        """
        rows = self.examples(examples)
        check_readings(self, rows, seed=seed)
        return VAETarget(self, rows, seed=seed)

    @plain_arguments
    def at_beta(self, beta: float) -> "VAE":
        """The model as its networks are at another weight β of the rate; these are shared.

        Parameters
        ----------
        beta : float
            The weight, above 0: within the range that `objectives.MultiRate` trained for. The model as it comes from
            training is the one at 1.

        Returns
        -------
        VAE
            Whose ELBO is a bound on its log p(x) whatever β is, and which can be measured, sampled and saved.

        Raises
        ------
        InputError
            For a model whose networks do not read β.

        Examples
        --------
        >>> import elbowroom as er
        >>> digits = er.load_data("digits")
        >>> vae = er.models.build({"objective": "multi-rate", "latents": 2, "widths": [8]}, digits)
        >>> vae.beta, vae.at_beta(0.1).beta, vae.at_beta(0.1).quantity
        (1.0, 0.1, 'log p(x)')
        """
        if not beta > 0:
            raise InputError(f"A model is read at a weight β above 0; got {beta}.")
        if not self.reads_beta:
            raise InputError(
                "The networks of this model do not read β, so that it is the same at every one: train one with "
                "objective='multi-rate'."
            )
        other = copy.copy(self)
        other.__dict__["_modules"] = dict(self._modules)  # parts are shared, and which parts they are is not
        other.beta = beta
        return other

    @plain_arguments
    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        mode: Mode = "ancestral",
        offset: float = 0.0,
        seed: int = 0,
        context: Given | None = None,
    ) -> Tensor:
        """Draw x from the model, on the user's scale.

        Parameters
        ----------
        n : int
            How many.
        mode : {"ancestral", "mean", "offset"}, default "ancestral"
            "ancestral" draws z from p(z) and then x from p(x | z): the only one whose x is distributed as the model
            says. "mean" returns the mean of p(x | z) at the drawn z, which may lie between the values that x takes,
            "offset" that mean plus `offset` standard deviations.
        offset : float, default 0.0
            Standard deviations of p(x | z) that "offset" adds to its mean.
        seed : int, default 0
            Two calls with the same seed return the same x. In another mode it draws the same z.
        context : dict of Tensor, optional
            Name → [n, ...], or [1, ...] for all, of a model that reads contexts: `data.given(label=3)` makes it.

        Returns
        -------
        Tensor
            [n, *event], with the event of the model's likelihood. Grey images are vectors unless loaded with
            `load_data(..., flat=False)`: 16 digits come as [16, 64], and `x.reshape(-1, *data.image_shape)` makes
            images [16, 8, 8] of them.

        Raises
        ------
        InputError
            For no draws, another mode, or without a context that the model reads.
        CapabilityError
            For "mean" and "offset" where p(x | z) has no mean, as over classes without an order.

        Examples
        --------
        >>> import elbowroom as er
        >>> digits = er.load_data("digits")
        >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
        >>> x = vae.sample(16)
        >>> x.shape, x.reshape(-1, *digits.image_shape).shape
        (torch.Size([16, 64]), torch.Size([16, 8, 8]))
        """
        one_of("mode", mode, ("ancestral", "mean", "offset"))
        if offset and mode != "offset":
            raise InputError(
                f"mode={mode!r} takes no offset ({offset:g} was given): say mode='offset', or leave offset= out."
            )
        if n < 1:
            raise InputError(f"n must be 1 or more; got {n}.")
        with evaluating(self):
            given = self.draw_prior(n, seed, context or {})
            # One p(x | z) for all, as of a decoder that reads a context alone, would be drawn once.
            p_x = self.likelihood({name: one.expand(1, n, *one.shape[2:]) for name, one in given.items()})
            if mode != "ancestral":
                require(p_x, "mean")
                return self._mean_of_x(p_x, n) if mode == "mean" else self._beside_mean(p_x, n, offset)
            each = p_x if p_x.batch_shape == (1, n) else p_x.expand(torch.Size([1, n]))
            y = simulate(each, Generator(self.device).manual_seed(derived_seed(seed, _SAMPLED)))
            return self.preprocess.inverse(y.expand(1, n, *y.shape[2:])[0])

    @plain_arguments
    @torch.no_grad()
    def at_means(self, examples: Any, *, seed: int = 0) -> Given:
        """Everything that p(x | z) may read, with each latent block at the mean of q(z | x).

        Parameters
        ----------
        examples : Rows, Batch, array, tensor, DataFrame or list
            [n, *event] on the user's scale.
        seed : int, default 0
            Keys the noise of the preprocessing, and the draws of a q without a closed-form mean.

        Returns
        -------
        dict of Tensor
            Name → [1, n, *event]: the preprocessed "x", the contexts, and the latent blocks. Later blocks are given the
            means of earlier ones; a class that is known of an example is itself.
        """
        return self._at_means(examples, seed, known=True)

    @torch.no_grad()
    def _at_means(self, examples: Any, seed: int, known: bool) -> Given:
        """With classes that are known, or with what q makes of them."""
        batch = self.examples(examples).rows(slice(None))
        with evaluating(self):
            given, _ = self.given(batch, self.keyed_noise(0, batch.index, seed))
            for name, block in self.posterior.items():
                given[name], _ = self.moments(name, block(given), batch.index, seed=seed)
                if known and name in batch.observed:
                    given[name] = where_known(given[name], *batch.to(self.device).observed[name])
            return given

    @plain_arguments
    @torch.no_grad()
    def moments(self, name: str, q: Distribution, index: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Mean and variance of one posterior block, in closed form where q has them.

        Parameters
        ----------
        name : str
            Of the block.
        q : Distribution
            Its distribution, as `self.posterior[name]` returns it.
        index : Tensor
            [batch] int64, the place of each example in the data set.
        seed : int, default 0
            Where there is no closed form, as of a flow: keys the 256 draws that are used, with the example.

        Returns
        -------
        mean : Tensor
            [draws or 1, batch, *event].
        variance : Tensor
            The same shape.
        """
        if {"mean", "variance"} <= capabilities(q):
            return q.mean, q.variance
        return drawn_moments(self, name, q, index, seed)

    @plain_arguments
    def encode(self, examples: Any, *, seed: int = 0) -> dict[str, Tensor]:
        """Mean of q(z | x), per latent block.

        Parameters
        ----------
        examples : Rows, Batch, array, tensor, DataFrame or list
            [n, *event] on the user's scale.
        seed : int, default 0
            Keys the noise of the preprocessing, and the draws of a q without a closed-form mean.

        Returns
        -------
        dict of Tensor
            Block → [n, *event of the block]; a model with one block has "z", [n, latents]. Later blocks are given the
            means of earlier ones. A class is what q tells from x, also where it is known.

        Examples
        --------
        >>> import elbowroom as er
        >>> digits = er.load_data("digits")
        >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
        >>> vae.encode(digits.test)["z"].shape
        torch.Size([397, 2])
        """
        parts = [self._at_means(part, seed, known=False) for part in in_parts(self.examples(examples))]
        return {name: torch.cat([part[name][0] for part in parts]) for name in self.posterior}

    @plain_arguments
    @torch.no_grad()
    def reconstruct(self, examples: Any, *, seed: int = 0) -> Tensor:
        """Mean of p(x | z) at the mean of q(z | x), and at a class that is known, on the user's scale.

        A mean may lie between the values that x takes: of −1 and 1, or of grey levels.

        Parameters
        ----------
        examples : Rows, Batch, array, tensor, DataFrame or list
            [n, *event] on the user's scale.
        seed : int, default 0
            Keys the noise of the preprocessing, and the draws of a q without a closed-form mean.

        Returns
        -------
        Tensor
            [n, *event], as the examples came: grey images are vectors unless loaded with `load_data(..., flat=False)`.

        Raises
        ------
        CapabilityError
            Where p(x | z) has no mean, as over classes without an order.

        Examples
        --------
        >>> import elbowroom as er
        >>> digits = er.load_data("digits")
        >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
        >>> vae.reconstruct(digits.test[:10]).shape
        torch.Size([10, 64])
        """
        return self._decoded_means(self.at_means(examples, seed=seed))

    @plain_arguments
    @torch.no_grad()
    def transfer(self, examples: Any, *, context: Given, seed: int = 0) -> Tensor:
        """What the model makes of z under another context: the mean of p(x | z, context) at the z of the examples' own.

        Parameters
        ----------
        examples : Rows, Batch, array, tensor, DataFrame or list
            [n, *event] on the user's scale, with the contexts that they have: these q(z | x) reads.
        context : dict of Tensor
            Name → [n, ...], or [1, ...] for all, as `sample` takes it; contexts that are not named stay.
        seed : int, default 0
            Keys the noise of the preprocessing, and the draws of a q without a closed-form mean.

        Returns
        -------
        Tensor
            [n, *event], as `reconstruct`, which it is where the context stays.

        Raises
        ------
        InputError
            For a context that p(x | z) does not read: it moves x only through z, which is kept.
        CapabilityError
            Where p(x | z) has no mean, as over classes without an order.

        Examples
        --------
        >>> import elbowroom as er
        >>> digits = er.load_data("digits", context="label")
        >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
        >>> vae.transfer(digits.test[:10], context=digits.given(label=3)).shape
        torch.Size([10, 64])
        """
        given = self.at_means(examples, seed=seed)
        return self._decoded_means({**given, **self.contexts_of_x(context, given["x"].shape[1])})

    def _decoded_means(self, given: Given) -> Tensor:
        with evaluating(self):
            p_x = self.likelihood(given)
            require(p_x, "mean")
            return self._mean_of_x(p_x, given["x"].shape[1])

    def _mean_of_x(self, p_x: Distribution, n: int) -> Tensor:
        x = mean_of_x(self.preprocess, p_x)
        return x.expand(1, n, *x.shape[2:])[0]

    def _beside_mean(self, p_x: Distribution, n: int, offset: float) -> Tensor:
        y = p_x.mean + offset * p_x.stddev
        return self.preprocess.mean_back(y.expand(1, n, *y.shape[2:])[0])
