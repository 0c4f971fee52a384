"""How a Python program is tested against a key server that is locked, erased, down or slow."""

import http.client
import json
import ssl
import subprocess
import unittest
import urllib.parse
import urllib.request


class Sandbox:
    """A key server that ends with the test. What `kes sandbox --json` prints is in `info`."""

    def __init__(self, key):
        command = ["npx", "kes", "sandbox", "--json", "--key", key]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.info = json.loads(self.process.stdout.readline())

    def close(self):
        self.process.communicate()  # Closes its standard input, with which it ends.

    def control(self, method, path, body=None):
        """Calls the control API."""
        request = urllib.request.Request(
            self.info["control_url"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + self.info["control_token"]},
        )
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def call(self, method, path, body, timeout=5):
        """Calls the key server, with the client certificate of the sandbox."""
        context = ssl.create_default_context(cafile=self.info["ca_path"])
        context.load_cert_chain(self.info["cert_path"], self.info["key_path"])
        address = urllib.parse.urlsplit(self.info["endpoint"]).netloc
        connection = http.client.HTTPSConnection(address, context=context, timeout=timeout)
        try:
            connection.request(method, path, body=json.dumps(body))
            reply = connection.getresponse()
            return reply.status, json.load(reply)
        finally:
            connection.close()


class OrdersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kes = Sandbox("orders")
        cls.addClassCleanup(cls.kes.close)

    def setUp(self):
        self.kes.control("POST", "/reset")

    def generate(self, timeout=5):
        return self.kes.call("PUT", "/v1/key/generate/orders", {}, timeout)

    def test_a_locked_key_is_refused_until_it_is_unlocked(self):
        self.kes.control("POST", "/keys/orders/lock")
        status, reply = self.generate()
        self.assertEqual((status, reply["code"]), (403, "KeyDisabled"))
        self.kes.control("POST", "/keys/orders/unlock")
        self.assertEqual(self.generate()[0], 200)

    def test_an_erased_key_is_gone(self):
        self.kes.control("DELETE", "/keys/orders")
        self.assertEqual(self.generate()[0], 404)

    def test_a_late_answer_is_not_waited_for(self):
        self.kes.control("POST", "/faults", {"kind": "latency", "ms": 5000})
        with self.assertRaises(TimeoutError):
            self.generate(timeout=0.2)

    def test_a_server_that_is_down_refuses_connections(self):
        self.kes.control("POST", "/faults", {"kind": "refuse"})
        with self.assertRaises(ConnectionRefusedError):
            self.generate()

    def test_every_order_has_a_data_key_of_its_own(self):
        self.generate()
        self.generate()
        requests = self.kes.control("GET", "/requests?path=/v1/key/generate/*")
        self.assertEqual([request["status"] for request in requests], [200, 200])


if __name__ == "__main__":
    unittest.main()
