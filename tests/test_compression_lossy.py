"""Lossy files: masses against SciPy, bytes against the Gaussian's rate–distortion function, and what is refused."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom import preprocess as pre
from elbowroom.compression import CompressedLossy, compress_lossy, decompress, lossy
from elbowroom.compression.container import Reader
from elbowroom.compression.exact_layers import ExactLinear
from elbowroom.compression.lossy import Decoder, check_word
from elbowroom.compression.lossy_masses import CodeMasses
from elbowroom.compression.stack import Damaged, Stack

D, LEVELS = 6, 1024
SPREADS = np.array([150.0, 80.0, 40.0, 20.0, 8.0, 3.0])
QUIET: dict[str, Any] = {"progress": False}


def linear(latents: int) -> tuple[er.VAE, NDArray[Any], float]:
    """Gaussian data on a fine grid, and the linear model of their first principal axes with a tight posterior."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(D, D)))[0]
    x = np.rint(512 + (rng.normal(size=(4_000, D)) * SPREADS) @ axes.T).clip(0, LEVELS - 1).astype(np.int64)
    encoder, decoder = nn.Linear(D, 2 * latents), nn.Linear(latents, D)
    towards = torch.from_numpy(axes[:, :latents] * SPREADS[:latents] / LEVELS).float()
    middle = torch.full((D,), 0.5)
    with torch.no_grad():
        decoder.weight.copy_(towards)
        decoder.bias.copy_(middle)
        back = towards.pinverse()
        encoder.weight.copy_(torch.cat([back, torch.zeros_like(back)]))
        # softplus of these: a posterior whose standard deviations are those of noise of 8 levels along each axis
        variances = torch.from_numpy((8.0 / SPREADS[:latents]) ** 2).float()
        encoder.bias.copy_(torch.cat([-back @ middle, variances.expm1().log()]))
    posterior = posteriors.DiagonalNormal(encoder, latents)
    return (
        er.VAE(
            priors.StandardNormal(latents), posterior, lik.Normal(decoder, D, scale=0.01), pre.Dequantise(LEVELS, (D,))
        ),
        x,
        float((((x + 0.5 - 512) @ axes[:, latents:]) ** 2).sum(1).mean()),
    )


VAE, X, LEFT_OUT = linear(4)


def rate_of(distortion: float, variances: NDArray[Any]) -> float:
    """Bits a row of a Gaussian at a total squared error, by reverse water-filling."""
    low, high = 0.0, variances.max()
    for _ in range(100):
        level = 0.5 * (low + high)
        low, high = (level, high) if np.minimum(variances, level).sum() < distortion else (low, level)
    return float(0.5 * np.log2(np.maximum(variances / low, 1.0)).sum())


@pytest.fixture(scope="module")
def files(tmp_path_factory: Any) -> dict[float, CompressedLossy]:
    folder = tmp_path_factory.mktemp("files")
    return {step: compress_lossy(VAE, X, folder / f"{step}.elb", step=step, **QUIET) for step in (1.0, 4.0, 12.0)}


def test_files_lie_a_quarter_of_a_bit_per_latent_above_the_gaussians_rate(files: Any) -> None:
    spectrum = np.linalg.eigvalsh(np.cov(X.T.astype(float)))[::-1]
    for step, file in files.items():
        kept = file.squared_error * D - LEFT_OUT - D / 12  # two axes have no latent, and values are rounded to levels
        rate = rate_of(kept, spectrum[:4])
        bits = 8 * file.coded_bytes / file.rows
        assert rate < bits < rate + 4 * (0.27 if step == 1 else 0.4), step  # ½ log₂ (2πe/12) = 0.2546 each
        assert abs(kept - 4 * (step * 8) ** 2 / 12) < 0.1 * kept or step > 4
    bits = [8 * file.coded_bytes / file.rows for file in files.values()]
    entropy = sum(math.log2(s * math.sqrt(2 * math.pi * math.e) / 8.0) for s in SPREADS[:4])
    assert abs(bits[0] - entropy) < 0.02 * entropy  # of a fine step: differential entropy less log step


def test_what_comes_back_is_what_was_measured_on_any_number_of_threads(files: Any) -> None:
    file, threads = files[4.0], torch.get_num_threads()
    back = decompress(VAE, file.path, **QUIET)
    assert back.dtype == X.dtype
    assert file.total_bytes == file.path.stat().st_size
    np.testing.assert_allclose(((back - X) ** 2).mean(), file.squared_error)
    np.testing.assert_allclose(file.psnr, 20 * math.log10(1023) - 10 * math.log10(file.squared_error))
    wanted = VAE.reconstruct(torch.from_numpy(X[:200]).double())
    assert abs(back[:200] - wanted.numpy()).mean() < 12
    try:
        torch.set_num_threads(3)
        assert (decompress(VAE, file.path, **QUIET) == back).all()
    finally:
        torch.set_num_threads(threads)
    assert "Lossy" in str(file)
    assert "bounds no likelihood" in str(file)


def test_masses_are_scipys_and_rows_come_back() -> None:
    rng = np.random.default_rng(1)
    centre, k = rng.integers(0, 3, 1_200), np.array([9.0, 0.4, 0.0, 3.0])
    codes = rng.normal(size=(1_200, 4)) * np.array([2.0, 0.3, 0.01, 30.0]) + centre[:, None] * k
    masses, whole = CodeMasses.fitted(codes), np.rint(codes).astype(np.int64)
    assert len(masses.weights) > 1
    assert masses.told.tolist() == [0, 1, 3]
    joint = np.log(masses.weights / masses.weights.sum()) + np.zeros((len(whole), 1))
    for i, place in enumerate(masses.told):
        z = [(whole[:, [place]] + half - masses.means[:, i]) / masses.scales[:, i] for half in (-0.5, 0.5)]
        flip = z[0] > 0
        low, high = np.where(flip, -z[1], z[0]), np.where(flip, -z[0], z[1])
        joint = joint + np.log(np.maximum(scipy.stats.norm.cdf(high) - scipy.stats.norm.cdf(low), 1e-200))
    wanted = -scipy.special.logsumexp(joint, axis=1)
    np.testing.assert_allclose(masses.nats(whole), wanted, rtol=1e-9)
    stack = Stack.primed(2)
    before = stack.bits
    masses.push(stack, whole)
    assert abs((stack.bits - before) - wanted.sum() / math.log(2)) < 0.002 * wanted.sum() + 40
    again = CodeMasses.unpacked(masses.packed())
    assert (again.pop(stack, len(whole)) == whole).all()
    assert stack.bits == before
    for content in (b"", masses.packed()[:-1], b"\x00" * 40, masses.packed() + b"\0\0"):
        with pytest.raises(Damaged):
            CodeMasses.unpacked(content)


def test_a_latent_that_says_nothing_costs_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = nn.Linear(D, 8)
    nn.init.zeros_(encoder.weight)
    vae = er.VAE(priors.StandardNormal(4), posteriors.DiagonalNormal(encoder, 4), VAE.likelihood, VAE.preprocess)
    file = compress_lossy(vae, X[:300], tmp_path / "x.elb", **QUIET)
    assert file.coded_bytes == 0
    assert np.ptp(decompress(vae, file.path, **QUIET), axis=0).max() == 0


def test_damaged_and_foreign_files_are_refused_in_a_sentence(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "x.elb"
    compress_lossy(VAE, X[:200], path, chunk_rows=50, **QUIET)
    assert (decompress(VAE, path, chunk=3, **QUIET) == decompress(VAE, path, **QUIET)[150:]).all()
    good, rng = path.read_bytes(), np.random.default_rng(2)
    forward = ExactLinear.forward
    monkeypatch.setattr(ExactLinear, "forward", lambda layer, z: forward(layer, z) + 1e-3)
    with pytest.raises(er.InputError, match="returns other values"):
        decompress(VAE, path, **QUIET)
    monkeypatch.undo()
    with pytest.raises(er.InputError, match="another model"):
        decompress(linear(3)[0], path, **QUIET)
    slopes = [er.VAE(*parts(slope)) for slope in (0.1, 0.5)]  # which no tensor holds
    compress_lossy(slopes[0], X[:50], path, **QUIET)
    with pytest.raises(er.InputError, match="returns other values"):
        decompress(slopes[1], path, **QUIET)
    path.write_bytes(good)
    for _ in range(60):
        content = bytearray(good)
        content[int(rng.integers(len(good)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        with pytest.raises(er.InputError):
            decompress(VAE, path, **QUIET)


@pytest.mark.parametrize("kind", ["levels", "scaled", "0 and 255", "counts in 8 bits"])
def test_the_error_is_that_of_the_array_that_comes_back(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    bits, counts = lik.Bernoulli(nn.Linear(2, D), D), lik.Poisson(nn.Linear(2, D), D)
    counts.base.fill_(6.0)  # means of 403 and more, which 8 bits do not hold
    for one in counts.network.parameters():
        nn.init.zeros_(one)
    levels = lik.DiscretisedLogistic(nn.Linear(2, D), D, 9, scale=0.1)
    decoder = {"0 and 255": bits, "counts in 8 bits": counts}.get(kind, levels)
    vae = er.VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(nn.Linear(D, 4), 2), decoder)
    x = np.random.default_rng(0).integers(0, 9, (40, D))
    data: Any = {
        "levels": x.astype(np.int8), "scaled": x / 8 + np.where(x == 3, 0.02, 0.0),
        "0 and 255": (255 * (x > 4)).astype(np.uint8), "counts in 8 bits": (x + 200).astype(np.uint8),
    }[kind]  # fmt: skip
    file = compress_lossy(vae, data, tmp_path / "x.elb", **QUIET)
    back = decompress(vae, file.path, **QUIET)
    assert file.squared_error == pytest.approx(((back.astype(float) - data) ** 2).mean(), rel=1e-12)
    assert file.peak == {"levels": 8, "scaled": 1, "0 and 255": 255, "counts in 8 bits": 8}[kind]
    if kind == "counts in 8 bits":
        assert back.min() == 255


def parts(slope: float) -> tuple[Any, ...]:
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(slope), nn.Linear(8, D))
    return VAE.prior["z"], VAE.posterior["z"], lik.Normal(decoder, D, scale=0.1), VAE.preprocess


def test_what_has_no_lossy_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    out, gaps = tmp_path / "x.elb", np.where(X[0] == X, np.nan, X)
    for data, step, why in (
        (X, 0.0, "above 0"),
        (X, 10**400, "finite number"),
        (X, 1e-5, "take longer"),
        (X, 1e39, "of 32 bits"),
        (gaps, 1.0, "missing cells"),
    ):
        with pytest.raises(er.InputError, match=why):
            compress_lossy(VAE, data, out, step=step, **QUIET)
    classes = er.VAE(
        priors.Categorical(3), posteriors.Categorical(networks.MLP([D, 3]), 3), lik.Bernoulli(nn.Linear(3, D), D)
    )
    real = er.VAE(VAE.prior["z"], VAE.posterior["z"], lik.Normal(nn.Linear(4, D), D))
    with pytest.raises(er.CapabilityError, match="round them to one, load them again and train"):
        compress_lossy(real, X, out, **QUIET)
    with pytest.raises(er.CapabilityError, match="Categorical posterior"):
        compress_lossy(classes, X % 2, out, **QUIET)
    assert not out.exists()


def test_networks_that_cannot_be_exact_are_said_to_be(tmp_path: Path, monkeypatch: Any) -> None:
    torch.manual_seed(0)
    decoder = networks.MLP([4, 16, D], norm="group")
    vae = er.VAE(VAE.prior["z"], VAE.posterior["z"], lik.Normal(decoder, D, scale=0.1), VAE.preprocess)
    file = compress_lossy(vae, X[:100], tmp_path / "x.elb", **QUIET)
    assert not Decoder(vae).exact
    assert "up to rounding" in str(file)
    with pytest.warns(UserWarning, match="cannot be made exact, and here the values are those of the writing"):
        assert decompress(vae, file.path, **QUIET).shape == (100, D)
    told = "the same up to rounding on other machines"
    assert Reader(file.path).head["lossy"] == {"step": 1.0, "exact": False, "values": told}
    monkeypatch.setattr(lossy, "check_word", lambda whole: check_word(whole + (whole.shape[1] == D)))
    with pytest.warns(UserWarning, match="come out otherwise"):
        decompress(vae, file.path, **QUIET)


def test_the_command_line_writes_lossy_images(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    from elbowroom.cli import main

    digits = er.load_data("digits")
    vae = er.models.build({"latents": 2, "widths": [4]}, digits)
    er.fit(vae, digits, epochs=1, run=tmp_path / "run", **QUIET)
    (tmp_path / "in").mkdir()
    for i, image in enumerate(digits.test.rows(slice(0, 20)).x.numpy().astype(np.uint8).reshape(-1, 8, 8)):
        Image.fromarray(image).save(tmp_path / "in" / f"{i:02}.png")
    monkeypatch.chdir(tmp_path)
    for typed in ("compress run in --out x.elb --lossy 0.5", "decompress run x.elb --out out"):
        monkeypatch.setattr(sys, "argv", ["elbowroom", *typed.split()])
        with pytest.raises(SystemExit) as raised:
            main()
        assert not raised.value.code
    assert "PSNR" in capsys.readouterr().out
    typed = "compress run in --out y.elb --lossy 1 --draws 8"
    monkeypatch.setattr(sys, "argv", ["elbowroom", *typed.split()])
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code
    assert "leave --bits" in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("*.png"))) == 20
