"""Structs of Steam Audio's C interface (4.8), as far as the binding uses it.

Written from the public header `phonon.h`. Enums and `IPLbool` are 32 bits wide, handles are
pointers, `XRelease` takes the address of a handle.
"""

from __future__ import annotations

import ctypes as c
from typing import Any

BANDS = 3
MAJOR, MINOR = 4, 8
VERSION = MAJOR << 16 | MINOR << 8
"""What is asked for: libraries of the same major and a minor at least as high accept it."""

LogCallback: Any
# 64-bit Windows has one calling convention; 32-bit Windows calls back by stdcall.
_callback = getattr(c, "WINFUNCTYPE", c.CFUNCTYPE)
LogCallback = _callback(None, c.c_int32, c.c_char_p)

SIMD_AVX2 = 3
SCENE_DEFAULT = 0
REFLECTIONS = 1 << 1
CONVOLUTION = 0
DATA_REFLECTIONS, STATIC_SOURCE = 0, 1
BAKE_CONVOLUTION = 1 << 0
AIR_EXPONENTIAL = 1


class Vector3(c.Structure):
    """Metres."""

    _fields_ = (("x", c.c_float), ("y", c.c_float), ("z", c.c_float))


class Sphere(c.Structure):
    """Centre and radius, metres."""

    _fields_ = (("center", Vector3), ("radius", c.c_float))


class CoordinateSpace3(c.Structure):
    """A place and the way it faces."""

    _fields_ = (("right", Vector3), ("up", Vector3), ("ahead", Vector3), ("origin", Vector3))


class ContextSettings(c.Structure):
    """Of the one context of a process."""

    _fields_ = (
        ("version", c.c_uint32),
        ("logCallback", LogCallback),
        ("allocateCallback", c.c_void_p),
        ("freeCallback", c.c_void_p),
        ("simdLevel", c.c_int32),
        ("flags", c.c_int32),
    )


class Material(c.Structure):
    """Energy fractions in three bands."""

    _fields_ = (
        ("absorption", c.c_float * BANDS),
        ("scattering", c.c_float),
        ("transmission", c.c_float * BANDS),
    )


class SceneSettings(c.Structure):
    """Callbacks are of custom ray tracers only."""

    _fields_ = (
        ("type", c.c_int32),
        ("closestHitCallback", c.c_void_p),
        ("anyHitCallback", c.c_void_p),
        ("batchedClosestHitCallback", c.c_void_p),
        ("batchedAnyHitCallback", c.c_void_p),
        ("userData", c.c_void_p),
        ("embreeDevice", c.c_void_p),
        ("radeonRaysDevice", c.c_void_p),
    )


class StaticMeshSettings(c.Structure):
    """Arrays are copied by the library."""

    _fields_ = (
        ("numVertices", c.c_int32),
        ("numTriangles", c.c_int32),
        ("numMaterials", c.c_int32),
        ("vertices", c.c_void_p),
        ("triangles", c.c_void_p),
        ("materialIndices", c.c_void_p),
        ("materials", c.c_void_p),
    )


class AudioSettings(c.Structure):
    """Rate and block."""

    _fields_ = (("samplingRate", c.c_int32), ("frameSize", c.c_int32))


class AudioBuffer(c.Structure):
    """Deinterleaved channels."""

    _fields_ = (
        ("numChannels", c.c_int32),
        ("numSamples", c.c_int32),
        ("data", c.POINTER(c.POINTER(c.c_float))),
    )


class DirectEffectParams(c.Structure):
    """Of the direct sound; unused here but for its size."""

    _fields_ = (
        ("flags", c.c_int32),
        ("transmissionType", c.c_int32),
        ("distanceAttenuation", c.c_float),
        ("airAbsorption", c.c_float * BANDS),
        ("directivity", c.c_float),
        ("occlusion", c.c_float),
        ("transmission", c.c_float * BANDS),
    )


class ReflectionEffectSettings(c.Structure):
    """Of a convolution."""

    _fields_ = (("type", c.c_int32), ("irSize", c.c_int32), ("numChannels", c.c_int32))


class ReflectionEffectParams(c.Structure):
    """What a convolution is fed."""

    _fields_ = (
        ("type", c.c_int32),
        ("ir", c.c_void_p),
        ("reverbTimes", c.c_float * BANDS),
        ("eq", c.c_float * BANDS),
        ("delay", c.c_int32),
        ("numChannels", c.c_int32),
        ("irSize", c.c_int32),
        ("tanDevice", c.c_void_p),
        ("tanSlot", c.c_int32),
    )


class PathEffectParams(c.Structure):
    """Of baked paths; unused here but for its size."""

    _fields_ = (
        ("eqCoeffs", c.c_float * BANDS),
        ("shCoeffs", c.c_void_p),
        ("order", c.c_int32),
        ("binaural", c.c_int32),
        ("hrtf", c.c_void_p),
        ("listener", CoordinateSpace3),
        ("normalizeEQ", c.c_int32),
    )


class EnergyFieldSettings(c.Structure):
    """Of an energy field: 10 ms bins."""

    _fields_ = (("duration", c.c_float), ("order", c.c_int32))


class ImpulseResponseSettings(c.Structure):
    """Of an impulse response."""

    _fields_ = (("duration", c.c_float), ("order", c.c_int32), ("samplingRate", c.c_int32))


class ReconstructorSettings(c.Structure):
    """Of what makes impulse responses from energy fields."""

    _fields_ = (("maxDuration", c.c_float), ("maxOrder", c.c_int32), ("samplingRate", c.c_int32))


class ReconstructorInputs(c.Structure):
    """One for each response."""

    _fields_ = (("energyField", c.c_void_p),)


class ReconstructorSharedInputs(c.Structure):
    """For all responses."""

    _fields_ = (("duration", c.c_float), ("order", c.c_int32))


class ReconstructorOutputs(c.Structure):
    """One for each response."""

    _fields_ = (("impulseResponse", c.c_void_p),)


class BakedDataIdentifier(c.Structure):
    """Names a layer of baked data."""

    _fields_ = (
        ("type", c.c_int32),
        ("variation", c.c_int32),
        ("endpointInfluence", Sphere),
    )


class ReflectionsBakeParams(c.Structure):
    """Of a bake."""

    _fields_ = (
        ("scene", c.c_void_p),
        ("probeBatch", c.c_void_p),
        ("sceneType", c.c_int32),
        ("identifier", BakedDataIdentifier),
        ("bakeFlags", c.c_int32),
        ("numRays", c.c_int32),
        ("numDiffuseSamples", c.c_int32),
        ("numBounces", c.c_int32),
        ("simulatedDuration", c.c_float),
        ("savedDuration", c.c_float),
        ("order", c.c_int32),
        ("numThreads", c.c_int32),
        ("rayBatchSize", c.c_int32),
        ("irradianceMinDistance", c.c_float),
        ("bakeBatchSize", c.c_int32),
        ("openCLDevice", c.c_void_p),
        ("radeonRaysDevice", c.c_void_p),
    )


class SimulationSettings(c.Structure):
    """Of a simulator."""

    _fields_ = (
        ("flags", c.c_int32),
        ("sceneType", c.c_int32),
        ("reflectionType", c.c_int32),
        ("maxNumOcclusionSamples", c.c_int32),
        ("maxNumRays", c.c_int32),
        ("numDiffuseSamples", c.c_int32),
        ("maxDuration", c.c_float),
        ("maxOrder", c.c_int32),
        ("maxNumSources", c.c_int32),
        ("numThreads", c.c_int32),
        ("rayBatchSize", c.c_int32),
        ("numVisSamples", c.c_int32),
        ("samplingRate", c.c_int32),
        ("frameSize", c.c_int32),
        ("openCLDevice", c.c_void_p),
        ("radeonRaysDevice", c.c_void_p),
        ("tanDevice", c.c_void_p),
    )


class SourceSettings(c.Structure):
    """Of a source."""

    _fields_ = (("flags", c.c_int32),)


class DistanceAttenuationModel(c.Structure):
    """Of the direct sound."""

    _fields_ = (
        ("type", c.c_int32),
        ("minDistance", c.c_float),
        ("callback", c.c_void_p),
        ("userData", c.c_void_p),
        ("dirty", c.c_int32),
    )


class AirAbsorptionModel(c.Structure):
    """Amplitude factor exp(-coefficient * distance)."""

    _fields_ = (
        ("type", c.c_int32),
        ("coefficients", c.c_float * BANDS),
        ("callback", c.c_void_p),
        ("userData", c.c_void_p),
        ("dirty", c.c_int32),
    )


class Directivity(c.Structure):
    """|1 - weight + weight cos|^power."""

    _fields_ = (
        ("dipoleWeight", c.c_float),
        ("dipolePower", c.c_float),
        ("callback", c.c_void_p),
        ("userData", c.c_void_p),
    )


class SimulationInputs(c.Structure):
    """Of one source."""

    _fields_ = (
        ("flags", c.c_int32),
        ("directFlags", c.c_int32),
        ("source", CoordinateSpace3),
        ("distanceAttenuationModel", DistanceAttenuationModel),
        ("airAbsorptionModel", AirAbsorptionModel),
        ("directivity", Directivity),
        ("occlusionType", c.c_int32),
        ("occlusionRadius", c.c_float),
        ("numOcclusionSamples", c.c_int32),
        ("reverbScale", c.c_float * BANDS),
        ("hybridReverbTransitionTime", c.c_float),
        ("hybridReverbOverlapPercent", c.c_float),
        ("baked", c.c_int32),
        ("bakedDataIdentifier", BakedDataIdentifier),
        ("pathingProbes", c.c_void_p),
        ("visRadius", c.c_float),
        ("visThreshold", c.c_float),
        ("visRange", c.c_float),
        ("pathingOrder", c.c_int32),
        ("enableValidation", c.c_int32),
        ("findAlternatePaths", c.c_int32),
        ("numTransmissionRays", c.c_int32),
        ("deviationModel", c.c_void_p),
    )


class SharedInputs(c.Structure):
    """Of all sources."""

    _fields_ = (
        ("listener", CoordinateSpace3),
        ("numRays", c.c_int32),
        ("numBounces", c.c_int32),
        ("duration", c.c_float),
        ("order", c.c_int32),
        ("irradianceMinDistance", c.c_float),
        ("pathingVisCallback", c.c_void_p),
        ("pathingUserData", c.c_void_p),
    )


class SimulationOutputs(c.Structure):
    """Of one source."""

    _fields_ = (
        ("direct", DirectEffectParams),
        ("reflections", ReflectionEffectParams),
        ("pathing", PathEffectParams),
    )


SIZES: dict[type[c.Structure], int] = {
    ContextSettings: 40,
    CoordinateSpace3: 48,
    Material: 28,
    SceneSettings: 64,
    StaticMeshSettings: 48,
    AudioBuffer: 16,
    DirectEffectParams: 44,
    ReflectionEffectParams: 72,
    PathEffectParams: 96,
    SimulationSettings: 80,
    SimulationInputs: 264,
    SharedInputs: 88,
    SimulationOutputs: 216,
    ReflectionsBakeParams: 104,
}
"""Bytes on 64-bit machines, as compilers lay the header out."""
