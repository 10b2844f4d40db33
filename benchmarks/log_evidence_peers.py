"""log p(x) of one decoder at equal processor time: elbowroom beside TFP's annealing and blackjax's tempered SMC.

    python -m venv envs/blackjax && envs/blackjax/bin/pip install jax blackjax
    python -m venv envs/tfp && envs/tfp/bin/pip install "jax==0.4.35" "jaxlib==0.4.35" tensorflow-probability
    python benchmarks/log_evidence_peers.py --run runs/mnist50 --blackjax envs/blackjax --tfp envs/tfp

--run is a folder that `reproductions/evidence/bdmc.py train` wrote; its decoder and points simulated from it, with
their exact z, go to the peers as .npz. elbowroom runs `bdmc` from both starts and from the prior, where the peers
begin; its processor seconds are those of the lower end alone. Then each peer, with the best of several step sizes by
its own estimate (the trials are not counted: a short run of each, a run of the whole budget of the two best), with as
many temperatures (TFP) or particles (blackjax) as take it the same processor time; compilation is not counted, one
thread each. Each is repeated with other noise, so that a difference has an error. All estimates are of log p(x) from
below in expectation, so the greatest mean is the best; the upper end of `bdmc` says how far all of them can be from
the truth. Limit: nothing lies nearer than elbowroom.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

POINTS, CHAINS, LEAPFROG, SEED = 8, 16, 5, 0
STEPS = (0.025, 0.05, 0.1, 0.2, 0.4)
REPEATS = 4
DIFFERS = (
    "elbowroom: step sizes of every example, temperature and dimension from a pilot run, chains from q(z | x) too; "
    "TFP: one step size for all temperatures and examples, chains from p(z), no pilot; "
    "blackjax: temperatures by effective sample size, particles resampled, from p(z), one step size"
)


def log_densities(exported: dict[str, np.ndarray]) -> tuple[Any, Any]:
    """In jax: log p(z) of z [..., 50], and log p(x | z) of point i."""
    import jax
    import jax.numpy as jnp

    weights = [(jnp.asarray(exported[f"w{i}"]), jnp.asarray(exported[f"b{i}"])) for i in range(3)]

    def log_prior(z: Any) -> Any:
        return -0.5 * (z**2).sum(-1) - 0.5 * z.shape[-1] * jnp.log(2 * jnp.pi)

    def log_likelihood(z: Any, x: Any) -> Any:
        hidden = jnp.tanh(z @ weights[0][0].T + weights[0][1])
        hidden = jnp.tanh(hidden @ weights[1][0].T + weights[1][1])
        logits = hidden @ weights[2][0].T + weights[2][1]
        return (x * logits - jax.nn.softplus(logits)).sum(-1)

    return log_prior, log_likelihood


def by_tfp(exported: dict[str, np.ndarray], temperatures: int, step: float) -> Any:
    """A compiled run: seed → log p(x) of every point."""
    import jax
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as tfp

    log_prior, log_likelihood = log_densities(exported)
    x, dim = jnp.asarray(exported["x"]), exported["w0"].shape[1]

    def run(seed: Any) -> Any:
        first, second = jax.random.split(seed)
        z = jax.random.normal(first, (CHAINS, len(x), dim))
        _, log_weights, _ = tfp.mcmc.sample_annealed_importance_chain(
            num_steps=temperatures,
            proposal_log_prob_fn=log_prior,
            target_log_prob_fn=lambda z: log_prior(z) + log_likelihood(z, x),
            current_state=z,
            make_kernel_fn=lambda density: tfp.mcmc.HamiltonianMonteCarlo(density, step, LEAPFROG),
            seed=second,
        )
        return jax.nn.logsumexp(log_weights, 0) - jnp.log(CHAINS)

    return jax.jit(run)


def by_blackjax(exported: dict[str, np.ndarray], particles: int, step: float, persistent: bool) -> Any:
    """A compiled run of adaptive tempered, or persistent, SMC: seed → log p(x) of every point, one after another."""
    import blackjax
    import jax
    import jax.numpy as jnp
    from blackjax.smc import resampling

    log_prior, log_likelihood = log_densities(exported)
    dim = exported["w0"].shape[1]
    kernel = {"step_size": step, "inverse_mass_matrix": jnp.ones(dim), "num_integration_steps": LEAPFROG}
    kernel = {name: jnp.asarray(value)[None] for name, value in kernel.items()}

    def one(seed: Any, x: Any) -> Any:
        common = {
            "logprior_fn": log_prior,
            "loglikelihood_fn": lambda z: log_likelihood(z, x),
            "mcmc_step_fn": blackjax.hmc.build_kernel(),
            "mcmc_init_fn": blackjax.hmc.init,
            "mcmc_parameters": kernel,
            "resampling_fn": resampling.systematic,
            "num_mcmc_steps": 2,
        }
        if persistent:
            sampler = blackjax.adaptive_persistent_sampling_smc(max_iterations=200, target_ess=2.0, **common)
        else:
            sampler = blackjax.adaptive_tempered_smc(target_ess=0.9, **common)
        first, seed = jax.random.split(seed)
        state = sampler.init(jax.random.normal(first, (particles, dim)))

        def step_once(carry: Any) -> Any:
            state, seed, log_z = carry
            seed, own = jax.random.split(seed)
            state, info = sampler.step(own, state)
            return state, seed, log_z if persistent else log_z + info.log_likelihood_increment

        going = lambda carry: carry[0].tempering_param < 1  # noqa: E731
        state, _, log_z = jax.lax.while_loop(going, step_once, (state, seed, jnp.zeros(())))
        return state.log_Z if persistent else log_z

    return jax.jit(
        lambda seed: jax.lax.map(lambda both: one(*both), (jax.random.split(seed, len(exported["x"])), exported["x"]))
    )


def timed(make: Any, budget: int, repeats: int = 1) -> tuple[np.ndarray, float]:
    """log p(x) of every repeat and point, and processor seconds of one repeat without compilation."""
    import jax

    run = make(budget)
    jax.block_until_ready(run(jax.random.PRNGKey(SEED + repeats)))
    began = time.process_time()
    found = [np.asarray(jax.block_until_ready(run(jax.random.PRNGKey(SEED + one)))) for one in range(repeats)]
    return np.stack(found), (time.process_time() - began) / repeats


def worker(method: str, folder: Path, seconds: float) -> None:
    """In a peer's environment: measure it at so many processor seconds."""
    exported = dict(np.load(folder / "exported.npz"))
    makers = {
        "tfp": lambda step: lambda budget: by_tfp(exported, budget, step),
        "tempered": lambda step: lambda budget: by_blackjax(exported, budget, step, False),
        "persistent": lambda step: lambda budget: by_blackjax(exported, budget, step, True),
    }
    trial = {"tfp": 100, "tempered": 64, "persistent": 32}[method]
    trials = {step: timed(makers[method](step), trial) for step in STEPS}
    mean = lambda found: np.nan_to_num(found, nan=-np.inf).mean()  # noqa: E731
    rows = []
    for step in sorted(STEPS, key=lambda step: mean(trials[step][0]))[-2:]:
        budget = max(8, round(trial * seconds / trials[step][1]))
        budget = max(8, round(budget * seconds / timed(makers[method](step), budget)[1]))  # time is not quite linear
        rows.append((*timed(makers[method](step), budget, REPEATS), budget, step))
    found, spent, budget, step = max(rows, key=lambda row: mean(row[0]))
    np.savez(folder / f"{method}.npz", found=found, spent=spent, budget=budget, step=step)


def peer(python: Path, method: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Run a worker in its own environment and read what it found."""
    single = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1", "JAX_PLATFORMS": "cpu"}
    command = [str(python / "bin" / "python"), __file__, "--worker", method, str(folder), str(seconds)]
    subprocess.run(["taskset", "-c", "0", *command], check=True, env={**os.environ, **single, "PYTHONPATH": ""})
    return {name: np.asarray(value) for name, value in np.load(folder / f"{method}.npz").items()}


def main() -> None:
    """Measure, print, and write records/log_evidence_peers.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--blackjax", type=Path, required=True, help="an environment with it")
    parser.add_argument("--tfp", type=Path, required=True, help="an environment with it")
    parser.add_argument("--temperatures", type=int, default=200)
    arguments = parser.parse_args()
    import torch
    from record import write_record

    import elbowroom as er
    from elbowroom.evidence.simulated_examples import simulated, subject_with
    from elbowroom.runs import read_run

    torch.set_num_threads(1)
    vae, _ = read_run(arguments.run)
    target, z = next(simulated(subject_with(vae, POINTS, SEED).target(SEED), SEED, "bdmc"))
    layers = [p.detach().numpy() for p in vae.likelihood.network.parameters()]
    exported = {f"{'wb'[i % 2]}{i // 2}": value for i, value in enumerate(layers)}
    settings = {"temperatures": arguments.temperatures, "chains": CHAINS, "leapfrog": LEAPFROG, "seed": SEED}
    rows: dict[str, dict[str, Any]] = {}
    for start in ("both", "prior"):
        began = time.process_time()
        found = [
            er.evidence.ais(target, start=start, **settings | {"seed": SEED + one}).values for one in range(REPEATS)
        ]
        rows[f"elbowroom, {start}"] = {"found": np.stack(found), "spent": (time.process_time() - began) / REPEATS}
    upper = er.evidence.bdmc(vae, POINTS, start="both", **settings).upper.values
    with tempfile.TemporaryDirectory() as name:
        folder, seconds = Path(name), float(rows["elbowroom, both"]["spent"])
        np.savez(folder / "exported.npz", x=target.decoded(z)[1][0].numpy(), **exported)
        for method, python in (
            ("tfp", arguments.tfp),
            ("tempered", arguments.blackjax),
            ("persistent", arguments.blackjax),
        ):
            rows[method] = peer(python, method, folder, seconds)
            print(method, rows[method], flush=True)
    best = max(row["found"].mean() for row in rows.values())
    table = {
        name: {
            "mean": float(row["found"].mean()),
            "error_by_noise": float(row["found"].mean(1).std(ddof=1) / REPEATS**0.5),
            "below_the_best": float(best - row["found"].mean()),
            "below_the_upper_end": float((upper - row["found"]).mean()),
            "processor_seconds": float(row["spent"]),
            **{key: float(row[key]) for key in ("budget", "step") if key in row},
        }
        for name, row in rows.items()
    }
    for name, row in table.items():
        print(name, row)
    held = table["elbowroom, both"]["below_the_upper_end"] <= min(row["below_the_upper_end"] for row in table.values())
    numbers = {
        "points": POINTS,
        "chains": CHAINS,
        "leapfrog": LEAPFROG,
        **settings,
        "repeats": REPEATS,
        "differs": DIFFERS,
        "rows": table,
        "held": held,
    }
    print(write_record("log_evidence_peers", numbers))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
