"""A sandbox that speaks Chapa's API, as a part of the service: the whole flow runs offline, with a page to pay on.

It knows nothing of payments, and nothing of it answers unless CHAPA_URL is `sandbox:`. It shares no code with the
client, or both would be wrong in the same way.
"""
