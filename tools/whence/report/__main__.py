from ..starter import start

start("report")
