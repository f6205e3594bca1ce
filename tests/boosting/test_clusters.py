"""Clusters: XGBoost's model of one machine, stopped in the same round, and data frames in parts."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import lossmith as lm
from lossmith import lightgbm, xgboost
from lossmith.frameworks.boosting.staged import of_dask
from lossmith.xgboost import train, train_dask


def test_a_cluster_trains_the_model_of_one_machine_and_stops_it_in_the_same_round() -> None:
    from dask import array  # which takes a second to import
    from dask.distributed import Client, LocalCluster

    rng = np.random.default_rng(0)
    rows, weight = rng.integers(0, 50, (1250, 3)).astype(float), rng.integers(1, 4, 1250).astype(float)
    y = rng.poisson(np.exp(rows[:, 0] / 25)).astype(float)
    fit, held = ([whole[part] for whole in (rows, y, weight)] for part in (slice(250, None), slice(250)))
    flat = (held[0], np.full(250, np.average(fit[1], weights=fit[2])))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        parts = [array.from_array(whole, chunks=(250, *whole.shape[1:])) for whole in fit]
        many = train_dask("mae", *parts, client=client, rounds=5)
        far = [array.from_array(whole, chunks=(250, *whole.shape[1:])) for whole in held]
        few = train_dask("mse", *parts, client=client, rounds=300, validation=tuple(far), patience=3)
        none = train_dask("mse", *parts, client=client, rounds=9, validation=flat, patience=3)
    one = train("mae", *fit, rounds=5)
    assert many.start == one.start
    np.testing.assert_allclose(many.predict(rows), one.predict(rows), atol=1e-5)
    alone = train("mse", *fit, rounds=300, validation=tuple(held), patience=3, built_in=False)
    assert few.rounds == alone.rounds < 300
    np.testing.assert_allclose(few.history, alone.history, rtol=1e-5)
    np.testing.assert_allclose(few.predict(rows), alone.predict(rows), rtol=1e-5, atol=1e-5)
    assert (none.rounds, len(none.history)) == (0, 4)
    np.testing.assert_allclose(none.predict(rows), none.start)


@pytest.mark.parametrize("library", [lightgbm, xgboost], ids=lambda library: library.__name__)
def test_data_frames_with_categories_and_several_predictions_a_row(library: ModuleType) -> None:
    from dask import array, dataframe
    from dask.distributed import Client, LocalCluster

    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, 800)
    rows = pd.DataFrame({"size": rng.normal(size=800), "kind": pd.Categorical(np.array(["a", "b", "c"])[kinds])})
    y = np.where(rng.random(800) < 0.1, rng.integers(0, 3, 800), kinds)
    weight, loss = rng.integers(1, 4, 800).astype(float), "sparse_categorical_cross_entropy"
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        parts = [dataframe.from_pandas(whole, npartitions=4) for whole in (rows, pd.Series(y), pd.Series(weight))]
        model = library.train_dask(loss, *parts, client=client, rounds=20)
        with pytest.raises(
            lm.ShapeError, match="rows of X lie in 4 parts and those of y in 8; rechunk an array or rep"
        ):
            library.train_dask(loss, parts[0], array.from_array(y, chunks=100), client=client)
    alone = library.train(loss, rows, y, weight, rounds=20)
    np.testing.assert_array_equal(model.start, alone.start)
    cost = lm.parse(loss).cost(y, model.predict_raw(rows), weight)
    assert cost == pytest.approx(lm.parse(loss).cost(y, alone.predict_raw(rows), weight), rel=0.1)
    assert np.mean(model.predict(rows).argmax(axis=1) == y) > 0.85


def test_parts_of_arrays_have_rows_and_all_columns() -> None:
    from dask import array, dataframe

    rows, y = np.arange(40.0).reshape(10, 4), np.arange(10.0)
    parted = array.from_array(rows, chunks=((4, 0, 6), (3, 1))), array.from_array(y, chunks=((4, 0, 6),))
    X, target, weight = of_dask(X=parted[0], y=parted[1], weight=None)
    assert (X.chunks, target.chunks, weight) == (((4, 6), (4,)), ((4, 6),), None)
    np.testing.assert_array_equal(X.compute(), rows)
    np.testing.assert_array_equal(target.compute(), y)
    frame = dataframe.concat([dataframe.from_pandas(pd.DataFrame(rows[part]), 1) for part in (slice(0), slice(10))])
    two = of_dask(X=frame, y=array.from_array(y, chunks=((0, 10),)))
    assert [value.npartitions for value in two] == [1, 1]
    with pytest.raises(lm.ShapeError, match="part 1 of X has 0 rows and that of y 6; rechunk one of them"):
        of_dask(X=parted[0], y=array.from_array(y, chunks=((4, 6, 0),)))
    ones = (1, 1, 4, 1, 3)
    X, target, weight = of_dask(
        X=array.from_array(rows, chunks=(ones, 4)), y=array.from_array(y, chunks=(ones,)), w=None
    )
    assert (X.chunks, target.chunks, weight) == (((2, 5, 3), (4,)), ((2, 5, 3),), None)
    np.testing.assert_array_equal(X.compute(), rows)
    (one,) = of_dask(y=array.from_array(y[:1]))
    assert one.chunks == ((1,),)
    unknown = parted[1][parted[1] >= 0]  # of sizes that are found when it is computed
    assert len(of_dask(X=parted[0], y=unknown)[1].chunks[0]) == 2
    (none,) = of_dask(y=array.from_array(y[:0]))
    assert none.chunks == ((0,),)


@pytest.mark.parametrize("library", [lightgbm, xgboost], ids=lambda library: library.__name__)
def test_columns_in_parts_and_parts_without_rows_are_trained_with(library: ModuleType) -> None:
    from dask import array
    from dask.distributed import Client, LocalCluster

    rows = np.random.default_rng(0).normal(size=(600, 3))
    y = (rows[:, 0] > 0).astype(int)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        parts = array.from_array(rows, chunks=((300, 0, 300), (2, 1))), array.from_array(y, chunks=((300, 0, 300),))
        model = library.train_dask("bce", *parts, client=client, rounds=20)
        ones = array.from_array(rows, chunks=((599, 1), 3)), array.from_array(y, chunks=((599, 1),))
        assert library.train_dask("bce", *ones, client=client, rounds=2).rounds == 2
    assert np.mean((model.predict_raw(rows) > 0) == y) > 0.95
