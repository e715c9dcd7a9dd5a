"""How large the experiments are: the data, the rays, and what everything that learns may spend."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from piavas.datasets.rwavs import RATE
from piavas.twin.benchmark import Videos
from piavas.twin.benchmark_raf import Responses

Size = Literal["tiny", "small", "main", "default"]
PARTS = ("calibration", "responses", "ablations")


@dataclass(frozen=True)
class Recipe:
    """What is done and how much of it.

    Args:
        name: of the size.
        videos: the set in the layout of RWAVS.
        responses: the set in the layout of RAF.
        rays: traced from each source by stage 1.
        draws: simulations that tell the level difference of the ears to expect.
        steps: of the refiner's training, for each environment and protocol.
        wave_steps: of the small wave core, for one environment.
        paper_steps: of the paper's configuration, which are only timed.
        baseline_steps: of each learned baseline's training, likewise; see `methods.SLOW`.
        ablated: the environment of the ablations.
        ablation_steps: of every refiner trained there.
        shares: of the training items in the few-shot variants.
        peer_rays: traced by the other backends.
        pieces: of the training recordings that calibration listens to.
        pictures: that the reconstruction from images gets; 0 leaves it out.
        seed: of everything that learns.
        protocols: that are run in full, of "rwavs-gen" and "rwavs".
        parts: what is done besides, of `PARTS`.
    """

    name: str
    videos: Videos = field(default_factory=Videos)
    responses: Responses = field(default_factory=Responses)
    rays: int = 6_000
    draws: int = 6
    steps: int = 1_500
    wave_steps: int = 100
    paper_steps: int = 2
    baseline_steps: int = 1_500
    ablated: str = "apartment"
    ablation_steps: int = 600
    shares: tuple[float, ...] = (0.3, 0.1, 0.01, 0.001)
    peer_rays: int = 1_000
    pieces: int = 24
    pictures: int = 60
    seed: int = 0
    protocols: tuple[str, ...] = ("rwavs-gen", "rwavs")
    parts: tuple[str, ...] = PARTS

    @property
    def rate(self) -> int:
        """Hertz of the clips."""
        return RATE

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


TINY = Recipe(
    "tiny",
    Videos(environments=1, videos=2, seconds=10, width=24, height=18, rays=100, waves=False),
    Responses(speakers=1, microphones=8, seconds=0.5, rays=200, waves=False),
    rays=100,
    draws=2,
    steps=3,
    wave_steps=1,
    paper_steps=0,
    baseline_steps=2,
    ablated="office",
    ablation_steps=2,
    shares=(0.5,),
    peer_rays=50,
    pieces=3,
    pictures=0,
)
SMALL = Recipe(
    "small",
    Videos(videos=3, seconds=40, width=160, height=120, rays=4_000),
    Responses(speakers=3, microphones=12, seconds=1.5, rays=4_000),
    rays=4_000,
    steps=400,
    wave_steps=30,
    baseline_steps=400,
    ablation_steps=150,
    shares=(0.3, 0.1, 0.01),
    peer_rays=300,
    pieces=12,
    pictures=72,
)
MAIN = Recipe("main", rays=4_000, steps=400, baseline_steps=400, protocols=("rwavs-gen",), parts=())
"""The whole set, with the budgets of the small one and no more than the main table."""
SIZES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (TINY, SMALL, MAIN, Recipe("default"))
}
