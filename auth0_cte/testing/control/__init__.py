"""The control API, by which programs in other processes drive a served tenant."""
