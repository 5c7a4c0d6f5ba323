"""The synthetic login benchmark: login and registration forms, filled in step by step; decoys must be left alone."""
