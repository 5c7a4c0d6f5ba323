"""Thin adapters between ms-swift and data_engine; register.py is what --external_plugins gets.

An importable package, because ms-swift hands classes to spawned workers by their import path. File names start with
``gui_``: ms-swift puts this folder first on sys.path, where a plugin named ``datasets.py`` would shadow the real one.
"""
