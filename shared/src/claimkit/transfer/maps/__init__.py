"""Feature maps of any network: which layers, which axis, how they are caught, their distance to a teacher's."""

from claimkit.transfer.maps.penalty import FeatureMaps as FeatureMaps
from claimkit.transfer.maps.penalty import Source as Source
