"""Why a model cannot be exported."""


class CannotExport(Exception):
    """One sentence that names module or function and reason."""


def first_line(error):
    """What an exception says, as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "Error:" in line]
    return (told or lines or [type(error).__name__])[-1 if told else 0].rstrip(".")
