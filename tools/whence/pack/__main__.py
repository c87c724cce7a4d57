"""python3 -m whence.pack FOLDER -o FILE"""
from ..starter import start

start("pack")
