"""Registers everything of ours with ms-swift: ``--external_plugins PATH/swift_plugins/register.py``.

The modules are imported through the package and not defined here, so that a worker process finds their classes again.
"""

import swift_plugins.gui_cpu
import swift_plugins.gui_datasets
import swift_plugins.gui_guard
import swift_plugins.gui_login
import swift_plugins.gui_multiturn
import swift_plugins.gui_no_dropout
import swift_plugins.gui_optimizer
import swift_plugins.gui_rewards
import swift_plugins.gui_template
import swift_plugins.gui_timer  # noqa: F401  (importing it registers)
