"""Multi-turn RL: GE-Lab as a gym environment of ms-swift (``gelab``) and the schedulers that play it.

``PictureScheduler`` has the hooks that any environment with a picture a turn needs (the forms: gui_login.py).

    --multi_turn_scheduler gelab_click            click-only: the episode ends on arrival, `complete` is no action
    --multi_turn_scheduler gelab_click_complete   arrival must also be declared by `complete`, and only there

One trajectory is one training sample: every turn adds one user message with its screenshot, every answer is trained.
All hooks are called in colocate and in server mode. What the trainer sees of the environment is ``rollout_infos``:

    step_rewards, total_reward     1.0 on the turn that reaches (or declares) the goal, else 0.0
    env_state_hash                 page id of each turn, as it was asked
    distances                      clicks left to the goal, before the first turn and after each
    misses, parse_failures         turns whose click hit nothing, turns whose answer could not be read
    images                         the screenshots of the trajectory, one for each turn
"""

from pathlib import Path

from swift.rollout.gym_env import Env, envs
from swift.rollout.multi_turn import GYMScheduler, multi_turns

from data_engine.answer import cleaned, disarmed
from data_engine.dataset import DataError
from data_engine.gelab.env import MAX_STEPS, episode_of
from data_engine.gelab.prompts import IMAGE


class GelabEnv(Env):
    """One episode behind ms-swift's interface. It holds nothing to close: worlds are shared, schedulers forget it."""

    def __init__(self, env_config: dict, max_turns: int = MAX_STEPS, click_only: bool = True):
        super().__init__(env_config)
        if not env_config:
            raise DataError("no env_config: use --dataset gelab/mt_rl, in server mode --vllm_server_pass_dataset true")
        # declaring the goal takes a turn of its own
        self.episode = episode_of(env_config, max_turns - (not click_only), click_only)

    @property
    def key(self) -> str:
        return self.episode.key

    @property
    def picture(self) -> str:
        return str(self.episode.request().image)

    async def reset(self, config):
        """ms-swift shows the row's picture on turn 1, whatever stands in the request: so it must be the right one."""
        if [Path(image).name for image in config.images or []] != [Path(self.picture).name]:
            raise DataError(f"{self.key}: the row's pictures are not the start page's: write the rows again")
        request = self.episode.request()
        return request.prompt, {}, request.system

    async def step(self, action):
        self.episode.answer(cleaned(action[-1]["content"]))
        return self.episode.request().prompt, float(self.episode.state.won), self.episode.done, {}

    async def close(self): ...

    def record(self) -> dict:
        record = self.episode.record()
        return {"env_state_hash": record.pop("pages"), **record}


class PictureScheduler(GYMScheduler):
    """Each turn adds a question and its picture. An environment has ``key``, ``picture`` and ``record()`` besides."""

    async def on_trajectory_start(self, requests):
        """In colocate mode batches never overlap: an environment that is left belongs to a batch that failed."""
        for uuid in [] if self.infer_engine else list(self._envs):
            await self._close_and_remove(uuid)
        await super().on_trajectory_start(requests)

    async def on_turn_end(self, infer_request, response_choice, current_turn):
        env = self._envs[infer_request.uuid]
        check_pictures(env, infer_request)
        result = await super().on_turn_end(infer_request, response_choice, current_turn)
        disarm_answers(infer_request)
        images = list(infer_request.images)  # a copy: ms-swift turns its list into base64
        result["rollout_infos"] |= {**env.record(), "images": images}
        if self.check_finished(infer_request, response_choice, current_turn):  # cut off, or the last turn
            result["done"] = True
            await self._close_and_remove(infer_request.uuid)
        return result

    def step(self, infer_request, response_choice, current_turn):
        infer_request.images.append(self._envs[infer_request.uuid].picture)
        return super().step(infer_request, response_choice, current_turn)

    async def run(self, infer_request, request_config, **kwargs):
        """Server mode: one call a trajectory. A failed or cancelled one leaves no environment behind."""
        try:
            return await super().run(infer_request, request_config, **kwargs)
        finally:
            await self._close_and_remove(infer_request.uuid)


def check_pictures(env, request) -> None:
    """Each question has its own picture; else ms-swift would train on shifted ones."""
    tags = sum(message["content"].count(IMAGE) for message in request.messages if message["role"] == "user")
    if tags != len(request.images):
        raise RuntimeError(f"{env.key}: {tags} {IMAGE} tags for {len(request.images)} pictures in the request")


def disarm_answers(request) -> None:
    """No answer that is kept as text may hold a placeholder: ms-swift would put a screenshot there.

    Answers that are kept as token ids come back as they were sampled: there a placeholder is plain letters.
    """
    for message in request.messages:
        if message["role"] == "assistant" and isinstance(message["content"], str):
            message["content"] = disarmed(cleaned(message["content"]))


class GelabClick(PictureScheduler):
    click_only = True

    def _create_env(self, env_config):
        return GelabEnv(env_config, self.max_turns or MAX_STEPS, self.click_only)


class GelabClickComplete(GelabClick):
    click_only = False


envs["gelab"] = GelabEnv
multi_turns["gelab_click"] = GelabClick
multi_turns["gelab_click_complete"] = GelabClickComplete
