"""eval/plot_metrics.py: families by whole words, null is no zero, and a picture of the right size."""

import json

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def plot(eval_module):
    return eval_module("plot_metrics")


@pytest.fixture
def files(tmp_path):
    """Metrics of three models: wrapped as published, bare, and with a null."""
    full = {"action_type_accuracy": 0.5, "mean_coord_error": 0.1, "episode_success_rate": 0.0}
    contents = [{"metrics": full}, full, full | {"mean_coord_error": None}]
    paths = [tmp_path / f"{i}.json" for i in range(3)]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content))
    return paths


LABELS = [
    ("Qwen3-VL-2B base", "2b", False),
    ("Qwen3-VL-2B FT", "2b", True),
    ("qwen 8b fine-tuned", "8b", True),
    ("Qwen2.5-VL-32B", "other", False),  # 32b is not 2b
    ("InternVL 72b finetuned", "other", True),
    ("Claude Sonnet 4.5", "claude", False),
    ("GPT-5.1", "gpt", False),
    ("left drift", "other", False),  # "ft" inside a word is none
]


@pytest.mark.parametrize("label, family, tuned", LABELS)
def test_families_are_whole_words(plot, label, family, tuned):
    assert (plot.family_of(label), plot.is_tuned(label)) == (family, tuned)


def test_null_is_written_and_not_drawn(plot):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    looks = [{"color": "red", "hatch": None}, {"color": "blue", "hatch": "///"}, {"color": "red", "hatch": None}]
    plot.panel(axes, "error", [0.25, None, 0.0], ["a", "b", "c"], looks)
    assert [text.get_text() for text in axes.texts] == ["0.25", "n/a", "0"]
    assert [(bar.get_height(), round(bar.get_x() + 0.375)) for bar in axes.patches] == [(0.25, 0), (0.0, 2)]
    assert axes.get_ylim()[0] == 0 and axes.get_title() == "error"
    pyplot.close(figure)


def test_a_figure_has_a_panel_per_metric_and_a_legend_of_what_is_there(plot):
    metrics = [{"action_type_accuracy": 0.5, "element_accuracy": 1.0}, {"action_type_accuracy": None}]
    names = plot.panels(metrics, None)
    assert names == ["action_type_accuracy", "element_accuracy"]
    figure = plot.draw(metrics, ["a", "b"], ["2b", "gpt"], [True, False], names, "t")
    assert [axes.get_title() for axes in figure.axes] == ["Action type accuracy", "Element accuracy"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["2B", "GPT", "as it comes", "fine-tuned"]
    assert [bar.get_hatch() for bar in figure.axes[0].patches] == ["///"]


def test_the_picture(cli, files, tmp_path):
    out = tmp_path / "plots" / "all.png"
    done = cli("eval/plot_metrics.py", "--files", *files, "--labels", "2B", "2B FT", "other", "--output", out)
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    with Image.open(out) as picture:
        assert picture.width > 1000 and round(picture.info["dpi"][0]) == 150


def test_families_and_tuning_may_be_told(cli, files, tmp_path):
    told = ["--families", "8b", "8b", "gpt", "--tuned", "yes", "no", "yes", "--metrics", "mean_coord_error"]
    done = cli("eval/plot_metrics.py", "--files", *files, "--labels", *"abc", "--output", tmp_path / "x.png", *told)
    assert done.returncode == 0, done.stderr


def test_wrong_use_is_one_line(cli, files, tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    wrong = [
        ([*files, "--labels", "a"], "--labels: 1 for 3 files"),
        ([files[0], "--labels", "a", "--tuned", "yes", "no"], "--tuned: 2 for 1 files"),
        (
            [files[0], "--labels", "a", "--metrics", "nonsense"],
            "--metrics nonsense: in none of the files; they have act",
        ),
        ([tmp_path / "none.json", "--labels", "a"], "no such file"),
        ([tmp_path / "list.json", "--labels", "a"], "holds no metrics"),
    ]
    for args, line in wrong:
        done = cli("eval/plot_metrics.py", "--output", tmp_path / "x.png", "--files", *args)
        assert done.returncode == 2 and line in done.stderr and done.stderr.count("\n") == 1
