"""Inject, supervise and confine the trading bot.

======================  ==========================================================================
``launch``              ``nasos run --bot``: read the secrets, start the bot, keep it running
``start``               one start of the bot: its process, and what serves it
``command``             what may stand after ``freqtrade``
``orders``              what launcher and bot say to each other, over a socket pair
``supply``              what the launcher gives its bot when the bot asks
``change``              a record that changed comes into use while the bot trades
``trial``               records with which the bot ended are put back to the ones before
``api``                 the bot's own API, as launcher and probes speak to it
``certificate``         certificate and key of that API
``document``            Vault records become the part of freqtrade's configuration that is secret
``credential``          the database login in memory, replaced in place while the bot trades
``refresh``             notices what changed in Vault; Vault's absence changes nothing
``poke``                a word from our own writers: look at this record now
``supervise``           the rules: what an exit means, when to start again, when to give up
``child``               one bot process: its descriptors, its signals, its end
``lock``                one bot per name, also when a launcher was killed
``claim``               one bot per database, across hosts
``advisory``            the database session whose lock that is
``output``              every line of the bot passes the redactor
``tether``              a process that ends with its parent and leaves no core file
``handover``            any other program: secrets as anonymous files, or in its environment when asked
``freqtrade``           the bot's configuration without secrets, and the operator's file under it
``configuration``       freqtrade's JSON with comments: reading and merging, as freqtrade does it
``confinement``         what one bot needs of the machine, told from its command line and configuration
``sandbox``             Landlock: files and TCP ports of its own, and no others
``unix_sockets``        none for the bot: what listens on one trusts whoever may open it
``known``               where secrets stand in freqtrade's configuration, and which field each becomes
``packed``              structures (headers, proxies, several tokens) as the text of one field
``moving``              an existing freqtrade installation moves in, and back
``entry``               inside the bot's process: closed, confined, connected, and then freqtrade
``inside``              inside the bot's process: what is done to freqtrade, one module per hook
``sqlalchemy_plugin``   inside the bot's process: each database connection gets the current login
======================  ==========================================================================

Nothing is imported here: ``entry`` runs in the bot's own virtual environment and pays for each import.
"""

from __future__ import annotations

__all__: list[str] = []
