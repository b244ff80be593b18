"""`min_bin_rows`: no sum that is sent covers fewer rows than this, at the price of LightGBM parity."""

import numpy as np

from securegbm.tables.binning import BinLayout, Bins


def merge_small_bins(bins: Bins, layouts: list[BinLayout], fewest: int) -> Bins:
    """Move rows of bins with fewer than `fewest` rows to a neighbouring bin, feature by feature.

    Neighbours are joined from the left until a group is large enough; a rest on the right joins the last group. The
    bin of missing values joins the last group when it is small itself. Over one request every remaining bin has no
    rows or at least `fewest` of them (or the request has fewer rows in all).

    Args:
        bins: `(rows, features)`.
        layouts: The columns.
        fewest: Least rows of a bin.

    Returns:
        `(rows, features)` new bin numbers.
    """
    merged = bins.copy()
    for feature, layout in enumerate(layouts):
        counts = np.bincount(bins[:, feature], minlength=layout.num_bin)
        target = np.arange(layout.num_bin)
        group: list[int] = []
        held, last = 0, -1
        for at in range(layout.num_bin):
            is_missing = layout.missing == "nan" and at == layout.num_bin - 1
            if is_missing and counts[at] >= fewest and (held == 0 or last >= 0):
                break
            group.append(at)
            held += int(counts[at])
            if held >= fewest:
                target[group] = at
                group, held, last = [], 0, at
        if held and last >= 0:
            target[group] = last
        elif held:
            target[group] = group[-1]
        if group and last >= 0:
            target[group] = last
        merged[:, feature] = target[bins[:, feature]]
    return merged
