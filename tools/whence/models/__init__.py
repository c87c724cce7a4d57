"""PyTorch models as games: `--game script:MODEL.pt`. tools/README.md describes the contract."""
from .exporting import export
from .failure import CannotExport
from .game import Game, Terms, uniform

__all__ = ["CannotExport", "Game", "Terms", "export", "uniform"]
