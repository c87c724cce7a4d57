from ..starter import start

start("reproduce")
