"""Names: `ModelRef` for people, `Digest` and `RepoPath` for machines, `Precision` for both.

Each has one parser, which refuses what is not a name, and prints what it parsed.
"""

from modelhub.refs.digest import Digest
from modelhub.refs.model import ModelRef
from modelhub.refs.path import RepoPath, check_tree
from modelhub.refs.precision import Precision, canonical_tag

__all__ = ["Digest", "ModelRef", "Precision", "RepoPath", "canonical_tag", "check_tree"]
