"""Metric families against closed forms and against plain loops."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from piavas.errors import AudioError, DataError
from piavas.evaluate import FAMILIES, evaluate, get_family
from piavas.evaluate import families as fam
from piavas.evaluate import responses as raf
from piavas.evaluate.spectral import AVCLOUD_STFT, AVNERF_STFT, envelope

RATE = 22_050


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.standard_normal((2, 3000)) * 0.1, rng.standard_normal((2, 3000)) * 0.1


def plain_stft(signal: np.ndarray, n_fft: int, hop: int, win: int, cosine: float) -> np.ndarray:
    """Frame by frame, bin by bin: raised-cosine window `c - (1-c) cos`, zeros outside."""
    window = np.zeros(n_fft)
    for i in range(win):
        window[(n_fft - win) // 2 + i] = cosine - (1 - cosine) * np.cos(2 * np.pi * i / win)
    frames = []
    for centre in range(0, signal.size + 1, hop):
        frame = np.zeros(n_fft)
        for i in range(n_fft):
            at = centre - n_fft // 2 + i
            if 0 <= at < signal.size:
                frame[i] = signal[at] * window[i]
        k = np.arange(n_fft // 2 + 1)[:, None] * np.arange(n_fft)[None]
        frames.append((frame * np.exp(-2j * np.pi * k / n_fft)).sum(axis=1))
    return np.array(frames)


@pytest.mark.parametrize(
    ("stft", "cosine"), [(AVNERF_STFT, 0.5), (AVCLOUD_STFT, 0.54)], ids=["avnerf", "avcloud"]
)
def test_stft_equals_a_plain_loop(stft, cosine) -> None:
    signal = np.random.default_rng(0).standard_normal(1500)
    twin = plain_stft(signal, stft.n_fft, stft.hop, stft.win, cosine)
    assert stft(signal).shape == twin.shape == (1 + 1500 // stft.hop, 257)
    np.testing.assert_allclose(stft(signal), twin, atol=1e-10)


@pytest.mark.parametrize("stft", [AVNERF_STFT, AVCLOUD_STFT], ids=["avnerf", "avcloud"])
def test_stft_equals_torch(stft) -> None:
    torch = pytest.importorskip("torch")
    signal = np.random.default_rng(0).standard_normal((2, 4001))
    window = {"hann": torch.hann_window, "hamming": torch.hamming_window}[stft.window]
    other = torch.stft(
        torch.from_numpy(signal),
        n_fft=stft.n_fft,
        hop_length=stft.hop,
        win_length=stft.win,
        window=window(stft.win, dtype=torch.float64),
        pad_mode="constant",
        return_complex=True,
    )
    np.testing.assert_allclose(stft(signal), other.numpy().swapaxes(-1, -2), atol=1e-10)


def test_a_sinusoid_on_a_bin_has_half_the_window_sum() -> None:
    """|X| = A sum(w) / 2 in the middle of the signal, for a bin-centred sinusoid."""
    time = np.arange(8 * 512)
    signal = 0.3 * np.sin(2 * np.pi * 32 * time / 512)
    middle = AVNERF_STFT.magnitude(signal)[16]
    assert middle[32] == pytest.approx(0.3 * 256 / 2, rel=1e-9)  # a periodic hann sums to N/2


def test_mag_of_a_delayed_impulse_is_what_the_window_says() -> None:
    """An impulse at sample s has the flat magnitude w[s - centre + N/2] in every frame."""
    size, at = 4096, 1000
    recorded = np.zeros((2, size))
    recorded[:, at] = 1.0
    weights = AVCLOUD_STFT.weights()
    total = 0.0
    frames = 1 + size // 160
    for i in range(frames):
        offset = at - 160 * i + 256
        total += abs(weights[offset]) if 0 <= offset < 512 else 0.0
    silent = np.zeros((2, size))
    assert fam.mag_avcloud(silent, recorded) == pytest.approx(2 * total / frames, rel=1e-9)


@pytest.mark.parametrize("gain", [0.0, 0.5, 2.0])
def test_scaled_copies_have_closed_forms(pair, gain) -> None:
    signal, _ = pair
    nerf, cloud = AVNERF_STFT.magnitude(signal), AVCLOUD_STFT.magnitude(signal)
    assert fam.mag_avnerf(gain * signal, signal) == pytest.approx(
        (1 - gain) ** 2 * (nerf[0] ** 2).mean() + (1 - gain) ** 2 * (nerf[1] ** 2).mean()
    )
    assert fam.mag_avcloud(gain * signal, signal) == pytest.approx(
        abs(1 - gain) * (cloud[0].mean() + cloud[1].mean())
    )
    rms = np.sqrt((envelope(signal) ** 2).mean(axis=-1))
    assert fam.env(gain * signal, signal) == pytest.approx(abs(1 - gain) * rms.sum())


def test_env_equals_a_plain_hilbert_loop(pair) -> None:
    def analytic(x: np.ndarray) -> np.ndarray:
        n = x.size
        spectrum = np.fft.fft(x)
        for k in range(n):
            if 0 < k < n / 2:
                spectrum[k] *= 2
            elif k > n / 2:
                spectrum[k] = 0
        return np.abs(np.fft.ifft(spectrum))

    p, r = pair
    twin = sum(np.sqrt(np.mean((analytic(p[c]) - analytic(r[c])) ** 2)) for c in range(2))
    assert fam.env(p, r) == pytest.approx(twin, rel=1e-12)


def test_env_of_a_sinusoid_is_its_amplitude() -> None:
    time = np.arange(2205) / RATE
    tone = np.sin(2 * np.pi * 1000 * time)  # a whole number of periods
    assert fam.env(np.stack([0.7 * tone, tone]), np.stack([tone, tone])) == pytest.approx(0.3)


def test_metrics_equal_plain_sums(pair) -> None:
    p, r = pair
    gaps_nerf, gaps_cloud = 0.0, 0.0
    for c in range(2):
        nerf = AVNERF_STFT.magnitude(p[c]) - AVNERF_STFT.magnitude(r[c])
        cloud = AVCLOUD_STFT.magnitude(p[c]) - AVCLOUD_STFT.magnitude(r[c])
        gaps_nerf += sum(v * v for v in nerf.ravel()) / nerf.size
        gaps_cloud += sum(abs(v) for v in cloud.ravel()) / cloud.size
    assert fam.mag_avnerf(p, r) == pytest.approx(gaps_nerf)
    assert fam.mag_avcloud(p, r) == pytest.approx(gaps_cloud)


def test_lre_is_the_gain_between_the_ears_in_decibels() -> None:
    rng = np.random.default_rng(1)
    mono = rng.standard_normal(5000)
    gain = 10 ** (6 / 20)
    wide, centred = np.stack([gain * mono, mono]), np.stack([mono, mono])
    assert fam.lre(wide, centred) == pytest.approx(6.0, abs=1e-6)  # 1e-5 beside an energy of 5000
    assert fam.lre(centred, centred) == 0.0
    assert fam.left_right_ratio(np.stack([mono, 0 * mono])) == pytest.approx(
        10 * np.log10(((mono**2).sum() + 1e-5) / 1e-5)
    )


def test_a_prediction_that_is_the_recording_is_perfect(pair) -> None:
    signal, _ = pair
    for name in ("avnerf", "avcloud"):
        for metric in FAMILIES[name].metrics:
            assert metric.compute(signal, signal, RATE) == 0.0


def test_families_measure_differently(pair) -> None:
    p, r = pair
    assert fam.mag_avnerf(p, r) != pytest.approx(fam.mag_avcloud(p, r), rel=0.1)
    assert [m.name for m in get_family("avnerf").metrics] == ["MAG", "ENV"]
    with pytest.raises(DataError, match="avnerf, avcloud, raf"):
        get_family("mixed")


def test_rte_of_impulse_responses() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    noise = rng.standard_normal((2, RATE))
    short, long = (noise * np.exp(-6.9078 * time / t) for t in (0.4, 0.5))
    assert fam.rte_ir(short, long, RATE) == pytest.approx(0.1, abs=0.01)
    cut = short[:, : RATE // 20]  # 7.5 dB of decay: no range of ISO 3382-1 is reached
    assert np.isnan(fam.rte_ir(cut, long, RATE))


def test_dpam_is_absent_without_its_package(monkeypatch) -> None:
    fam._dpam_model.cache_clear()
    monkeypatch.setitem(sys.modules, "cdpam", None)
    assert "not installed" in str(fam.dpam_absence())


def test_dpam_hands_the_model_mono_sums_on_the_16_bit_scale(monkeypatch, pair) -> None:
    torch = pytest.importorskip("torch")
    seen = []

    class Model:
        def __init__(self, dev: str) -> None:
            assert dev == "cpu"

        def forward(self, reference, output):
            seen.extend([reference, output])
            return torch.tensor([[np.abs(reference - output).mean()]])

    fake = types.SimpleNamespace(CDPAM=Model)
    monkeypatch.setitem(sys.modules, "cdpam", fake)
    fam._dpam_model.cache_clear()
    try:
        assert fam.dpam_absence() is None
        predicted, recorded = pair
        value = fam.dpam(predicted, recorded, RATE)
    finally:
        fam._dpam_model.cache_clear()
    mono = [np.round(x.mean(axis=0) * 32768) for x in (recorded, predicted)]
    np.testing.assert_allclose(seen[0], mono[0][None], atol=1)
    assert value == pytest.approx(np.abs(mono[0] - mono[1]).mean(), rel=1e-3)


def test_a_broken_dpam_model_gives_no_number(monkeypatch) -> None:
    class Model:
        def __init__(self, dev: str) -> None:
            raise RuntimeError("weights missing")

    monkeypatch.setitem(sys.modules, "cdpam", types.SimpleNamespace(CDPAM=Model))
    fam._dpam_model.cache_clear()
    try:
        assert "weights missing" in str(fam.dpam_absence())
    finally:
        fam._dpam_model.cache_clear()


def exponential(time: float, rate: int, length: float = 0.4, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).standard_normal(round(length * rate))
    return (samples * np.exp(-6.9078 * np.arange(samples.size) / rate / time))[None]


def test_the_raf_family_measures_impulse_responses() -> None:
    rate = 16_000
    # One noise under two envelopes: the decays differ by their times and nothing else.
    times = (0.22, 0.20)
    responses = [{f"r{i}": exponential(t, rate, seed=i) for i in range(40)} for t in times]
    table = evaluate(*responses, "raf", sample_rate=rate)
    assert table.means["T60"] == pytest.approx(10, abs=1.5)  # per cent
    assert table.means["EDT"] == pytest.approx(20, abs=3)  # ms
    k = 6 * np.log(10) * 0.05
    clarity = [10 * np.log10(np.expm1(k / t)) for t in times]
    assert table.means["C50"] == pytest.approx(clarity[1] - clarity[0], abs=0.15)
    assert table.meta["seconds_compared"] == 0.32
    same = evaluate(responses[0], responses[0], "raf", sample_rate=rate)
    assert set(same.means.values()) == {0.0}


def test_a_response_without_a_time_counts_a_hundred_per_cent() -> None:
    rate = 16_000
    flat = np.resize([1.0, -1.0], (1, 20))  # its backward integral ends 13 dB down
    assert np.isnan(raf.t60_raf(flat[0], rate))
    assert raf.t60_error(flat, exponential(0.2, rate), rate) == 100.0
    assert raf.t60_error(exponential(0.2, rate), flat, rate) == 100.0


def test_raf_responses_are_cut_before_their_lengths_are_compared() -> None:
    rate = 16_000
    short, long = exponential(0.2, rate, 0.32), exponential(0.2, rate, 4.0)
    long[:, : short.shape[1]] = short
    assert evaluate({"a": short}, {"a": long}, "raf", sample_rate=rate).means["STFT"] == 0.0
    with pytest.raises(AudioError, match="2 channel"):
        evaluate({"a": np.ones((2, 9000))}, {"a": long}, "raf", sample_rate=rate)
    with pytest.raises(DataError, match="48,000 or 16,000"):
        evaluate({"a": long}, {"a": long}, "raf", sample_rate=22_050)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_the_raf_stft_equals_torch(rate) -> None:
    torch = pytest.importorskip("torch")
    stft = raf.raf_stft(rate)
    signal = np.random.default_rng(0).standard_normal((1, 5000))
    other = torch.stft(
        torch.from_numpy(signal),
        n_fft=stft.n_fft,
        hop_length=stft.hop,
        win_length=stft.win,
        window=torch.hann_window(stft.win, dtype=torch.float64),
        pad_mode="reflect",
        return_complex=True,
    )
    np.testing.assert_allclose(stft(signal), other.numpy().swapaxes(-1, -2), atol=1e-10)
    gap = np.log(np.abs(other.numpy()) + 1e-3) - np.log(np.abs(0.5 * other.numpy()) + 1e-3)
    assert raf.stft_error(0.5 * signal, signal, rate) == pytest.approx(np.abs(gap).mean())


def test_a_distance_of_the_callers_own_stands_under_its_own_name(monkeypatch, pair) -> None:
    fam._dpam_model.cache_clear()
    monkeypatch.setitem(sys.modules, "cdpam", None)
    signals = {"a": pair[0], "b": pair[1]}
    table = evaluate(
        {n: 0.5 * s for n, s in signals.items()},
        signals,
        dpam=lambda out, ref: float(np.abs(out - ref).max()),
    )
    peak = max(np.abs(s.mean(axis=0)).max() for s in signals.values())
    assert max(table.column("DPAM[given]")) == pytest.approx(0.5 * 32768 * peak, abs=1)
    assert "DPAM" not in table.means
    assert "DPAM" not in table.meta["absent"]
