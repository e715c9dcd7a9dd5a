"""Metrics by family and name, tables with confidence intervals, room parameters, the report."""

from piavas.evaluate.bootstrap import Interval, bootstrap
from piavas.evaluate.families import FAMILIES, Family, Metric, get_family
from piavas.evaluate.interaural import iacc, ild
from piavas.evaluate.measure import compare, difference, evaluate
from piavas.evaluate.report import (
    Example,
    Picture,
    ReportData,
    RoomComparison,
    RoomMap,
    write_report,
)
from piavas.evaluate.rooms import (
    JND,
    T60_VARIANTS,
    RoomMetrics,
    direct_to_reverberant,
    room_metrics,
    t60,
)
from piavas.evaluate.table import Comparison, Table

__all__ = [
    "FAMILIES",
    "JND",
    "T60_VARIANTS",
    "Comparison",
    "Example",
    "Family",
    "Interval",
    "Metric",
    "Picture",
    "ReportData",
    "RoomComparison",
    "RoomMap",
    "RoomMetrics",
    "Table",
    "bootstrap",
    "compare",
    "difference",
    "direct_to_reverberant",
    "evaluate",
    "get_family",
    "iacc",
    "ild",
    "room_metrics",
    "t60",
    "write_report",
]
