from .estimator import Tagger as Tagger
from .inputs import read_labels as read_labels
