"""SCVI models of scvi-tools: the ELBO is their own loss at the same draws, and what is not covered is refused."""

import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scvi_double import GENES, LATENTS, Manager, Module, cells, model
from torch import nn

import elbowroom as er
from elbowroom.adapters import from_scvi, scvi_data

KINDS = [
    ("zinb", "gene", 2, "observed", False),
    ("nb", "gene-batch", 2, "observed", True),
    ("nb", "gene-cell", 1, "latent", False),
    ("zinb", "gene-batch", 2, "latent", True),
    ("poisson", "gene", 2, "column", False),
]


def batch_of(module: Module, found: dict[str, torch.Tensor]) -> er.Batch:
    """The cells as our VAE reads them, in 64 bits."""
    x = found["X"].double()
    context = {"batch": nn.functional.one_hot(found["batch"][:, 0], 2).double()}
    context["library"] = found["size_factor"][:, 0].double() if module.use_size_factor_key else x.sum(1)
    return er.Batch(x, torch.arange(len(x)), context)


@pytest.mark.parametrize(("family", "dispersion", "batches", "library", "encoded"), KINDS)
def test_the_elbo_is_the_modules_own_loss_at_the_same_draws(family, dispersion, batches, library, encoded) -> None:
    module = Module(family, dispersion, batches, library, encoded).eval()
    vae = from_scvi(model(module)).double().eval()
    module.double()
    found = {name: value.double() if value.is_floating_point() else value for name, value in cells().items()}
    if batches == 1:
        found["batch"] = torch.zeros_like(found["batch"])
    batch = batch_of(module, found)
    torch.manual_seed(3)
    drawn, _, losses = module(found)
    q = {"z": module.z_encoder((1 + found["X"]).log(), found["batch"])[0]}
    noise = {"z": (drawn["z"] - q["z"].loc) / q["z"].scale}
    if library == "latent":
        q["log_library"] = module.l_encoder((1 + found["X"]).log(), found["batch"])[0]
        noise["log_library"] = (drawn["library"] - q["log_library"].loc) / q["log_library"].scale
    terms = vae(batch, {name: value.unsqueeze(0) for name, value in noise.items()})
    torch.testing.assert_close(-terms.log_likelihood[0], sum(losses.reconstruction_loss.values()), rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(terms.rate("closed")[0], sum(losses.kl_local.values()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "quantity"),
    [
        ({}, "log p(x | library, batch)"),
        ({"batches": 1}, "log p(x | library)"),
        ({"library": "latent"}, "log p(x | batch)"),
        ({"library": "latent", "batches": 1}, "log p(x)"),
    ],
)
def test_what_is_given_stands_in_the_quantity(words: dict, quantity: str) -> None:
    assert from_scvi(model(Module(**words))).quantity == quantity


def test_estimators_files_and_simulations_take_it(tmp_path) -> None:
    made = model(Module("nb", "gene-batch", library="latent"))
    vae, data = from_scvi(made), scvi_data(made)
    elbo, iwae = er.evidence.elbo(vae, data.test, draws=40), er.evidence.iwae(vae, data.test, draws=200)
    assert elbo.mean < iwae.mean + 3 * iwae.se_mc
    both = er.evidence.bdmc(vae, data.test, temperatures=10, chains=3, leapfrog=2)
    assert both.lower.mean < both.upper.mean + 1
    assert vae.sample(3, context={"batch": torch.eye(2)[:1]}).shape == (3, GENES)
    path = er.save_model(vae, tmp_path / "m.safetensors")
    names = ("encoder", "encoder.z", "encoder.log_library", "decoder", "prior", "prior.log_library")
    again = er.load_model(path, modules=dict.fromkeys(names, Module("nb", "gene-batch", library="latent")))
    np.testing.assert_array_equal(er.evidence.elbo(again, data.test, draws=40).values, elbo.values)


def test_cells_come_in_the_models_own_parts_with_library_and_batch() -> None:
    data, found = scvi_data(model()), cells()
    assert [len(part) for part in data.parts.values()] == [6, 3, 3]
    batch = data.test.batch()
    torch.testing.assert_close(batch.x, found["X"][9:])
    torch.testing.assert_close(batch.context["library"], found["X"][9:].sum(1, keepdim=True))
    assert batch.context["batch"].argmax(1).tolist() == found["batch"][9:, 0].tolist()
    assert data.beside_classes == {"batch": ["one", "other"]}
    column = scvi_data(model(Module(library="column"))).test.batch().context["library"]
    torch.testing.assert_close(column, found["size_factor"][9:])


def test_without_test_cells_half_of_the_validation_cells_stand_in_and_a_note_says_so() -> None:
    data = scvi_data(model(parts=(6, 12)))
    assert [len(part) for part in data.parts.values()] == [6, 3, 3]
    assert "early stopping has seen" in data.notes[0]


class Capped(Module):
    """A rate that is clamped in the loss, as deep cells alone show."""

    def log_p(self, x, z, log_library, batch):
        return super().log_p(x, z, log_library.clamp_max(6.0), batch)


class Gateless(Module):
    """Zeros without their extra mass, as cells with zeros alone show."""

    def log_p(self, x, z, log_library, batch):
        extra = (x == 0).to(x) * torch.nn.functional.logsigmoid(self.decoder(self.dispersion, z, log_library, batch)[3])
        return super().log_p(x, z, log_library, batch) + extra.sum(-1)


def altered(**changed: object) -> Module:
    module = Module()
    for name, value in changed.items():
        setattr(module, name, value)
    return module


@pytest.mark.parametrize(
    ("made", "error", "says"),
    [
        (lambda: from_scvi(SimpleNamespace(module=nn.Linear(2, 2))), er.CapabilityError, "has no z_encoder"),
        (lambda: from_scvi(model(altered(classifier=nn.Linear(2, 2)))), er.CapabilityError, "has a classifier"),
        (lambda: from_scvi(model(altered(gene_likelihood="normal"))), er.CapabilityError, "none of counts"),
        (lambda: from_scvi(model(altered(dispersion="gene-label"))), er.CapabilityError, "dispersion 'gene-label'"),
        (lambda: from_scvi(model(altered(latent_distribution="ln"))), er.CapabilityError, "distribution 'ln'"),
        (lambda: from_scvi(model(altered(batch_representation="embedding"))), er.CapabilityError, "embedding of its"),
        (lambda: from_scvi(model(altered(minified_data_type="x"))), er.CapabilityError, "minified data"),
        (lambda: from_scvi(model(extra_continuous_covs=1)), er.CapabilityError, "beside the batch .extra_continuous"),
        (lambda: from_scvi(model(Module(kl_twice=True))), er.CapabilityError, "The KL of this Module is not the one"),
        (lambda: from_scvi(model(Capped())), er.CapabilityError, "The reconstruction loss of this Capped is not"),
        (lambda: from_scvi(model(Gateless())), er.CapabilityError, "The reconstruction loss of this Gateless is not"),
        (lambda: from_scvi(model(Module().half())), er.InputError, "too coarse for log-densities"),
        (lambda: scvi_data(model(parts=(12, 12))), er.InputError, "held out of its training"),
        (lambda: scvi_data(cut(9)), er.InputError, "trained with 9 cells and these are 12"),
        (lambda: scvi_data(with_cells(0.0)), er.InputError, "1 cells have no counts"),
        (lambda: scvi_data(with_cells(0.5)), er.InputError, "no counts .negative or fractions"),
    ],
)
def test_what_is_not_covered_is_refused_in_a_sentence(made, error, says: str) -> None:
    with pytest.raises(error, match=says) as found:
        made()
    assert "\n" not in str(found.value)


def cut(rows: int) -> SimpleNamespace:
    made = model()
    made.test_indices = made.test_indices[made.test_indices < rows]
    return made


def with_cells(value: float) -> SimpleNamespace:
    made, found = model(), cells()
    found["X"][4] = value
    made.adata_manager = Manager(found)
    return made


ABSENT = "scvi-tools is not installed here: make scvi, and run this file with the pytest of .venv-scvi"


def small(**words: object):
    """An SCVI of the installed scvi-tools, hardly trained."""
    import anndata
    import scvi

    rng = np.random.default_rng(0)
    x = rng.poisson(rng.gamma(1.0, 2.0, (60, 20))).astype(np.float32)
    adata = anndata.AnnData(x)
    adata.obs["batch"] = np.where(np.arange(60) % 2, "a", "b")
    scvi.model.SCVI.setup_anndata(adata, batch_key="batch")
    made = scvi.model.SCVI(adata, n_latent=LATENTS, **words)
    made.train(max_epochs=2, train_size=0.8, validation_size=0.1, accelerator="cpu", enable_progress_bar=False)
    return made


@pytest.mark.skipif(find_spec("scvi") is None, reason=ABSENT)
@pytest.mark.parametrize(
    "words",
    [
        {},
        {"gene_likelihood": "nb", "dispersion": "gene-batch", "use_observed_lib_size": False},
        {"gene_likelihood": "poisson", "dispersion": "gene-cell", "encode_covariates": True, "n_layers": 2},
    ],
)
def test_scvi_tools_own_elbo_is_that_of_the_vae(words: dict) -> None:
    """With the installed scvi-tools: means of many draws of both."""
    made = small(**words)
    vae, data = from_scvi(made), scvi_data(made)
    own = np.mean([made.get_elbo(indices=data.test.index.numpy(), return_mean=False).numpy() for _ in range(200)], 0)
    found = er.evidence.elbo(vae, data.test, draws=200)
    assert (np.abs(found.values - own) < 5 * np.sqrt(2 * found.mc_variance) + 1e-3).all()


@pytest.mark.skipif(find_spec("scvi") is None, reason=ABSENT)
def test_a_saved_scvi_is_audited_beside_its_file(tmp_path) -> None:
    made = small()
    made.save(tmp_path / "model")
    made.adata.write_h5ad(tmp_path / "cells.h5ad")
    done = er.studies.audit_scvi(tmp_path / "model/model.pt", tmp_path / "cells.h5ad", n=2, quick=True, progress=False)
    assert done.record.quantity == "log p(x | library, batch)"
    assert done.page == tmp_path / "model/audit.html"
    made.adata[:, :9].copy().write_h5ad(tmp_path / "fewer.h5ad")
    with pytest.raises(er.InputError, match=r"loads .* as none of SCVI, LinearSCVI"):
        er.studies.audit_scvi(tmp_path / "model/model.pt", tmp_path / "fewer.h5ad")


def test_a_saved_model_is_named_by_its_own_file_and_read_by_its_own_library(tmp_path, monkeypatch) -> None:
    saved, found = tmp_path / "weights.pt", tmp_path / "cells.h5ad"
    for path in (saved, found):
        path.touch()
    with pytest.raises(er.InputError, match=r"saves a model as \[PREFIX\]model.pt"):
        er.studies.audit_scvi(saved, found)
    saved.rename(tmp_path / "my_model.pt")
    monkeypatch.setitem(sys.modules, "scvi", None)
    with pytest.raises(er.CapabilityError, match="`make scvi` makes such an environment"):
        er.studies.audit_scvi(tmp_path / "my_model.pt", found)
