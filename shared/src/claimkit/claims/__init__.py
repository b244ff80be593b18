"""Claims, evidence and verdicts: what a paper says, what was measured, and what follows from it."""

from claimkit.claims.claim import PRESETS as PRESETS
from claimkit.claims.claim import VERDICTS as VERDICTS
from claimkit.claims.claim import Claim as Claim
from claimkit.claims.claim import Estimate as Estimate
from claimkit.claims.claim import Preset as Preset
from claimkit.claims.claim import Values as Values
from claimkit.claims.claim import Verdict as Verdict
from claimkit.claims.claim import VerdictKind as VerdictKind
from claimkit.claims.folder import best as best
from claimkit.claims.folder import load_records as load_records
from claimkit.claims.folder import natural as natural
from claimkit.claims.power import Power as Power
from claimkit.claims.record import SCHEMA as SCHEMA
from claimkit.claims.record import Evidence as Evidence
from claimkit.claims.record import Record as Record
from claimkit.claims.record import SeedResult as SeedResult
