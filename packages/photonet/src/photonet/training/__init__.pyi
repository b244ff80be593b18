from .closed_form import start_decoder as start_decoder
from .decoders import train as train
from .decoders import train_from_folder as train_from_folder
from .settings import TrainingSettings as TrainingSettings
