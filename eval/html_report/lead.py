"""What a stranger should know first: a few sentences made of the numbers."""

from data_engine.benchmarks import PROTOCOLS
from data_engine.failures import KINDS

from .score import AGENTS, ORDER, REFERENCES


def sentences(data: dict) -> list[str]:
    """How far the last agent gets, by what it fails and when, and how far one gets without looking."""
    main = protagonist(data["diagnoses"])
    if main is None:
        return []
    failed, texts = sum(main["failures"].values()), [f"{_reach(main)}."]
    if failed:
        (kind, often), *others = main["failures"].items()
        then = f", then by {others[0][0]} ({others[0][1]})" if others else ""
        texts.append(f"Most often it fails by {kind}: {KINDS[kind].partition(';')[0]} ({often} of {failed}){then}.")
    if failed and main["unit"] == "walks" and main["first_kinds"]:
        kind, many = next(iter(main["first_kinds"].items()))
        step, often = max(main["first_steps"].items(), key=lambda item: (item[1], -int(item[0])))
        texts.append(f"What goes wrong first is most often {kind} ({many}), and most often at step {step} ({often}).")
    blind = next((d for d in data["diagnoses"] if _same(d, main) and d["agent"] == "blind"), None)
    if blind and main["agent"] not in REFERENCES:
        texts.append(f"For comparison: {_reach(blind)}, and never looks at the screen.")
    return texts


def protagonist(diagnoses: list[dict]) -> dict | None:
    """The score to look at first: of the last stage (else the last agent), the held-out walks if there are some."""
    agents = [d["agent"] for d in diagnoses]
    trained = [name for name in agents if name not in REFERENCES]
    stages = [name for name in trained if name in AGENTS]
    last = (stages or trained or agents)[-1:]
    own = [d for d in diagnoses if d["agent"] in last]
    return min(own, key=lambda d: (ORDER.index(d["kind"]), d["set"] != "held out", d["set"]), default=None)


def first(data: dict) -> dict:
    """Agent and set that the page opens with."""
    main = protagonist(data["diagnoses"])
    return {"agent": main["agent"], "set": main["set"]} if main else {}


def _same(one: dict, other: dict) -> bool:
    return (one["set"], one["kind"]) == (other["set"], other["kind"])


def _reach(d: dict) -> str:
    good = d["count"] - sum(d["failures"].values())
    names = {"agent": d["agent"], "good": good, "count": d["count"], "set": d["set"].replace("held ", "held-")}
    return f"{PROTOCOLS[d['kind']].sentence.format(**names)} ({percent(good / d['count'])})"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"
