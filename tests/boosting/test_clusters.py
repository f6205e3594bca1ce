"""XGBoost on a cluster: the model of one machine, stopped in the same round."""

from __future__ import annotations

import numpy as np

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
