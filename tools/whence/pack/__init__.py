"""Folders of pictures, and scikit-learn's digits, as HDF5 files that --data hdf5: reads."""
