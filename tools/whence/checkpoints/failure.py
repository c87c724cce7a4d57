"""What an import says when it cannot go on."""


class ImportFailure(Exception):
    """What the user has to know, in one or more lines."""


def listed(values):
    return ", ".join(str(value) for value in list(values)[:8]) + (", ..." if len(values) > 8 else "")


def sentence(error):
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
