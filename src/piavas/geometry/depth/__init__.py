"""Where depth comes from: a sensor, stereo between the images, or a network."""

from piavas.geometry.depth.source import DepthMap, DepthSource, make_depth_source

__all__ = ["DepthMap", "DepthSource", "make_depth_source"]
