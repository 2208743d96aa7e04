"""Tables, figures and sentences of the paper on target normalisation, momentum and dying ReLU."""
