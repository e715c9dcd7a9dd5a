"""Two roads through Steam Audio from a source to ambisonic responses of the reflected sound.

B bakes an energy field at each listener, corrects its air, and reconstructs a response from it. It
is for omnidirectional sources. A runs the real-time simulator and reads the response out of its
convolution effect; it knows directivity. Both give orthonormal N3D in the world's axes, time 0 at
the direct sound, with the library's own level and without the air on the direct way: see
`steam_level`.
"""

from __future__ import annotations

import ctypes as c
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piavas.acoustics.backends.steam_library import Phonon, Session
from piavas.acoustics.backends.steam_scene import AIR, SPEED, SteamMesh, put, vector
from piavas.acoustics.backends.steam_structs import (
    AIR_EXPONENTIAL,
    BAKE_CONVOLUTION,
    BANDS,
    CONVOLUTION,
    DATA_REFLECTIONS,
    REFLECTIONS,
    SCENE_DEFAULT,
    STATIC_SOURCE,
    AirAbsorptionModel,
    AudioBuffer,
    AudioSettings,
    BakedDataIdentifier,
    CoordinateSpace3,
    Directivity,
    EnergyFieldSettings,
    ImpulseResponseSettings,
    ReconstructorInputs,
    ReconstructorOutputs,
    ReconstructorSettings,
    ReconstructorSharedInputs,
    ReflectionEffectSettings,
    ReflectionsBakeParams,
    SharedInputs,
    SimulationInputs,
    SimulationOutputs,
    SimulationSettings,
    SourceSettings,
    Sphere,
    Vector3,
)

RATE = 48_000
BIN = 0.01  # seconds of an energy bin
DIFFUSE_SAMPLES = 1024
NEAREST = 0.05  # metres; surfaces nearer to the source than this are lost (samples: 1 m)
EVERYWHERE = 1e4  # metres around the source within which listeners count
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Trace:
    """How to trace.

    Args:
        rays: from each listener.
        bounces: of each ray.
        duration: seconds after the direct sound.
        order: of the ambisonics, 0 to 3.
        air: `[3]` energy attenuation of the bands, 1/m; true lengths.
        speed: of sound, m/s.
        threads: of the library.
    """

    rays: int
    bounces: int
    duration: float
    order: int
    air: NDArray[np.float64]
    speed: float
    threads: int

    @property
    def scale(self) -> float:
        """Of lengths, so that the library's sound needs the right time."""
        return SPEED / self.speed

    @property
    def channels(self) -> int:
        """Ambisonic channels."""
        return (self.order + 1) ** 2

    @property
    def samples(self) -> int:
        """Of a response, as the library counts them in single precision."""
        return int(np.ceil(np.float32(self.duration) * np.float32(RATE)))


def air_correction(air: NDArray, speed: float, bins: int) -> NDArray[np.float64]:
    """Energy factors `[3, bins]` that turn the library's own air into `air`.

    The reconstruction draws amplitudes as lines from the bin before, and then takes exp(-k 340 t)
    off the energy, t at the middle of the bin: with the end of the bin here, the lines pass through
    the right value in the middle.
    """
    t = (np.arange(bins) + 1) * BIN
    return np.asarray(np.exp((AIR * SPEED - air * speed)[:, None] * t))


def _view(pointer: object, shape: tuple[int, ...]) -> F32:
    return np.ctypeslib.as_array(pointer, shape)  # type: ignore[call-overload]


class Reconstructor:
    """Makes responses from energy fields `[channel, 3, bins]`.

    Args:
        session: that owns it.
        duration: seconds.
        order: of the ambisonics.
    """

    def __init__(self, session: Session, duration: float, order: int) -> None:
        self.session, self.phonon = session, session.phonon
        self.duration, self.order = duration, order
        context = self.phonon.context
        self.handle = session.create(
            "Reconstructor", context, ReconstructorSettings(duration, order, RATE)
        )
        self.field = session.create("EnergyField", context, EnergyFieldSettings(duration, order))
        self.response = session.create(
            "ImpulseResponse", context, ImpulseResponseSettings(duration, order, RATE)
        )

    @property
    def energy(self) -> F32:
        """The field's memory `[channel, 3, bins]`, to be written."""
        shape = (
            self.phonon.EnergyFieldGetNumChannels(self.field),
            BANDS,
            self.phonon.EnergyFieldGetNumBins(self.field),
        )
        return _view(self.phonon.EnergyFieldGetData(self.field), shape)

    def __call__(self) -> F32:
        """The response `[channel, time]` to the field as it is now."""
        self.phonon.ReconstructorReconstruct(
            self.handle,
            1,
            c.byref(ReconstructorInputs(self.field)),
            c.byref(ReconstructorSharedInputs(self.duration, self.order)),
            c.byref(ReconstructorOutputs(self.response)),
        )
        shape = (
            self.phonon.ImpulseResponseGetNumChannels(self.response),
            self.phonon.ImpulseResponseGetNumSamples(self.response),
        )
        return _view(self.phonon.ImpulseResponseGetData(self.response), shape).copy()


def road_b(
    phonon: Phonon,
    mesh: SteamMesh,
    source: NDArray[np.float64],
    heads: NDArray[np.float64],
    how: Trace,
) -> F32:
    """Reflections `[l, channel, time]` at `heads` `[l, 3]` of an omnidirectional source."""
    out = np.empty((len(heads), how.channels, how.samples), np.float32)
    with phonon.session() as session:
        scene = put(session, mesh)
        batch = session.create("ProbeBatch", phonon.context)
        for head in heads:
            phonon.ProbeBatchAddProbe(batch, Sphere(vector(head, how.scale), 1.0))
        phonon.ProbeBatchCommit(batch)
        layer = BakedDataIdentifier(
            DATA_REFLECTIONS, STATIC_SOURCE, Sphere(vector(source, how.scale), EVERYWHERE)
        )
        _bake(phonon, scene, batch, layer, how)
        make = Reconstructor(session, how.duration, how.order)
        for i in range(len(heads)):
            phonon.ProbeBatchGetEnergyField(batch, c.byref(layer), i, make.field)
            energy = make.energy
            energy *= air_correction(how.air, how.speed, energy.shape[2])
            out[i] = make()[:, : how.samples]
    return out


def _bake(
    phonon: Phonon,
    scene: c.c_void_p,
    batch: c.c_void_p,
    layer: BakedDataIdentifier,
    how: Trace,
) -> None:
    params = ReflectionsBakeParams(
        scene=scene,
        probeBatch=batch,
        sceneType=SCENE_DEFAULT,
        identifier=layer,
        bakeFlags=BAKE_CONVOLUTION,
        numRays=how.rays,
        numDiffuseSamples=DIFFUSE_SAMPLES,
        numBounces=how.bounces,
        simulatedDuration=how.duration,
        savedDuration=how.duration,
        order=how.order,
        numThreads=how.threads,
        rayBatchSize=1,
        irradianceMinDistance=NEAREST,
        bakeBatchSize=1,
    )
    # No callback: an interrupt that meets Python inside of one would be lost.
    phonon.ReflectionsBakerBake(phonon.context, c.byref(params), None, None)


@dataclass(frozen=True)
class Facing:
    """Where a source looks, and how much it is a dipole (see `piavas.scene.Directivity`).

    Args:
        axis: `[3]` unit vector, world.
        weight: 0 omnidirectional, 0.5 cardioid, 1 dipole.
    """

    axis: NDArray[np.float64]
    weight: float


OMNIDIRECTIONAL = Facing(np.array([1.0, 0.0, 0.0]), 0.0)


def _space(
    point: NDArray[np.float64], ahead: NDArray[np.float64], scale: float
) -> CoordinateSpace3:
    """A right-handed frame at `point` that looks along `ahead`."""
    helper = np.eye(3)[2] if abs(ahead[2]) < 0.9 else np.eye(3)[0]
    right = np.cross(ahead, helper)
    right /= np.linalg.norm(right)
    return CoordinateSpace3(
        vector(right), vector(np.cross(right, ahead)), vector(ahead), vector(point, scale)
    )


def road_a(
    phonon: Phonon,
    mesh: SteamMesh,
    source: NDArray[np.float64],
    heads: NDArray[np.float64],
    how: Trace,
    *,
    facing: Facing = OMNIDIRECTIONAL,
) -> F32:
    """Reflections `[l, channel, time]` at `heads` `[l, 3]` of a source that may be directional."""
    out = np.empty((len(heads), how.channels, how.samples), np.float32)
    with phonon.session() as session:
        scene = put(session, mesh)
        for i, head in enumerate(heads):
            out[i] = _one_frame(phonon, scene, source, head, how, facing)
    return out


def _one_frame(
    phonon: Phonon,
    scene: c.c_void_p,
    source: NDArray[np.float64],
    head: NDArray[np.float64],
    how: Trace,
    facing: Facing,
) -> F32:
    frame = 1 << int(np.ceil(np.log2(how.samples)))
    settings = SimulationSettings(
        flags=REFLECTIONS,
        sceneType=SCENE_DEFAULT,
        reflectionType=CONVOLUTION,
        maxNumOcclusionSamples=1,
        maxNumRays=how.rays,
        numDiffuseSamples=DIFFUSE_SAMPLES,
        maxDuration=how.duration,
        maxOrder=how.order,
        maxNumSources=1,
        numThreads=how.threads,
        rayBatchSize=1,
        numVisSamples=1,
        samplingRate=RATE,
        frameSize=frame,
    )
    with phonon.session() as session:
        simulator = session.create("Simulator", phonon.context, settings)
        phonon.SimulatorSetScene(simulator, scene)
        player = session.create("Source", simulator, SourceSettings(REFLECTIONS))
        phonon.SourceAdd(player, simulator)
        phonon.SimulatorCommit(simulator)
        # Its air by callback reads through a null pointer (4.8.0), so the way of the direct sound
        # is not in here.
        air = AirAbsorptionModel(
            type=AIR_EXPONENTIAL, coefficients=tuple(how.air * how.speed / SPEED)
        )
        inputs = SimulationInputs(
            flags=REFLECTIONS,
            source=_space(source, facing.axis, how.scale),
            airAbsorptionModel=air,
            directivity=Directivity(dipoleWeight=facing.weight, dipolePower=2.0),
            reverbScale=(1.0,) * BANDS,
        )
        phonon.SourceSetInputs(player, REFLECTIONS, c.byref(inputs))
        shared = SharedInputs(
            listener=CoordinateSpace3(
                Vector3(1, 0, 0), Vector3(0, 1, 0), Vector3(0, 0, -1), vector(head, how.scale)
            ),
            numRays=how.rays,
            numBounces=how.bounces,
            duration=how.duration,
            order=how.order,
            irradianceMinDistance=NEAREST,
        )
        phonon.SimulatorSetSharedInputs(simulator, REFLECTIONS, c.byref(shared))
        phonon.SimulatorRunReflections(simulator)
        outputs = SimulationOutputs()
        phonon.SourceGetOutputs(player, REFLECTIONS, c.byref(outputs))
        return _played(session, outputs, how, frame)


def _played(session: Session, outputs: SimulationOutputs, how: Trace, frame: int) -> F32:
    """The response `[channel, time]` to a unit impulse after a frame of silence."""
    settings = ReflectionEffectSettings(CONVOLUTION, how.samples, how.channels)
    effect = session.create(
        "ReflectionEffect", session.phonon.context, AudioSettings(RATE, frame), settings
    )
    params = outputs.reflections
    params.type, params.numChannels, params.irSize = CONVOLUTION, how.channels, how.samples
    into, out = np.zeros((1, frame), np.float32), np.zeros((how.channels, frame), np.float32)
    # A new response is faded in over one frame: the impulse waits for the second.
    for impulse in (0.0, 1.0):
        into[0, 0] = impulse
        heard, said = _buffer(into), _buffer(out)
        session.phonon.ReflectionEffectApply(
            effect, c.byref(params), c.byref(heard), c.byref(said), None
        )
    return out[:, : how.samples]


def _buffer(samples: F32) -> AudioBuffer:
    """`samples` `[channel, time]` as the library sees them; the caller keeps them alive."""
    pointer = c.POINTER(c.c_float)
    rows = (pointer * len(samples))(*(row.ctypes.data_as(pointer) for row in samples))
    return AudioBuffer(len(samples), samples.shape[1], rows)
