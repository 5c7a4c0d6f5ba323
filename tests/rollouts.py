"""Trajectories of RL through ms-swift's own loops, with scripted answers in the place of a model."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

# a tokenizer with one token a character, because ms-swift keeps earlier answers as token ids
CHARACTERS = SimpleNamespace(decode=lambda ids, **_: "".join(map(chr, ids)))


def scheduler_of(name: str, max_turns: int | None):
    from swift.rollout.multi_turn import multi_turns

    import swift_plugins.register  # noqa: F401  (importing it registers)

    return multi_turns[name](max_turns=max_turns, tokenizer=CHARACTERS)


def request_of(row: dict, uuid: str = "0"):
    from swift.infer_engine.protocol import RolloutInferRequest

    data = {"env_config": row["env_config"] and dict(row["env_config"])}
    images = [image["path"] if isinstance(image, dict) else image for image in row["images"]]
    return RolloutInferRequest(messages=[dict(m) for m in row["messages"]], images=images, data_dict=data, uuid=uuid)


def response_of(text: str, finish_reason: str = "stop", ids: bool = True):
    """A reply; without ``ids`` ms-swift keeps the text of the answer, not its tokens."""
    from swift.infer_engine.protocol import ChatCompletionResponse, ChatCompletionResponseChoice, ChatMessage, UsageInfo

    tokens = [*map(ord, text)] if ids else None
    choice = ChatCompletionResponseChoice(0, ChatMessage("assistant", text), finish_reason, token_ids=tokens)
    return ChatCompletionResponse("scripted", [choice], UsageInfo(0, 0, 0))


def play(scheduler, rows: list[dict], answer: Callable, finish_reason: str = "stop", ids: bool = True) -> list:
    """Trajectories of ms-swift's colocate loop; ``answer(request, episode)`` is the policy, shown the state."""
    from swift.infer_engine.protocol import RolloutOutput
    from swift.rollout.agent_loop import invoke_async_hook, run_multi_turn

    def rollout(requests, _):
        episodes = [scheduler._envs[request.uuid].episode for request in requests]
        said = [answer(request, episode) for request, episode in zip(requests, episodes, strict=True)]
        return [RolloutOutput(response=response_of(text, finish_reason, ids)) for text in said]

    requests = [request_of(row, str(i)) for i, row in enumerate(rows)]
    invoke_async_hook(scheduler.on_trajectory_start(requests))
    return run_multi_turn(requests, rollout(requests, None), scheduler, rollout, None, scheduler.max_turns)


def serve(scheduler, row: dict, answer: Callable):
    """One trajectory of ms-swift's server loop."""

    async def infer_async(request, config, **kwargs):
        return response_of(answer(request, scheduler._envs[request.uuid].episode))

    scheduler.infer_engine = SimpleNamespace(infer_async=infer_async, tokenizer=CHARACTERS, template=None)
    return asyncio.run(scheduler.run(request_of(row), None))
