"""Tables, bootstrap intervals, energy baselines, and what bad input says."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from rich.console import Console
from scipy import stats

from piavas.baselines import ENERGY_BASELINES, fit_energy
from piavas.errors import AudioError, DataError
from piavas.evaluate import Comparison, Table, bootstrap, compare, difference, evaluate
from piavas.evaluate import families as fam
from piavas.evaluate.bootstrap import weights

RATE = 22_050


@pytest.fixture
def recordings() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"clip{i}": 0.1 * rng.standard_normal((2, 4000 + 100 * i)) for i in range(6)}


def scaled(items, gain: float):
    return {name: gain * signal for name, signal in items.items()}


def write(folder, items, rate=RATE):
    for name, signal in items.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, signal.T, rate, subtype="FLOAT")
    return folder


def test_rows_and_means_are_those_of_the_metrics(recordings) -> None:
    table = evaluate(scaled(recordings, 0.5), recordings)
    for row in table.rows:
        signal = recordings[row["name"]].astype(np.float32)
        assert row["MAG"] == pytest.approx(fam.mag_avcloud(0.5 * signal, signal), rel=1e-5)
    assert table.means["ENV"] == pytest.approx(np.mean([row["ENV"] for row in table.rows]))
    low, high = table.intervals["MAG"].low, table.intervals["MAG"].high
    assert low < table.means["MAG"] < high
    assert table.means["LRE"] == pytest.approx(0, abs=1e-6)
    assert set(table.meta["absent"]) == {"RTE", "DPAM"}
    assert "DPAM" not in table.means
    assert len(table.meta["split_hash"]) == 64


def test_folders_and_arrays_agree(tmp_path, recordings) -> None:
    ours, theirs = write(tmp_path / "p", scaled(recordings, 0.5)), write(tmp_path / "r", recordings)
    from_files = evaluate(ours, str(theirs), "avnerf")
    from_arrays = evaluate(scaled(recordings, 0.5), recordings, "avnerf")
    assert from_files.means == pytest.approx(from_arrays.means, rel=1e-5)
    assert from_files.meta["split_hash"] == from_arrays.meta["split_hash"]
    assert not from_files.meta["rate_assumed"]
    assert from_arrays.meta["rate_assumed"]


def test_a_table_survives_disk(tmp_path, recordings) -> None:
    rng = np.random.default_rng(1)
    time = np.arange(RATE) / RATE
    responses = {n: rng.standard_normal((2, RATE)) * np.exp(-time * 14) for n in recordings}
    responses["clip0"] = responses["clip0"][:, :900]  # too short for a reverberation time
    table = evaluate(
        scaled(recordings, 0.5),
        recordings,
        groups={name: f"room/{i % 2}" for i, name in enumerate(recordings)},
        responses=(responses, responses),
        protocol="RWAVS-Gen",
        meta={"hrtf_hash": "abc"},
    )
    assert np.isnan(table.rows[0]["RTE[ir:t60_iso]"])
    assert table.intervals["RTE[ir:t60_iso]"].count == 5
    path = tmp_path / "table.json"
    table.save(path)
    assert "NaN" not in path.read_text()
    again = Table.load(path)
    assert again.to_json() == table.to_json()
    assert again.meta["hrtf_hash"] == "abc"
    assert np.isnan(again.rows[0]["RTE[ir:t60_iso]"])
    console = Console(record=True, width=120)
    again.show(console)
    assert "MAG" in console.export_text()


def test_comparison_is_paired_item_by_item(tmp_path, recordings) -> None:
    """The items differ by much, the pairs by little: only a paired interval can exclude zero."""
    loud = {n: s * 3.0**i for i, (n, s) in enumerate(recordings.items())}
    result = compare(scaled(loud, 0.80), scaled(loud, 0.81), loud, "avcloud")
    gap = result.differences["MAG"]
    assert gap.mean == pytest.approx(result.second.means["MAG"] - result.first.means["MAG"])
    assert gap.high < 0
    assert gap.excludes_zero
    first, second = result.first.intervals["MAG"], result.second.intervals["MAG"]
    assert second.high > first.low  # the unpaired intervals overlap
    result.save(tmp_path / "comparison.json")
    again = Comparison.load(tmp_path / "comparison.json")
    assert again.to_json() == result.to_json()
    assert again.labels == ("physics", "refined")
    console = Console(record=True, width=120)
    result.show(console)
    assert "difference" in console.export_text()


def test_a_seed_gives_the_same_interval_again(recordings) -> None:
    one, two, other = (
        evaluate(scaled(recordings, 0.5), recordings, seed=seed).intervals["MAG"]
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one != other


def test_bootstrap_agrees_with_scipy_and_with_theory() -> None:
    values = np.random.default_rng(2).normal(3, 1, 200)
    ours = bootstrap(values, seed=0)
    other = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=9999, rng=np.random.default_rng(0)
    ).confidence_interval
    half = 1.96 * values.std() / np.sqrt(200)
    assert ours.low == pytest.approx(other.low, abs=0.01)
    assert ours.high == pytest.approx(other.high, abs=0.01)
    assert ours.high - ours.mean == pytest.approx(half, rel=0.05)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        found = bootstrap(rng.normal(1, 1, 40), resamples=500, seed=0)
        hits += found.low <= 1 <= found.high
    assert 0.89 < hits / 200 < 0.985


def test_nested_means_weigh_every_level_alike() -> None:
    """scene -> category -> all, as AV-NeRF averages."""
    groups = ["office/1", "office/1", "office/2", "house/6"]
    np.testing.assert_allclose(weights(groups), [1 / 8, 1 / 8, 1 / 4, 1 / 2])
    values = np.array([1.0, 3.0, 4.0, 10.0])
    assert bootstrap(values, groups).mean == pytest.approx(((2 + 4) / 2 + 10) / 2)
    assert bootstrap(np.array([1.0, np.nan, 4.0, 10.0]), groups).mean == pytest.approx(6.25)
    with pytest.raises(DataError, match="depth"):
        weights(["a/b", "c"])


def test_too_few_items_have_no_interval() -> None:
    one = bootstrap(np.array([2.0]))
    assert one.mean == 2
    assert np.isnan(one.low)
    none = bootstrap(np.array([np.nan]))
    assert np.isnan(none.mean)
    assert none.count == 0


def test_the_longer_signal_is_cut_within_the_rule(recordings) -> None:
    longer = {n: np.pad(s, ((0, 0), (0, 200))) for n, s in recordings.items()}
    table = evaluate(longer, recordings)
    assert table.means["MAG"] == pytest.approx(0, abs=1e-7)
    assert table.meta["trimmed_items"] == 6
    beyond = {**recordings, "clip2": np.pad(recordings["clip2"], ((0, 0), (0, 500)))}
    with pytest.raises(DataError, match=r"clip2.*4700 samples against 4200"):
        evaluate(beyond, recordings)
    assert evaluate(beyond, recordings, trim=0.05).meta["trim_seconds"] == 0.05


def broken(recordings, value):
    return {**recordings, "clip3": value}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda r: broken(r, 0 * r["clip3"]), AudioError, r"predictions\['clip3'\].*silent"),
        (lambda r: broken(r, r["clip3"] * np.nan), AudioError, r"clip3.*NaN"),
        (lambda r: broken(r, r["clip3"][:1]), AudioError, r"clip3.*1 channel.*2 needed"),
        (lambda r: broken(r, r["clip3"][:, :0]), AudioError, r"clip3.*no samples"),
        (
            lambda r: {n: s for n, s in r.items() if n != "clip3"},
            DataError,
            r"no prediction.*clip3",
        ),
        (lambda r: {**r, "more": r["clip3"]}, DataError, r"no recording.*'more'"),
        (lambda _: {}, DataError, "predictions: holds nothing"),
    ],
)
def test_bad_predictions_are_named(recordings, change, error, words) -> None:
    with pytest.raises(error, match=words):
        evaluate(change(recordings), recordings)


def test_a_silent_recording_is_named(recordings) -> None:
    with pytest.raises(AudioError, match=r"recordings\['clip3'\].*silent"):
        evaluate(recordings, broken(recordings, 0 * recordings["clip3"]))


def test_bad_folders_are_named(tmp_path, recordings) -> None:
    good = write(tmp_path / "good", recordings)
    with pytest.raises(DataError, match=r"nowhere: predictions: no such folder"):
        evaluate(tmp_path / "nowhere", good)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty.*no WAV"):
        evaluate(tmp_path / "empty", good)
    fast = write(tmp_path / "fast", recordings, 44_100)
    with pytest.raises(AudioError, match=r"44100 Hz against 22050 Hz"):
        evaluate(fast, good)
    with pytest.raises(AudioError, match=r"fast/clip0\.wav.*44100 Hz, 22050 Hz needed"):
        evaluate(fast, good, sample_rate=RATE)
    odd = write(tmp_path / "odd", recordings)
    soundfile.write(odd / "clip4.wav", recordings["clip4"].T, 16_000)
    with pytest.raises(AudioError, match=r"odd/clip4\.wav.*16000 Hz"):
        evaluate(odd, good)
    text = write(tmp_path / "text", recordings)
    (text / "clip1.wav").write_text("no sound")
    with pytest.raises(AudioError, match=r"text/clip1\.wav.*cannot be read"):
        evaluate(text, good)
    mono = write(tmp_path / "mono", recordings)
    soundfile.write(mono / "clip1.wav", recordings["clip1"][0], RATE)
    with pytest.raises(AudioError, match=r"mono/clip1\.wav.*1 channel"):
        evaluate(mono, good)


def test_families_never_mix(recordings) -> None:
    cloud = evaluate(scaled(recordings, 0.5), recordings, "avcloud")
    nerf = evaluate(scaled(recordings, 0.9), recordings, "avnerf")
    with pytest.raises(DataError, match=r"family: .*'avcloud'.*'avnerf'"):
        difference(cloud, nerf)
    few = {n: recordings[n] for n in list(recordings)[:3]}
    with pytest.raises(DataError, match="split_hash"):
        difference(cloud, evaluate(few, few, "avcloud"))
    with pytest.raises(DataError, match="no group for 'clip0'"):
        evaluate(recordings, recordings, groups={"clip1": "a"})
    with pytest.raises(DataError, match="no predicted impulse response for 'clip0'"):
        evaluate(recordings, recordings, responses=({}, {}))


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "is not JSON"), ("{}", "piavas-table-1"), ('{"format": "piavas-table-1"}', "lacks")],
)
def test_bad_table_files_are_named(tmp_path, text, words) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"table\.json.*{words}"):
        Table.load(path)
    with pytest.raises(DataError, match="no such file"):
        Table.load(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"table\.json"):
        Comparison.load(path)


def test_a_comparison_that_lacks_a_part_is_named(tmp_path) -> None:
    path = tmp_path / "comparison.json"
    path.write_text('{"format": "piavas-comparison-1", "first": {}}')
    with pytest.raises(DataError, match=r"comparison\.json.*no table"):
        Comparison.load(path)


def test_energy_baselines_have_the_energy_they_say() -> None:
    rng = np.random.default_rng(4)
    dry = [rng.standard_normal(4000) * g for g in (0.5, 1.0, 2.0)]
    wet = [rng.standard_normal((2, 4000)) * [[0.3], [0.1]] for _ in dry]
    made = {kind: fit_energy(kind, zip(dry, wet, strict=True)) for kind in ENERGY_BASELINES}
    assert (made["Mono-Mono"](dry[0]) == np.float32(dry[0])).all()
    total = np.mean([(w**2).mean(axis=-1) for w in wet], axis=0)
    for kind, expected in (("Mono-Energy", np.full(2, total.mean())), ("Stereo-Energy", total)):
        energy = np.mean([(made[kind](d).astype(float) ** 2).mean(axis=-1) for d in dry], axis=0)
        np.testing.assert_allclose(energy, expected, rtol=1e-5)
        clip = fit_energy(kind, zip(dry, wet, strict=True), per_clip=True)(dry[2])
        np.testing.assert_allclose((clip.astype(float) ** 2).mean(axis=-1), expected, rtol=1e-5)


def test_the_stereo_oracle_has_no_left_right_error() -> None:
    rng = np.random.default_rng(5)
    dry, wet = rng.standard_normal(4000), rng.standard_normal((2, 4000)) * [[0.3], [0.1]]
    oracle = fit_energy("Stereo-Energy", [(dry, wet)])(dry)
    assert fam.lre(oracle, wet) == pytest.approx(0, abs=1e-5)
    mono = fit_energy("Mono-Energy", [(dry, wet)])(dry)
    assert fam.lre(mono, wet) == pytest.approx(fam.lre(np.stack([dry, dry]), wet), abs=1e-5)


def test_bad_baselines_are_refused() -> None:
    with pytest.raises(DataError, match="Mono-Mono, Mono-Energy, Stereo-Energy"):
        fit_energy("Stereo", [])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="pairs"):
        fit_energy("Mono-Energy", [])
    with pytest.raises(AudioError, match="recording"):
        fit_energy("Mono-Energy", [(np.ones(10), np.ones((1, 10)))])
    with pytest.raises(AudioError, match="dry"):
        fit_energy("Mono-Mono", [])(np.ones((2, 10)))
