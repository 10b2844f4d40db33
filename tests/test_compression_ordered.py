"""Files of cells that read their neighbours: masses by brute force, bits against bounds, what comes back, refusals."""

import base64
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom.compression import compress, compress_lossy, decompress, rounded
from elbowroom.compression.cells import Cells
from elbowroom.compression.codec import Codec, OtherOutputs
from elbowroom.compression.exact_layers import ExactLinear
from elbowroom.compression.ordered import Ordered
from elbowroom.compression.stack import Damaged
from elbowroom.compression.survey import Survey

L, N, HIDDEN, RADIUS = 2, 300, 5, 2
QUIET: dict[str, Any] = {"progress": False}
RNG = np.random.default_rng(3)
SHAPES = {"bits": (3, 3), "mixture of logistics": (3, 4), "colours": (2, 2, 3), "counts": (3, 3)}
X: dict[str, Any] = {
    "bits": RNG.integers(0, 2, (3 * N, 9)).astype(np.uint8),
    "mixture of logistics": RNG.binomial(39, 0.4, (N, 12)).astype(np.uint8),
    "colours": RNG.integers(0, 3, (N, 12)).astype(np.uint8),
    "counts": RNG.poisson(RNG.gamma(1.0, 4.0, (N, 9))).astype(np.int64),
}


def family(name: str) -> lik.Likelihood:
    return {
        "bits": lambda: lik.Bernoulli(None, 9),
        "mixture of logistics": lambda: lik.DiscretisedLogistic(None, 12, levels=40, components=3),
        "colours": lambda: lik.Categorical(None, 12, 3),
        "counts": lambda: lik.NegativeBinomial(None, 9),
    }[name]()


def tied(inner: lik.Likelihood, image: Any, network: Any = None) -> lik.Autoregressive:
    made = lik.Autoregressive(network, inner, image_shape=image, radius=RADIUS, hidden=HIDDEN)
    made.outer.weight.data.normal_(std=0.4 if inner.logits else 0.08)  # so that neighbours matter
    return made


def around(likelihood: lik.Likelihood, prior: Any = None) -> er.VAE:
    q = posteriors.DiagonalNormal(networks.MLP([likelihood.event[0], 8, 2 * L]), L)
    for one in q.parameters():
        one.data.mul_(0.4)  # so that z is not far outside its prior
    return er.VAE(prior or priors.StandardNormal(L), q, likelihood).eval()


def model(name: str, prior: Any = None) -> er.VAE:
    torch.manual_seed(0)
    inner = family(name)
    likelihood = tied(inner, SHAPES[name], networks.MLP([L, 8, inner.numbers]))
    likelihood.settle(torch.from_numpy(X[name]).float(), None, L)
    return around(likelihood, prior)


MODELS = {name: model(name) for name in SHAPES}
every = pytest.mark.parametrize("name", SHAPES)


def coder(name: str) -> tuple[Codec, Ordered]:
    exact = rounded(MODELS[name])
    survey = Survey(exact, Cells(exact), 16)
    survey.add(X[name].astype(np.int64), None)
    codec = Codec(exact, survey.settings(), exact=True)
    (only,) = codec.families
    assert isinstance(only, Ordered)
    return codec, only


def numbers(codec: Codec, z: torch.Tensor) -> Any:
    """What the network that reads z returns, as families have it."""
    out = codec.vae.likelihood.network_output({"z": z.double()})[0].detach().numpy()
    return next(codec.numbers(out, {}))[1]


def near(file: Any, bound: Any, draws: int) -> None:
    """The file has one draw for each row, the bound several: both have noise."""
    error = bound.se_mc * np.sqrt(1 + draws)
    assert abs(file.nats + bound.mean) < 0.005 * file.nats + 3 * error
    assert error < 0.02 * file.nats


@every
def test_masses_are_those_of_the_density(name: str) -> None:
    (codec, only), x = coder(name), X[name][:N]
    z = torch.randn(1, N, L, generator=torch.Generator().manual_seed(1)).double()
    p_x, y = codec.vae.likelihood({"z": z}), torch.from_numpy(x).double()[None]
    each = p_x.conditional(y, None).log_prob(y)[0].numpy()
    found = only.nats(x.astype(np.int64), numbers(codec, z), np.ones(x.shape, bool))
    likely = (each > -9.0).all(1)  # masses are well above 2⁻²⁴
    assert likely.sum() > N / 2
    np.testing.assert_allclose(found[likely], -each.sum(1)[likely], atol=5e-3)


def test_bits_are_bernoulli_given_their_neighbours_pixel_by_pixel() -> None:
    """By loops over pixels, with the weights as they were trained."""
    codec, only = coder("bits")
    p: Any = MODELS["bits"].likelihood
    z = torch.randn(1, 512, L, generator=torch.Generator().manual_seed(2))
    z[:, 1:] = z[:, :1]
    images = np.array(list(itertools.product((0, 1), repeat=9)))
    logits = p.network(z[0]).detach().double().numpy()
    first, second = ([t.detach().double().numpy() for t in one.parameters()] for one in (p.inner, p.outer))
    log_p = np.zeros(512)
    later = [(0, 1), (0, 2)] + [(dy, dx) for dy in (1, 2) for dx in range(-2, 3)]
    for y, x in itertools.product(range(3), repeat=2):
        inside = [(y + dy < 3) and (0 <= x + dx < 3) for dy, dx in later]
        at = [min(3 * (y + dy) + x + dx, 8) for dy, dx in later]
        read = np.where(inside, (images[:, at] - float(p.centre)) / float(p.spread), 0.0)
        own = logits[:, 3 * y + x]
        hidden = np.column_stack([read, own]) @ first[0].T + first[1]
        own = own + (hidden * special.expit(hidden) @ second[0].T + second[1])[:, 0]
        log_p += stats.bernoulli.logpmf(images[:, 3 * y + x], special.expit(own))
    found = only.nats(images, numbers(codec, z), np.ones(images.shape, bool))
    np.testing.assert_allclose(found, -log_p, atol=5e-3)
    assert abs(np.exp(-found).sum() - 1.0) < 1e-5


@every
def test_front_by_front_is_all_at_once_whatever_the_batch(name: str) -> None:
    (codec, only), whole = coder(name), X[name][:20].astype(np.int64)
    raw, seen = numbers(codec, torch.randn(1, 20, L)), np.ones(whole.shape, bool)
    found = only.completed(whole, raw, seen)
    for front in only.likelihood.fronts:
        part = only._given_neighbours(whole[3:5], raw[3:5], seen[3:5], front.numpy())
        assert part.tobytes() == np.ascontiguousarray(found[3:5, : only.parts, front.numpy()]).tobytes()


@pytest.mark.parametrize("name", ["bits", "mixture of logistics"])
def test_bits_are_those_of_the_bound(name: str, tmp_path: Any) -> None:
    vae = MODELS[name]
    file = compress(vae, X[name], tmp_path / "x.elb", **QUIET)
    assert (decompress(vae, tmp_path / "x.elb", **QUIET) == X[name]).all()
    own = er.evidence.elbo(rounded(vae), torch.from_numpy(X[name]).double(), draws=16)  # not of the coded masses
    near(file, own, 16)
    near(file, file.bound, 4)


def test_files_come_back_by_chunks_whatever_the_threads_and_refuse_other_numbers(
    tmp_path: Any, monkeypatch: Any
) -> None:
    name = "colours"
    vae, x, threads, files = MODELS[name], X[name][:25], torch.get_num_threads(), set()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            compress(vae, x, tmp_path / f"{n}.elb", chunk_rows=10, bounds=False, **QUIET)
            files.add((tmp_path / f"{n}.elb").read_bytes())
            assert decompress(vae, tmp_path / "1.elb", **QUIET).tobytes() == x.tobytes()
    finally:
        torch.set_num_threads(threads)
    assert len(files) == 1
    assert (decompress(vae, tmp_path / "1.elb", chunk=1, **QUIET) == x[10:20]).all()
    (codec, only), forward = coder(name), ExactLinear.forward
    chunk, neighbours = codec.encode(x.astype(np.int64)), only.likelihood.outer.weight.shape
    moved = lambda layer, read: forward(layer, read) + 1e-6 * (layer.weight.shape == neighbours)  # noqa: E731
    monkeypatch.setattr(ExactLinear, "forward", moved)
    with pytest.raises((OtherOutputs, Damaged)):
        codec.decode(chunk)
    with pytest.raises(er.InputError, match="returns other numbers"):
        decompress(vae, tmp_path / "1.elb", **QUIET)


def test_several_draws_under_a_mixture_come_back(tmp_path: Any) -> None:
    vae = model("bits", priors.Mixture(L, components=3))
    compress(vae, X["bits"][:12], tmp_path / "x.elb", draws=3, bounds=False, **QUIET)
    assert (decompress(vae, tmp_path / "x.elb", **QUIET) == X["bits"][:12]).all()


def test_a_table_some_of_whose_columns_read_others_comes_back(tmp_path: Any) -> None:
    torch.manual_seed(0)
    families = [lik.Poisson(None, 2), tied(lik.Bernoulli(None, 9), (3, 3))]
    vae = around(lik.Mixed(networks.MLP([L, 8, 11]), families))
    x = np.concatenate([X["counts"][:, :2], X["bits"][:N]], 1)
    file = compress(vae, x, tmp_path / "x.elb", **QUIET)
    assert (decompress(vae, tmp_path / "x.elb", **QUIET) == x).all()
    near(file, file.bound, 4)


def test_missing_cells_are_left_out_at_the_end_of_the_order_alone(tmp_path: Any) -> None:
    vae, x = MODELS["bits"], X["bits"][: 2 * N].astype(np.float64)
    x[::2, :2] = np.nan  # the first in raster order are the last to be drawn
    file = compress(vae, x, tmp_path / "x.elb", **QUIET)
    assert decompress(vae, tmp_path / "x.elb", **QUIET).tobytes() == x.tobytes()
    near(file, er.evidence.elbo(rounded(vae), torch.from_numpy(x), draws=16), 16)
    x[0, 8] = np.nan
    with pytest.raises(er.CapabilityError, match="at the end of its order only"):
        compress(vae, x, tmp_path / "y.elb", bounds=False, **QUIET)
    assert not (tmp_path / "y.elb").exists()


def test_what_cannot_be_made_is_refused_in_words(tmp_path: Any) -> None:
    with pytest.raises(er.CapabilityError, match=r"A lossy file gives back the mean.*write a file without loss"):
        compress_lossy(MODELS["bits"], X["bits"], tmp_path / "x.elb", step=0.5, **QUIET)
    with pytest.raises(er.CapabilityError, match="write it with refine=0"):
        compress(MODELS["bits"], X["bits"], tmp_path / "x.elb", refine=2, **QUIET)
    torch.manual_seed(0)
    real = around(tied(lik.Normal(None, 9, scale=1.0), (3, 3), networks.MLP([L, 8, 9])))
    with pytest.raises(er.CapabilityError, match="state the step"):
        compress(real, RNG.normal(size=(9, 9)), tmp_path / "x.elb", **QUIET)
    x = RNG.normal(size=(40, 9))
    compress(real, x, tmp_path / "x.elb", step=0.25, bounds=False, **QUIET)
    assert np.abs(decompress(real, tmp_path / "x.elb", **QUIET) - x).max() <= 0.125 + 1e-9
    student = around(tied(lik.StudentT(None, 9, scale=1.0), (3, 3), networks.MLP([L, 8, 18])))
    with pytest.raises(er.CapabilityError, match="no masses"):
        compress(student, x, tmp_path / "x.elb", step=0.25, **QUIET)
    likelihood: Any = real.likelihood
    likelihood.inner.weight.data.mul_(1e12)
    with pytest.raises(er.CapabilityError, match="cannot be exact"):
        compress(real, x, tmp_path / "x.elb", step=0.25, **QUIET)


OLDER = (
    "iA7984GJ0x0ssI2HUR(t7?VKO2mk;8c-l2l(T;;45d0P6>oo=xQSVopdq7w!DS|<aXL|kj+a;+_Gn3t!S$x%NG~ny+s)kO;i4S0T$1O~"
    "fnMqDVF9tr!o)21s1ufb^NZaFQCpJnkDc<t2(~7D3R@GaIGmu%^DFMQ0kdv{jgTeGI%;;}sD@-qGIK^|v*%6@z?+Hu7%MqSLIFcQ5cHu"
    "$vRnIOLy-ca?1AROZ-hU7-?y-FE4iFHB!+Q$D_6dT9V)aJFBvtZTB6~cNhLZAh!O#gRC3R6xldr8D^>=XM`=ScJV{=)OwDKhIh9R>t<)"
    "kRuD!&7@0%ahP1FgfahAq1oD4bFF47)RAK<j66IYX%CtNau{$1}yaR;(%ZIVQbSZNs~Ued+DE;eqRRp&}Z542`xqIZgh!(l@Mr{{s_~i"
    "f0A@000O8000C4001<W0YVrks>o00P14u$?b<+cmO=mk006Wn_~Lll0{{R300DnXx8$j~i};3oCxi4Sz5woEZrj8{o-61ik^}"
)
"""A file of version 2, of the model below, as it was written before cells could read others."""


def test_a_file_that_an_older_version_wrote_reads(tmp_path: Any) -> None:
    q = posteriors.DiagonalNormal(networks.MLP([6, 3, 4]), 2)
    vae = er.VAE(priors.StandardNormal(2), q, lik.Bernoulli(networks.MLP([2, 3, 6]), 6)).eval()
    for number, one in enumerate(vae.parameters()):
        places = torch.arange(one.numel(), dtype=torch.float64)
        one.data.copy_(((places * 7 + number * 3) % 11 / 8 - 0.6).reshape(one.shape))
    (tmp_path / "x.elb").write_bytes(base64.b85decode(OLDER))
    assert decompress(vae, tmp_path / "x.elb", **QUIET).tolist() == (np.arange(48).reshape(8, 6) % 5 < 2).tolist()
