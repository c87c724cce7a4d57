from ..starter import start

start("import_checkpoints")
