"""Numbers of the papers, read off their figures, and the names they use."""

NAMES = {"all": "ALL", "is": "IS", "log-is": "log IS", "fid": "FID", "disc-loss": "disc. loss",
         "gen-loss": "gen. loss"}
UNITS = {"all": "nats", "log-is": "nats", "disc-loss": "nats", "gen-loss": "nats"}

# Terashita et al. (ICLR 2021), Figure 1: epochs back -> (Kendall's tau, Jaccard), mean of 10 seeds; that of IS for log IS.
PAPER = {
    "normal2d": {"all": {1: (0.87, 0.57), 5: (0.83, 0.46), 10: (0.85, 0.53), 20: (0.84, 0.43), 50: (0.67, 0.30)}},
    "mnist": {"fid": {1: (0.95, 0.82), 5: (0.87, 0.70)}, "log-is": {1: (0.91, 0.78), 5: (0.80, 0.63)}},
}
GAMES = {"normal2d": "fcgan", "mnist": "dcgan"}


def curve_of(settings, metric):
    """The paper's curve for a run's data and game; {} where it has none."""
    data = settings.get("data", "").split(":")[0]
    return PAPER.get(data, {}).get(metric, {}) if settings.get("game") == GAMES.get(data) else {}


def unit_of(metric):
    """" (nats)" for an axis; "" of what has no unit."""
    return f" ({UNITS[metric]})" if metric in UNITS else ""
