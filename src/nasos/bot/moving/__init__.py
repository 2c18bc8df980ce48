"""Moving in: an existing freqtrade installation becomes a bot of ours, and can go back.

=============  =====================================================================================
``read``       the operator's configuration files as they lie there, with everything odd about them
``dotenv``     ``FREQTRADE__`` variables of an ``.env``, each with the bytes that it takes up
``lift``       which value becomes which Vault field, and the configuration without them
``suspects``   what else looks like a secret: told, never moved
``running``    is the old bot still at work?
``trades``     the SQLite file, copied; what is in a trade database, and whether two hold the same
``database``   which file or server the old bot's trades are in
``converter``  freqtrade's own ``convert-db`` as a child, its login on the credential page
``child``      that child: closed, confined, then freqtrade
``copying``    into an empty database, compared row by row, or taken out again
``journal``    what was done so far, on disk before it is done
``originals``  the operator's files: kept, replaced, put back byte for byte
``vaulted``    records written with proof, and only our own versions removed
``plan``       what would be done, drawn from what is there
``importing``  the steps in order, each safe to repeat; and the way back
=============  =====================================================================================
"""

from __future__ import annotations

__all__: list[str] = []
