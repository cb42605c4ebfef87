"""The lab: data sets, models, and experiments on them."""
