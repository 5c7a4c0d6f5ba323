"""tools/bench_rl.py prints what it measured of a run."""

import json
import re
import shutil


def test_it_times_rewards_beside_a_step_and_a_turn(cli, small_data, tmp_path):
    shutil.copytree(small_data, tmp_path / "data")
    (tmp_path / "st_rl").mkdir()
    log = [{"loss": 0.0, "step_time": 2.0}, {"step_time": 4.0}, {"step_time": 3.0}, {"best_metric": None}]
    (tmp_path / "st_rl" / "logging.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    done = cli("tools/bench_rl.py", tmp_path, "--repeat", 2)
    assert done.returncode == 0, done.stderr
    rewards, turn = done.stdout.splitlines()[-2:]
    spent, share = re.fullmatch(
        r"rewards of 32 answers, CPU ms +([\d.]+)   ([\d.]+)% of a step of 3,000 ms, .*", rewards
    ).groups()
    assert float(spent) > 0 and abs(float(share) - float(spent) / 30) < 0.01
    assert float(re.fullmatch(r"turn of the environment, CPU ms +([\d.]+)   goal <= 1", turn)[1]) > 0


def test_without_a_run_it_says_so(cli, tmp_path):
    done = cli("tools/bench_rl.py", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("bench_rl: ") and done.stderr.count("\n") == 1
