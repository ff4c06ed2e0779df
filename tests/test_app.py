"""The server's own doing: what it sets before the first reader comes."""

import socket

import app


def test_a_connection_sends_at_once_though_its_listener_does_not_say_that_it_speaks_tcp():
    with socket.socket(socket.AF_INET) as listener:  # as Streamlit makes it
        assert listener.proto == 0
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        app._send_at_once()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
