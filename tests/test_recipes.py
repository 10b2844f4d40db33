"""Recipes and model files: what is written is what comes back, and nothing else is ever run."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import elbowroom as er
from elbowroom.networks import MLP, ConvNet
from elbowroom.recipes import build, recipe_of
from elbowroom.vae._save_model import FORMAT, model_recipe


class Twice(nn.Module):
    """A user's own network."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(size, 6), nn.Linear(6, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).sin())


def plain(likelihood: er.likelihoods.Likelihood | None = None) -> er.VAE:
    torch.manual_seed(0)
    return er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(MLP([4, 8, 4]), 2),
        likelihood or er.likelihoods.Normal(MLP([2, 8, 4]), 4),
        er.preprocess.Chain([er.preprocess.Dequantise(17, (4,)), er.preprocess.Standardise((4,))]),
    )


def examples() -> er.Batch:
    return er.Batch(torch.randint(0, 17, (5, 4), generator=torch.Generator().manual_seed(0)).float(), torch.arange(5))


def same(mine: er.VAE, other: er.VAE) -> None:
    noise = mine.keyed_noise(3, torch.arange(5), 0)
    with torch.no_grad():
        assert torch.equal(mine.eval()(examples(), noise).log_weight, other(examples(), noise).log_weight)
    assert mine.state_dict().keys() == other.state_dict().keys()


@pytest.mark.parametrize("scale", [0.3, "shared", "feature", "predicted"])
def test_a_model_comes_back_to_the_bit(tmp_path: Path, scale: object) -> None:
    out = 8 if scale == "predicted" else 4
    vae = plain(er.likelihoods.Normal(MLP([2, 8, out]), 4, scale=scale, floor=0.01))
    vae.preprocess.steps[1].fit(torch.rand(20, 4))
    path = er.save_model(vae, tmp_path / "model.vae")
    back = er.load_model(path)
    same(vae, back)
    assert not back.training
    assert model_recipe(back) == model_recipe(vae)


def test_blocks_and_context_come_back(tmp_path: Path) -> None:
    vae = er.VAE(
        {"top": er.priors.StandardNormal(1), "z": er.posteriors.DiagonalNormal(MLP([1, 4]), 2, given=("top",))},
        {
            "top": er.posteriors.DiagonalNormal(MLP([5, 2]), 1, given=("x", "label")),
            "z": er.posteriors.DiagonalNormal(MLP([5, 4]), 2, given=("x", "top"), spread="exp", floor=0.0),
        },
        er.likelihoods.Bernoulli(MLP([3, 4]), 4, given=("z", "label")),
    )
    back = er.load_model(er.save_model(vae, tmp_path / "m.vae"))
    assert list(back.posterior) == ["top", "z"]
    assert back.context_names == ("label",)
    assert model_recipe(back) == model_recipe(vae)
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in vae.state_dict().items())


def test_a_users_own_module_comes_from_the_user(tmp_path: Path) -> None:
    vae = plain(er.likelihoods.Normal(Twice(2, 4), 4))
    path = er.save_model(vae, tmp_path / "m.vae")
    with pytest.raises(er.InputError, match="modules=\\{'decoder': net\\}"):
        er.load_model(path)
    same(vae, er.load_model(path, modules={"decoder": Twice(2, 4)}))
    with pytest.raises(er.InputError, match="do not fit its recipe"):
        er.load_model(path, modules={"decoder": Twice(2, 5)})


def test_a_network_in_two_places_is_saved(tmp_path: Path) -> None:
    shared = Twice(4, 4)
    vae = er.VAE(
        er.priors.StandardNormal(4),
        er.posteriors.DiagonalNormal(nn.Sequential(shared, nn.Linear(4, 8)), 4),
        er.likelihoods.Normal(shared, 4),
    )
    path = er.save_model(vae, tmp_path / "m.vae")
    fresh = Twice(4, 4)
    back = er.load_model(path, modules={"encoder": nn.Sequential(fresh, nn.Linear(4, 8)), "decoder": fresh})
    assert torch.equal(back.likelihood.network.first.weight, shared.first.weight)


def test_the_recipe_is_plain_words(tmp_path: Path) -> None:
    path = er.save_model(plain(), tmp_path / "m.vae")
    with safe_open(path, framework="pt") as file:
        recipe = yaml.safe_load(file.metadata()["recipe"])
    assert recipe["version"] == FORMAT
    assert recipe["prior"]["z"] == {"kind": "standard-normal", "event": 2}
    assert [step["kind"] for step in recipe["preprocess"]["steps"]] == ["dequantise", "standardise"]


def rewritten(path: Path, change: object) -> Path:
    """The file with its recipe's text changed."""
    with safe_open(path, framework="pt") as file:
        text = file.metadata()["recipe"]
    save_file(load_file(path), path, metadata={"recipe": change(text)})
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(f"version: {FORMAT}", "version: 99"), "version 99"),
        (lambda text: text.replace("kind: standard-normal", "kind: nonsense"), "Unknown kind 'nonsense'"),
        (lambda text: text.replace("floor: 1.0e-05", "colour: red"), "does not fit this version"),
        (lambda text: "!!python/object/apply:os.getcwd []", "no plain YAML"),
        (lambda text: "- a\n- list\n", "is a list"),
        (lambda text: f"version: {FORMAT}\n", "lacks the prior"),
    ],
)
def test_foreign_recipes_are_refused(tmp_path: Path, change: object, words: str) -> None:
    path = rewritten(er.save_model(plain(), tmp_path / "m.vae"), change)
    with pytest.raises(er.InputError, match=words):
        er.load_model(path)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = er.save_model(plain(), tmp_path / "m.vae")
    whole = path.read_bytes()
    for name, content in {
        "cut short": whole[: len(whole) // 2],
        "empty": b"",
        "other bytes": b"\x00\x01" * 500,
        "pickled": pickle.dumps(plain().state_dict()),
    }.items():
        bad = tmp_path / name
        bad.write_bytes(content)
        with pytest.raises(er.InputError, match="damaged or is no safetensors file"):
            er.load_model(bad)
    torch.save(plain(), tmp_path / "whole.pt")
    with pytest.raises(er.InputError, match="damaged or is no safetensors file"):
        er.load_model(tmp_path / "whole.pt")
    with pytest.raises(er.InputError, match="There is no model file"):
        er.load_model(tmp_path / "missing.vae")
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(er.InputError, match="weights but no recipe"):
        er.load_model(tmp_path / "weights.safetensors")


def test_a_failed_save_leaves_what_was_there(tmp_path: Path) -> None:
    path = er.save_model(plain(), tmp_path / "m.vae")
    before = path.read_bytes()
    broken = plain(er.likelihoods.Normal(MLP([2, 4]), 4))
    broken.likelihood.arguments["event"] = object()
    with pytest.raises(er.InputError, match="cannot stand in a recipe"):
        er.save_model(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


NETWORKS = [MLP([3, 4, 5], activation="relu"), MLP((2, 2), norm="batch"), ConvNet((1, 8, 8), 10, channels=(4,))]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: recipe_of(network)["kind"])
def test_recipes_survive_yaml(network: nn.Module) -> None:
    text = yaml.safe_dump(recipe_of(network))
    back = build(yaml.safe_load(text))
    assert recipe_of(back) == recipe_of(network)
    assert back.state_dict().keys() == network.state_dict().keys()


def two_blocks(network: nn.Module) -> er.VAE:
    """Two posterior blocks that share one network."""
    return er.VAE(
        {"a": er.priors.StandardNormal(2), "b": er.priors.StandardNormal(2)},
        {"a": er.posteriors.DiagonalNormal(network, 2), "b": er.posteriors.DiagonalNormal(network, 2)},
        er.likelihoods.Normal(MLP([4, 4]), 4, given=("a", "b"), scale=1.0),
    )


def test_a_network_that_stands_twice_is_one_after_loading_and_in_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = two_blocks(MLP([4, 5, 4]))
    recipe = model_recipe(vae)
    assert recipe["posterior"]["b"]["network"] == {"same-as": "posterior.a.network"}
    back = er.load_model(er.save_model(vae, tmp_path / "m.vae"))
    assert back.posterior["a"].network is back.posterior["b"].network
    assert sum(p.numel() for p in back.parameters()) == sum(p.numel() for p in vae.parameters()) == 25 + 24 + 20
    assert model_recipe(back) == recipe


def test_a_vamp_prior_stays_tied_to_its_encoder_through_save_load_and_further_training(tmp_path: Path) -> None:
    data = er.load_data(torch.rand(80, 4, generator=torch.Generator().manual_seed(1)).numpy(), preprocess="none")
    torch.manual_seed(0)
    posterior = er.posteriors.DiagonalNormal(MLP([4, 8, 4]), 2)
    vae = er.VAE(
        er.priors.Vamp(posterior, 4, pseudo_inputs=5), posterior, er.likelihoods.Normal(MLP([2, 4]), 4, scale=0.3)
    )
    er.fit(vae, data, epochs=1, progress=False)
    back = er.load_model(er.save_model(vae, tmp_path / "m.vae"))
    assert back.prior["z"].posterior is back.posterior["z"]
    for model in (vae, back):
        er.fit(model, data, epochs=2, progress=False)
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in vae.state_dict().items())


def test_users_modules_are_named_once_each_and_never_mixed_up(tmp_path: Path) -> None:
    shared = two_blocks(Twice(4, 4))
    path = er.save_model(shared, tmp_path / "shared.vae")
    with pytest.raises(er.InputError, match=r"modules=\{'encoder.a': net\}"):
        er.load_model(path)
    net = Twice(4, 4)
    back = er.load_model(path, modules={"encoder.a": net})
    assert back.posterior["b"].network is back.posterior["a"].network is net

    zuko_like = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.Flow(Twice(4, 7), 2, context=3, flow=nn.Identity()),
        er.likelihoods.Normal(Twice(2, 4), 4),
    )
    posterior = model_recipe(zuko_like)["posterior"]["z"]
    assert posterior["network"] == {"module": "encoder"}
    assert posterior["flow"] == {"module": "encoder.flow"}


def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    vae = plain()
    path = rewritten(er.save_model(vae, tmp_path / "m.vae"), lambda t: t.replace(f"version: {FORMAT}", "version: 1"))
    same(vae, er.load_model(path))


@pytest.mark.parametrize(
    ("path", "words"), [("posterior.c.network", "which it does not hold"), ("posterior.b.network", "refers to itself")]
)
def test_references_that_lead_nowhere_are_refused(path: str, words: str) -> None:
    recipe = model_recipe(two_blocks(MLP([4, 4])))
    recipe["posterior"]["b"]["network"] = {"same-as": path}
    with pytest.raises(er.InputError, match=words):
        build({"posterior": recipe["posterior"]})


def test_a_model_is_saved_as_it_stands_and_not_as_it_was_made(tmp_path: Path) -> None:
    vae = plain(er.likelihoods.Normal(MLP([2, 8, 4]), 4, scale=0.3))
    vae.likelihood.scale = 0.9
    vae.likelihood.network = MLP([2, 5, 4], activation="tanh")
    same(vae, er.load_model(er.save_model(vae, tmp_path / "m.vae")))


def test_a_subclass_without_a_kind_of_its_own_comes_from_the_user(tmp_path: Path) -> None:
    class Sharper(er.likelihoods.Normal):
        def common_scale(self) -> Tensor:
            return super().common_scale() / 7

    vae = plain(Sharper(MLP([2, 8, 4]), 4, scale=0.3))
    path = er.save_model(vae, tmp_path / "m.vae")
    with pytest.raises(er.InputError, match=r"modules=\{'decoder': net\}"):
        er.load_model(path)
    same(vae, er.load_model(path, modules={"decoder": Sharper(MLP([2, 8, 4]), 4, scale=0.3)}))


def test_a_parameter_that_stands_twice_is_one_after_loading(tmp_path: Path) -> None:
    vae = plain(er.likelihoods.Normal(MLP([2, 8, 4]), 4, scale=0.3))
    vae.likelihood.network.layers[-1].bias = vae.posterior["z"].network.layers[-1].bias
    back = er.load_model(er.save_model(vae, tmp_path / "m.vae"))
    assert back.likelihood.network.layers[-1].bias is back.posterior["z"].network.layers[-1].bias
    assert sum(p.numel() for p in back.parameters()) == sum(p.numel() for p in vae.parameters())


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    made = er.likelihoods.Normal(MLP([np.int64(2), 8, np.int64(4)]), np.int64(4), scale=np.float64(0.3))
    vae = plain(made)
    same(vae, er.load_model(er.save_model(vae, tmp_path / "m.vae")))
    assert er.priors.StandardNormal(np.int64(2)).event == (2,)


@pytest.mark.parametrize("name", ["a.b", "keys", "training", "", "type"])
def test_names_that_no_block_can_have_are_refused(name: str) -> None:
    with pytest.raises(er.InputError, match="A latent block cannot be called"):
        er.VAE(
            {name: er.priors.StandardNormal(2)},
            {name: er.posteriors.DiagonalNormal(MLP([4, 4]), 2)},
            er.likelihoods.Normal(MLP([2, 4]), 4, given=(name,)),
        )


def test_the_floating_type_comes_back(tmp_path: Path) -> None:
    vae = plain().double()
    assert er.load_model(er.save_model(vae, tmp_path / "m.vae")).dtype == torch.float64


@pytest.mark.parametrize("name", ["kind", "module", "same-as"])
def test_a_block_may_have_the_name_of_a_word_of_recipes(name: str, tmp_path: Path) -> None:
    prior = {name: er.priors.StandardNormal(2)}
    posterior = {name: er.posteriors.DiagonalNormal(MLP([4, 8, 4]), 2)}
    vae = er.VAE(prior, posterior, er.likelihoods.Bernoulli(MLP([2, 8, 4]), 4, given=(name,)))
    er.save_model(vae, tmp_path / "model")
    same(vae, er.load_model(tmp_path / "model"))


def test_the_file_of_one_model_is_the_same_bytes(tmp_path) -> None:
    """Otherwise a run that is resumed without another epoch would hold "other weights" than those measured."""
    vae = plain()
    first, *others = (er.save_model(vae, tmp_path / f"{i}.vae").read_bytes() for i in range(6))
    assert all(other == first for other in others)
    assert int.from_bytes(first[:8], "little") % 8 == 0
    assert all(
        torch.equal(a, b) for a, b in zip(vae.parameters(), er.load_model(tmp_path / "0.vae").parameters(), strict=True)
    )
