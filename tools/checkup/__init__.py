"""The parts of tools/doctor.py: findings, the machine, the data, and the two paths from row to tokens."""
