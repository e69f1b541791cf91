"""Speed of what surrounds the science, shown as ratios within one run."""
