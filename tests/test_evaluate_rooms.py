"""Room parameters against exponentials whose every parameter is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import loadmat

from conftest import shared
from piavas.errors import AudioError, DataError
from piavas.evaluate import direct_to_reverberant, iacc, ild, room_metrics, t60
from piavas.evaluate.bands import band_energies, filter_octave, usable_bands
from piavas.evaluate.decay import direct_onset, find_knee, schroeder
from piavas.evaluate.interaural import cross_correlation
from piavas.evaluate.rooms import c50_raf, edt_raf, highpass, octave_decay

RATE = 48_000
K = 6 * np.log(10)  # energy decays by exp(-K t / T)


def exponential(time: float, length: float, rate: int = RATE) -> np.ndarray:
    return np.exp(-0.5 * K * np.arange(round(length * rate)) / rate / time)


@pytest.mark.parametrize("time", [0.15, 0.3, 0.6, 1.5])
def test_a_pure_exponential_gives_every_parameter(time) -> None:
    found = room_metrics(exponential(time, 2 * time), RATE, bands=[])
    rate = K / time
    expected = {
        "EDT": time,
        "T20": time,
        "T30": time,
        "C50": 10 * np.log10(np.expm1(rate * 0.05)),
        "C80": 10 * np.log10(np.expm1(rate * 0.08)),
        "D50": 1 - np.exp(-rate * 0.05),
        "Ts": 1 / rate,
    }
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, rel=1e-2, abs=1e-5), name


def test_exponential_noise_has_its_time_in_every_octave() -> None:
    """64 responses of T = 0.5 s: each octave's mean T30 within 1 % (2 % below 250 Hz)."""
    rng = np.random.default_rng(0)
    rate, time = 16_000, 0.5
    noise = rng.standard_normal((64, rate)) * exponential(time, 1.0, rate)
    found = room_metrics(noise, rate, bands=[125, 500, 1000, 2000, 4000])
    means = np.nanmean(found["T30"], axis=0)
    np.testing.assert_allclose(means[[0, 2, 3, 4, 5]], time, rtol=0.01)
    assert means[1] == pytest.approx(time, rel=0.02)
    clarity = 10 * np.log10(np.expm1(K / time * 0.05))
    shares = np.nanmean(found["D50"], axis=0)
    # Below 250 Hz 50 ms hold few independent values, and the mean of a ratio is biased.
    np.testing.assert_allclose(np.delete(shares, 1), 1 - np.exp(-K / time * 0.05), atol=0.02)
    assert shares[1] == pytest.approx(1 - np.exp(-K / time * 0.05), abs=0.05)
    assert np.nanmean(found["C50"], axis=0)[0] == pytest.approx(clarity, abs=0.2)
    centres = np.nanmean(found["Ts"], axis=0)
    np.testing.assert_allclose(np.delete(centres, 1), time / K, rtol=0.04)
    assert centres[1] == pytest.approx(time / K, rel=0.1)


def test_octaves_with_different_times_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    rate = 16_000
    shape = (12, 2 * rate)
    low = filter_octave(rng.standard_normal(shape), 250, rate) * exponential(1.2, 2.0, rate)
    high = filter_octave(rng.standard_normal(shape), 2000, rate) * exponential(0.4, 2.0, rate)
    found = room_metrics(low + high, rate, bands=[250, 2000])
    times = found["T20"].mean(axis=0)
    assert times[1] == pytest.approx(1.2, rel=0.05)
    assert times[2] == pytest.approx(0.4, rel=0.03)


@pytest.mark.parametrize("direct_db", [0.0, 10.0])
def test_direct_sound_before_an_exponential(direct_db) -> None:
    """C50 = 10 log10((D + R(1 - e)) / (R e)) with direct energy D and reverberant energy R."""
    time, gap = 0.6, round(0.005 * RATE)
    tail = exponential(time, 1.5)
    tail /= np.sqrt((tail**2).sum())
    direct = 10 ** (direct_db / 20)
    silence = np.zeros(1000)
    response = np.concatenate([silence, [direct], np.zeros(gap - 1), tail])
    found = room_metrics(response, RATE, bands=[])
    kept = np.exp(-K / time * 0.045)  # the tail begins 5 ms after the direct sound
    assert found["C50"][0] == pytest.approx(10 * np.log10((direct**2 + 1 - kept) / kept), abs=0.01)
    assert found["D50"][0] == pytest.approx((direct**2 + 1 - kept) / (direct**2 + 1), abs=1e-4)
    centre = (0.005 + time / K) / (direct**2 + 1)
    assert found["Ts"][0] == pytest.approx(centre, rel=5e-3)
    assert found["T30"][0] == pytest.approx(time, rel=0.02)
    drr = direct_to_reverberant(response, RATE)
    assert drr == pytest.approx(direct_db, abs=0.02)


def test_the_direct_sound_is_found_after_silence() -> None:
    response = np.concatenate([np.full(500, 1e-3), [0.05], exponential(0.5, 1.0)])
    assert direct_onset(response) == 501  # -26 dB is no onset, ISO 3382-1 asks for 20 dB
    early = room_metrics(response, RATE, bands=[])
    late = room_metrics(response[501:], RATE, bands=[])
    assert early["C50"][0] == pytest.approx(late["C50"][0], abs=1e-9)


@pytest.mark.parametrize("noise_db", [-50.0, -60.0, -70.0])
def test_noise_does_not_lengthen_the_decay(noise_db) -> None:
    rng = np.random.default_rng(2)
    time = 0.5
    clean = rng.standard_normal((8, 2 * RATE)) * exponential(time, 2.0)
    noisy = clean + 10 ** (noise_db / 20) * rng.standard_normal(clean.shape)
    found = room_metrics(noisy, RATE, bands=[])
    assert np.mean(found["T20"]) == pytest.approx(time, rel=0.02)
    if noise_db <= -60:
        assert np.mean(found["T30"]) == pytest.approx(time, rel=0.02)


def test_a_strong_direct_sound_does_not_move_the_noise_knee() -> None:
    """25 dB of direct sound over the room: T30 sees its fall, the late decay stays whole."""
    rng = np.random.default_rng(15)
    clean = rng.standard_normal((8, 2 * RATE)) * exponential(0.5, 2.0)
    noisy = clean + 10 ** (-70 / 20) * rng.standard_normal(clean.shape)
    noisy[:, 0] = 30.0  # its energy is 30 dB above the noise-free decay's first milliseconds
    knees = [find_knee(one**2, RATE)[0] / RATE for one in noisy]
    np.testing.assert_allclose(knees, 0.5 * 70 / 60, rtol=0.1)


def test_a_range_that_is_not_reached_is_nan_never_a_number() -> None:
    rng = np.random.default_rng(3)
    time = 0.5
    clean = rng.standard_normal(2 * RATE) * exponential(time, 2.0)
    noisy = clean + 10 ** (-30 / 20) * rng.standard_normal(clean.size)
    found = room_metrics(noisy, RATE, bands=[])
    assert np.isnan(found["T30"][0])
    assert np.isnan(found["T20"][0])
    assert found["EDT"][0] == pytest.approx(time, rel=0.15)
    impulse = np.zeros(4800)
    impulse[100] = 1.0
    dry = room_metrics(impulse, RATE, bands=[])
    assert np.isnan([dry[n][0] for n in ("EDT", "T20", "T30")]).all()
    assert dry["C50"][0] == np.inf
    assert dry["D50"][0] == 1.0


def test_time_is_the_iso_time_or_t20_or_nothing() -> None:
    pure = exponential(0.5, 1.0)
    assert t60(pure, RATE) == pytest.approx(0.5, rel=1e-3)
    reaches_t20 = exponential(0.5, 0.33)  # 39.6 dB
    assert t60(reaches_t20, RATE) == pytest.approx(0.5, rel=0.01)
    assert np.isnan(t60(exponential(0.5, 0.2), RATE))  # 24 dB


def test_variants_of_the_reverberation_time() -> None:
    rng = np.random.default_rng(4)
    time = 0.6
    noise = rng.standard_normal((32, RATE)) * exponential(time, 1.0)
    for variant in ("t60_iso", "t60_raf", "t60_naf"):
        assert np.mean(t60(noise, RATE, variant)) == pytest.approx(time, rel=0.01), variant
    # A double slope tells them apart: 10 dB sees the early decay, 30 dB also the late one.
    double = noise + 0.1 * rng.standard_normal(noise.shape) * exponential(1.8, 1.0)
    raf, naf = (np.mean(t60(double, RATE, v)) for v in ("t60_raf", "t60_naf"))
    assert naf > 1.3 * raf
    with pytest.raises(DataError, match="t60_iso, t60_raf, t60_naf"):
        t60(noise, RATE, "t60")


def test_a_thirty_decibel_range_that_is_not_there_is_nan() -> None:
    flat = np.ones(100)  # its backward integral ends 20 dB down
    assert np.isnan(t60(flat, RATE, "t60_naf"))
    assert edt_raf(flat, RATE) == pytest.approx(6 * 91 / RATE)  # 9 of 100 left: below -10 dB


def test_two_point_times_equal_a_plain_loop() -> None:
    response = np.random.default_rng(13).standard_normal(6000) * exponential(0.1, 0.125)

    def falls_below(limit: float) -> int:
        total = sum(v * v for v in response)
        left = total
        for i, value in enumerate(response):
            if 10 * np.log10(left / total) < limit:
                return i
            left -= value * value
        raise AssertionError

    twin = 2 * (falls_below(-35) - falls_below(-5)) / RATE
    assert t60(response, RATE, "t60_naf") == pytest.approx(twin, abs=4 / RATE)


def test_fitted_times_equal_polyfit_on_the_schroeder_curve() -> None:
    """Far from any noise the compensated curve is the plain one."""
    response = np.random.default_rng(14).standard_normal(RATE) * exponential(0.4, 1.0)
    onset = direct_onset(response)
    level = 10 * np.log10(schroeder(response[onset:] ** 2) / (response[onset:] ** 2).sum())
    found = room_metrics(response, RATE, bands=[])
    for name, high, low in (("EDT", 0, -10), ("T20", -5, -25), ("T30", -5, -35)):
        inside = np.nonzero((level <= high) & (level >= low))[0]
        slope = np.polyfit(inside / RATE, level[inside], 1)[0]
        assert found[name][0] == pytest.approx(-60 / slope, rel=2e-3), name


def test_a_measured_room_has_its_published_times() -> None:
    """dEchorate, T of 12 responses in the octaves 125 Hz to 8 kHz, within 10 % of its figures."""
    responses = loadmat(shared("data/dechorate/data_rooge.mat"))["rirs"][..., 0].T
    bands = [250, 500, 1000, 2000, 4000, 8000]
    found = room_metrics(responses, RATE, bands=bands, broadband=False)
    times = np.nanmedian(found["T20"], axis=0)
    np.testing.assert_allclose(times, [0.43, 0.57, 0.59, 0.56, 0.55, 0.49], rtol=0.1)


def test_raf_variants_of_edt_and_c50() -> None:
    pure = exponential(0.5, 1.0)
    assert edt_raf(pure, RATE) == pytest.approx(0.5, rel=1e-3)
    cut = int(0.05 * RATE + 1)
    expected = 10 * np.log10((pure[:cut] ** 2).sum() / (pure[cut:] ** 2).sum())
    assert c50_raf(pure, RATE) == pytest.approx(expected)


def test_the_high_pass_is_3_db_down_at_its_cutoff() -> None:
    impulse = np.zeros(RATE)
    impulse[0] = 1.0
    level = 20 * np.log10(np.abs(np.fft.rfft(highpass(impulse, RATE))))
    assert level[200] == pytest.approx(-3.01, abs=0.02)
    assert level[50] == pytest.approx(-24.1, abs=0.3)
    assert level[2000] == pytest.approx(0, abs=0.02)


def test_octaves_add_up_to_the_whole() -> None:
    noise = np.random.default_rng(5).standard_normal(RATE)
    bands = usable_bands(RATE)
    assert bands[-1] == 16_000
    assert usable_bands(22_050)[-1] == 4000 or usable_bands(22_050)[-1] == 8000
    energy = band_energies(noise, [0.0, *bands], RATE)
    assert energy[0] == pytest.approx((noise**2).sum())
    inside = 16_000 * 10**0.15 / (RATE / 2) - 63 / 2**0.5 / (RATE / 2)
    assert energy[1:].sum() / energy[0] == pytest.approx(inside, rel=0.03)


def test_band_energy_is_that_of_the_filtered_signal() -> None:
    noise = np.pad(np.random.default_rng(6).standard_normal(4000), 8000)
    for band in (250, 2000):
        filtered = filter_octave(noise, band, 16_000)
        assert band_energies(noise, [band], 16_000)[0] == pytest.approx(
            (filtered**2).sum(), rel=1e-6
        )


def test_a_filter_rings_before_an_event_and_not_after() -> None:
    impulse = np.zeros(8000)
    impulse[4000] = 1.0
    backwards = filter_octave(impulse, 500, 16_000)
    assert np.abs(backwards[4001:]).max() == 0
    assert np.abs(backwards[3000:4000]).max() > 0
    both = filter_octave(impulse, 500, 16_000, "zero-phase")
    np.testing.assert_allclose(both[4000:4400], both[4000:3600:-1], atol=1e-9)
    with pytest.raises(DataError, match="bands"):
        filter_octave(impulse, 16_000, 16_000)


def test_schroeder_equals_a_plain_loop() -> None:
    energy = np.random.default_rng(7).random(200)
    twin = [sum(energy[i:]) + 0.5 for i in range(200)]
    np.testing.assert_allclose(schroeder(energy, 0.5), twin)


def test_octave_decay_falls_as_the_exponential() -> None:
    rng = np.random.default_rng(8)
    curve = octave_decay(rng.standard_normal(RATE) * exponential(0.6, 1.0), RATE, 2000)
    assert curve is not None
    at = round(0.3 * RATE)
    assert curve.level[0] == 0
    assert curve.level[at] == pytest.approx(-30, abs=1.5)
    assert curve.times[at] == pytest.approx(0.3)


def test_leading_shape_and_bands_are_kept() -> None:
    noise = np.random.default_rng(9).standard_normal((2, 3, 8000)) * exponential(0.2, 0.5, 16_000)
    found = room_metrics(noise, 16_000, bands=[500, 1000])
    assert found.bands == (0.0, 500.0, 1000.0)
    assert found["T20"].shape == (2, 3, 3)
    assert t60(noise, 16_000).shape == (2, 3)


@pytest.mark.parametrize(
    ("response", "word"),
    [
        (np.zeros(100), "silent"),
        (np.full(100, np.nan), "NaN"),
        (np.zeros((2, 0)), "no samples"),
    ],
)
def test_bad_responses_are_refused(response, word) -> None:
    with pytest.raises(AudioError, match=word):
        room_metrics(response, RATE)
    with pytest.raises(AudioError, match=word):
        t60(response, RATE)


def test_interaural_level_difference() -> None:
    noise = np.random.default_rng(10).standard_normal(RATE)
    ears = np.stack([2 * noise, noise])
    assert ild(ears, RATE) == pytest.approx(20 * np.log10(2))
    assert ild(ears, RATE, 1000) == pytest.approx(20 * np.log10(2))
    assert ild(np.stack([noise, 0 * noise]), RATE) == np.inf
    with pytest.raises(AudioError, match="binaural"):
        ild(noise, RATE)


def test_interaural_cross_correlation() -> None:
    rng = np.random.default_rng(11)
    noise = rng.standard_normal(RATE) * exponential(0.5, 1.0)
    later = np.roll(noise, 20)
    later[:20] = 0
    lags, values = cross_correlation(np.stack([noise, later]), RATE)
    assert lags[np.argmax(values)] == pytest.approx(20 / RATE)
    assert iacc(np.stack([noise, later]), RATE) == pytest.approx(1, abs=0.01)
    assert iacc(np.stack([noise, -noise]), RATE) == pytest.approx(1)
    other = rng.standard_normal(RATE) * exponential(0.5, 1.0)
    assert iacc(np.stack([noise, other]), RATE, part="L") < 0.15
    # A mixture sqrt(r) common + sqrt(1 - r) own noise correlates by r.
    common, one, two = rng.standard_normal((3, 4 * RATE))
    mixed = np.sqrt(0.6) * common + np.sqrt(0.4) * np.stack([one, two])
    assert iacc(mixed, RATE) == pytest.approx(0.6, abs=0.01)
    # Direct sound in front, then independent ears: early is coherent, late is not.
    direct = np.zeros(RATE)
    direct[0] = 100.0
    room = np.stack([direct + noise, direct + other])
    assert iacc(room, RATE, part="E") > 0.85
    assert iacc(room, RATE, part="L") < 0.15


def test_cross_correlation_equals_a_plain_loop() -> None:
    left, right = np.random.default_rng(12).standard_normal((2, 300))
    lags, values = cross_correlation(np.stack([left, right]), 8000)
    scale = np.sqrt((left**2).sum() * (right**2).sum())
    for lag, value in zip(np.round(lags * 8000).astype(int), values, strict=True):
        twin = sum(left[i] * right[i + lag] for i in range(300) if 0 <= i + lag < 300) / scale
        assert value == pytest.approx(twin, abs=1e-12)
