"""The companion as a program of the stack: names at Cloudflare follow containers (`nasos.cloudflare.companion`).

``duties``    what it is told by ``nasos up``
``confinement``  what it reaches
``opener``    opens two files for it
``__main__``  the program

Who it is: ``nasos-companion`` under root, else the operator's own user. It reads one record of Vault's, its token, and
writes its own directory; no service needs it.
"""
