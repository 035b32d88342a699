"""The example of a CE, broken in many ways: each of these must be caught by the clause that is named with it.

A bug is a class; `caught_by` names the clause that is about it. There is a module for each subject.
"""
