"""Tables and figures of "On the numerical reliability of nonsmooth autodiff: a MaxPool case study" (TMLR 2024)."""
