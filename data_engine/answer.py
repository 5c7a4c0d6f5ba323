"""What surrounds any model's answer: a block of thought before it, closing tokens after it."""

_END_TOKENS = ("<|im_end|>", "<|endoftext|>")


def after_think(text: str) -> str | None:
    """The answer proper, without a leading ``<think>..</think>`` and closing tokens; None if a block never closes."""
    answer = text.rpartition("</think>")[2]
    if answer.lstrip().startswith("<think>"):
        return None
    end = len(answer)
    while (shorter := _before_end_token(answer, end)) < end:
        end = shorter
    return answer[:end].strip(" \n\r")


def _before_end_token(text: str, end: int) -> int:
    """Where ``text[:end]`` ends once one closing blank or one closing token is taken off; ``end`` if there is none."""
    if end and text[end - 1] in " \n\r":
        return end - 1
    return next((end - len(token) for token in _END_TOKENS if text.endswith(token, 0, end)), end)
