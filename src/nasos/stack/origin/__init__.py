"""The edge behind Cloudflare: certificate, addresses, client certificate, and the way there and back.

==========  ==================================================================================
``issuer``  Cloudflare's Origin CA as an `Issuer`
``memory``  what is known of Cloudflare here, and how far the way there was gone
``switch``  the way there, step by step, each proven before the next
==========  ==================================================================================
"""
