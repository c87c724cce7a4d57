"""The program as a documentation's command lines meet it in documentation_test.py: the same options, with the sizes of the
table below, so that a command of hours takes a moment. Called as `whence` (WHENCE_PROGRAM is the real one)."""
import os
import re
import sys

# The largest value of options that say how much: train's also stand where a command says nothing.
LARGEST = {"instances": 40, "held-out": 20, "test": 12, "epochs": 2, "batch": 10, "steps": 4, "warmup": 2, "targets": 4, "among": 4,
           "replicas": 4, "channels": 2, "latent": 4, "samples": 4, "critical": 2, "list": 5}
OF_CONVOLUTIONS = {"instances": 12, "batch": 4}  # 3 x 64 x 64 pixels take long
DENSITY_INSTANCES = 100  # six-clusters come in multiples of 20
ALWAYS = {"train": ("instances", "held-out", "epochs", "batch"), "counterfactual": ("targets", "replicas"),
          "cleanse": ("remove",), "tracin": ("queries",)}
DEFAULTS = {**LARGEST, "remove": "1,2", "queries": "test:4"}
OF_GAMES = {"mlp-vae": ("latent",), "conv-vae": ("latent",), "dcgan": ("channels", "latent"), "classifier": ("channels",)}
LAST_EPOCH = str(LARGEST["epochs"])


def cut_number(text, largest):
    return str(min(int(text), largest)) if text.isdigit() else text


def cut_numbers_in(text, largest):
    """Of "test:128" or "last:4" the number."""
    return re.sub(r"\d+$", lambda number: cut_number(number[0], largest), text)


def cut_list(text, largest):
    """1,5,10 with 2 as the largest is 1,2."""
    return ",".join(dict.fromkeys(cut_number(part, largest) for part in text.split(",")))


def cut_value(job, name, text, sizes):
    if job == "density" and name == "instances":
        return cut_number(text, DENSITY_INSTANCES)
    if name == "targets" and ":" in text:
        return cut_numbers_in(text, sizes[name])
    if name in sizes:
        return cut_number(text, sizes[name])
    if name == "epochs-back":
        return cut_list(text, LARGEST["epochs"])
    if name == "remove":
        return ",".join(str(1 + at) for at, _ in enumerate(text.split(",")))
    if name == "checkpoints":
        if job == "train":
            return cut_number(text, 2)
        if text.startswith("last") or text == "all":
            return cut_numbers_in(text, 1)
        return "all" if "," in text else "last"  # steps
    if name == "queries" and not text.startswith(("ids:", "file:")):
        return cut_numbers_in(text, 4)
    if name == "plant":
        return cut_numbers_in(text, 4)
    if name == "train-rows" and text.startswith("0:"):
        return "0:" + cut_number(text[2:], sizes["instances"])
    return text


def small(words):
    """A command line of the program, with its sizes cut."""
    if not words or words[0].startswith("-"):
        return words
    job, given = words[0], dict(zip(words[1:], words[2:]))
    game = given.get("--game", "fcgan")
    sizes = {**LARGEST, **(OF_CONVOLUTIONS if game == "conv-vae" else {})}
    out, name = [job], ""
    for word in words[1:]:
        out.append(cut_value(job, name, word, sizes) if name and not word.startswith("--") else word)
        name = word[2:] if word.startswith("--") else ""
    always = ALWAYS.get(job, ()) + (OF_GAMES.get(game, ()) if job == "train" else ())
    for option in always:
        if "--" + option not in given and not (option == "epochs" and "--steps" in given):
            out += ["--" + option, str({**DEFAULTS, **sizes}[option])]
    return out


if __name__ == "__main__":
    program = os.environ["WHENCE_PROGRAM"]
    os.execv(program, [program] + small(sys.argv[1:]))
