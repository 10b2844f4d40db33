"""Tables in files of compress: read as training reads the same file, whatever stands between cells, and spelled how."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_compression_sources import QUIET, rows_of

import elbowroom as er
from elbowroom.compression import Compressed, compress, decompress
from elbowroom.compression.cells import Cells
from elbowroom.compression.known import Known
from elbowroom.compression.sources import source_of

N = 30
RNG = np.random.default_rng(0)


def table() -> pd.DataFrame:
    z = RNG.normal(size=N)
    return pd.DataFrame(
        {
            "id": [f"00{i}" for i in range(N)],
            "kind": np.where(z > 0, 'A, "q"', "B 2"),
            "flag": np.where(RNG.random(N) < 0.5, "True", "False"),
            "n": RNG.poisson(np.exp(z / 2) * 3),
            "deg": np.round(20 + 3 * z, 1),
            "gap": np.where(RNG.random(N) < 0.2, "-", RNG.integers(0, 5, N).astype(str)),
            "word": np.where(RNG.random(N) < 0.2, "?", np.where(z > 0.3, "yes", "no")),
            "zero": np.where(z > 0.5, "01", "02"),
        }
    )


FRAME = table()
COMMAS = FRAME.to_csv(index=False)
SEMICOLONS = FRAME.to_csv(index=False, sep=";")
FILES: dict[str, bytes] = {
    "plain.csv": COMMAS.encode(),
    "semicolons.csv": SEMICOLONS.encode("utf-8-sig"),
    "decimal commas.csv": FRAME.to_csv(index=False, sep=";", decimal=",").encode(),
    "thousands.csv": FRAME.assign(n=[f"{one + 2_000:,}" for one in FRAME["n"]]).to_csv(index=False).encode(),
    "utf-16.csv": COMMAS.encode("utf-16"),
    "tabs.csv": FRAME.to_csv(index=False, sep="\t").encode(),
    "tabs.tsv": FRAME.to_csv(index=False, sep="\t").encode(),
    "bars.txt": FRAME.to_csv(index=False, sep="|").encode(),
    "packed.csv.gz": gzip.compress(COMMAS.encode()),
    "index.csv": FRAME.to_csv().encode(),
    "names.csv": COMMAS.replace("deg,", " deg  C ,").encode(),
    "comments.csv": b"# of the station\n" + COMMAS.encode(),
    "no name.csv": COMMAS.replace("deg,", ",").encode(),
}


def trained(path: Path) -> tuple[er.data.Dataset, er.VAE]:
    data = er.load_data(path, test=4, validation=4, **QUIET)
    return data, er.models.build({"latents": 2, "widths": [8]}, data)


def written(vae: er.VAE, data: Any, out: Path) -> Compressed:
    return compress(vae, data, out, bounds=False, **QUIET)


@pytest.mark.parametrize("name", FILES)
def test_tables_are_read_as_training_reads_them_and_come_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    data, vae = trained(path)
    source = source_of(path, vae, Cells(vae.double()), Known((), {}))
    assert np.array_equal(source.rows(slice(0, N)), rows_of_gaps(data), equal_nan=True)
    data, vae = trained(path)
    written(vae, path, tmp_path / "x.elb")
    back = decompress(vae, tmp_path / "x.elb", **QUIET)
    decompress(vae, tmp_path / "x.elb", out=tmp_path / "y.csv", **QUIET)
    for column in ("id", "kind", "word", "zero"):
        assert back[column].tolist() == FRAME[column].tolist()
    again = er.load_data(tmp_path / "y.csv", test=4, validation=4, **QUIET)
    assert again.columns == data.columns
    assert np.array_equal(rows_of_gaps(again), rows_of_gaps(data), equal_nan=True)


def rows_of_gaps(data: er.data.Dataset) -> Any:
    """All rows in the order of the source, NaN where a cell is missing."""
    batches = [part.rows(slice(None)) for part in data.parts.values()]
    masks = [torch.ones_like(one.x, dtype=torch.bool) if one.seen is None else one.seen for one in batches]
    order = torch.cat([one.index for one in batches]).argsort()
    return np.where(torch.cat(masks)[order].numpy(), rows_of(data), np.nan)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("semicolons.csv", "Between its cells stand semicolons: the table comes back as .csv, .tsv or .parquet."),
        ("thousands.csv", "Numbers that come back, but not their spelling: 'n', 'gap'."),
        ("comments.csv", "Lines of comment above the table do not come back."),
    ],
)
def test_what_of_a_table_comes_back_otherwise_is_said(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    _, vae = trained(tmp_path / name)
    assert said in str(written(vae, tmp_path / name, tmp_path / "x.elb"))


def test_a_table_of_feather_comes_back(tmp_path: Path) -> None:
    frame = FRAME[["n", "deg"]]
    frame.to_feather(tmp_path / "x.feather")
    _, vae = trained(tmp_path / "x.feather")
    written(vae, tmp_path / "x.feather", tmp_path / "x.elb")
    pd.testing.assert_frame_equal(decompress(vae, tmp_path / "x.elb", **QUIET), frame)
