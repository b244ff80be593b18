"""What photonet is compared with, written anew from the formulas: WCT, PhotoWCT with its two smoothings, WCT2."""
