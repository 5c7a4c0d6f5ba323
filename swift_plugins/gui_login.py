"""The forms in RL: a gym environment of ms-swift (``login``), the schedulers that play it, and rewards.

    --multi_turn_scheduler login_form        the episode ends when the form is accepted
    --multi_turn_scheduler login_form_done   DONE() must follow, as in the rows of SFT

    login_success       multi-turn: 1 if the form is accepted (login_form_done: and DONE() said), 0 otherwise
    login_progress      multi-turn, for ablations: share of fields with the right text, acceptance counted as one more
    login_parse_rate    multi-turn, weight 0: share of a trajectory's answers that could be read, for the log
    login_step          single turn on login/rows: 1 if the answer is right (strict), 0 otherwise

Multi-turn rewards read the form's own state in ``rollout_infos``, where ``outcomes`` tells what came of each turn.
Rows: --dataset login/tasks (multi-turn), login/rows (single turn). Rewards are 0 to 1; whatever a model writes has one.
Rows of another kind, or a trajectory without the scheduler's record, raise DataError.
"""

import base64
from pathlib import Path

from swift.rewards import ORM, orms
from swift.rollout.gym_env import Env, envs
from swift.rollout.multi_turn import multi_turns

from data_engine.answer import cleaned
from data_engine.dataset import DataError
from data_engine.login.env import episode_of
from data_engine.login.scoring import reward

from .gui_multiturn import PictureScheduler
from .gui_rewards import records

OURS = ("right_fields", "login_form")  # what a record of a form has, and who makes it


class FormEnv(Env):
    """One form behind ms-swift's interface; pictures are drawn in memory and nothing is left to close.

    ``env_config``: that of a row of login/tasks; ``declare``: DONE() must follow the acceptance, in a turn of its own.
    """

    def __init__(self, env_config: dict, max_turns: int | None = None, declare: bool = False):
        super().__init__(env_config)
        if not env_config:
            raise DataError("no env_config: use --dataset login/tasks, in server mode --vllm_server_pass_dataset true")
        # declaring takes a turn of its own
        self.episode, self.declare = episode_of(env_config, max_turns and max_turns - declare), declare
        self.screen = self.episode.task.screen()

    @property
    def key(self) -> str:
        return self.episode.task.key

    @property
    def file(self) -> bytes:
        return self.screen.png(self.episode.state.view)

    @property
    def picture(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.file).decode()

    @property
    def won(self) -> bool:
        state = self.episode.state
        return state.declared if self.declare else state.accepted

    async def reset(self, config):
        """ms-swift shows the row's picture on turn 1, whatever stands in the request: so it must be the right one."""
        if [Path(image).read_bytes() for image in config.images or []] != [self.file]:
            raise DataError(f"{self.key}: the row's pictures are not the empty form's: write the rows again")
        request = self.episode.request()
        return request.prompt, {}, request.system

    async def step(self, action):
        """``action``: the messages so far, the last one the answer. Returns (next question, 1.0 if won, done, {})."""
        self.episode.answer(cleaned(action[-1]["content"]))
        done = self.won or self.episode.done
        return self.episode.request().prompt, float(self.won), done, {}

    def record(self) -> dict:
        return self.episode.record()

    async def close(self): ...


class LoginForm(PictureScheduler):
    """``login_form``"""

    declare = False

    def _create_env(self, env_config):
        return FormEnv(env_config, self.max_turns, self.declare)


class LoginFormDone(LoginForm):
    """``login_form_done``"""

    declare = True


class LoginSuccess(ORM):
    def __call__(self, completions: list[str], **columns) -> list[float]:
        return [float(record["total_reward"]) for record in records(columns, *OURS)]


class LoginProgress(ORM):
    def __call__(self, completions: list[str], **columns) -> list[float]:
        return [(r["right_fields"] + r["accepted"]) / (r["fields"] + 1) for r in records(columns, *OURS)]


class LoginParseRate(ORM):
    def __call__(self, completions: list[str], **columns) -> list[float]:
        return [1 - record["parse_failures"] / len(record["outcomes"]) for record in records(columns, *OURS)]


class LoginStep(ORM):
    def __call__(self, completions: list[str], **columns) -> list[float]:
        if not {"truth", "mode"} <= set(columns):
            raise DataError("the rows have no columns 'truth' and 'mode': login_step needs --dataset login/rows")
        names = [name for name in ("episode", "step", "truth", "mode") if name in columns]
        rows = ({name: columns[name][i] for name in names} for i in range(len(completions)))
        return [reward(cleaned(text), row) for text, row in zip(completions, rows, strict=True)]


envs["login"] = FormEnv
multi_turns["login_form"] = LoginForm
multi_turns["login_form_done"] = LoginFormDone
orms["login_success"] = LoginSuccess
orms["login_progress"] = LoginProgress
orms["login_parse_rate"] = LoginParseRate
orms["login_step"] = LoginStep
