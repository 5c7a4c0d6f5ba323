"""The parts of tools/doctor.py: findings, the machine and its memory, the data, and the two paths from row to tokens."""
