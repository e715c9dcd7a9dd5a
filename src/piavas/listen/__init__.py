"""Responses and audio in the forms that other tools read."""

from piavas.listen.sofa import export_sofa, export_wavs, import_sofa

__all__ = ["export_sofa", "export_wavs", "import_sofa"]
