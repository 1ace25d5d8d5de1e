"""JupyterLab as `make lab` sets it up: what a kernel says goes to the browser at once.

A slider sends its next position when it has heard the last word of the answer to the one before.
jupyter_server leaves Nagle's algorithm on, which may hold that small last message back for 40 ms,
until the one before it is acknowledged.
"""

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """The server's connection between browser and kernel, without that delay."""

    def connect(self):
        self.websocket_handler.set_nodelay(True)
        return super().connect()
