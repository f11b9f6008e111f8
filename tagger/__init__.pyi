from .errors import TaggerError as TaggerError
from .estimator import Tagger as Tagger
from .estimator import read_labels as read_labels
from .papers import Paper as Paper
from .papers import merge_duplicates as merge_duplicates
from .papers import read_papers as read_papers

__version__: str
