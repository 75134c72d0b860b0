"""
A real Kafka broker from the packages that Apache publishes, run by the machine's Java.

The broker speaks plain Kafka, and SASL_SSL with PLAIN as Event Hubs does.
"""

import base64
import datetime
import ipaddress
import signal
import socket
import ssl
import subprocess
import time
import uuid
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.doubles.java_jars import obtain_jars

VERSION = "3.9.1"
CONNECTION_STRING = (
    "Endpoint=sb://quay.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=k3y/+="
)
_DEPENDENCIES = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.slf4j:slf4j-simple:1.7.36")
_JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_START_LIMIT_S = 90


def obtain_kafka() -> Path:
    """
    Return the folder of Kafka's jars, fetching them the first time.

    Raises:
        JarsUnavailableError: no Java, no Maven, or the jars cannot be fetched.
    """
    return obtain_jars(f"kafka-{VERSION}", _DEPENDENCIES)


class KafkaBroker:
    """One broker on free ports with its data in *folder*; `start` returns when it answers."""

    def __init__(self, jars: Path, folder: Path) -> None:
        self._classpath = f"{jars}/*"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.plain_port, self.sasl_port, self._controller_port = _free_ports(3)
        self._certificate = folder / "certificate.pem"

    @property
    def plain(self) -> str:
        """Bootstrap address without security."""
        return f"127.0.0.1:{self.plain_port}"

    @property
    def sasl(self) -> str:
        """Bootstrap address as Event Hubs has it."""
        return f"127.0.0.1:{self.sasl_port}"

    def trust(self) -> ssl.SSLContext:
        """Return a context that knows the broker's certificate."""
        return ssl.create_default_context(cafile=str(self._certificate))

    def start(self) -> None:
        self._write_certificate()
        settings = self._folder / "server.properties"
        settings.write_text(self._settings())
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        prepare = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)]
        command = [*_JAVA, "-cp", self._classpath]
        subprocess.run([*command, *prepare], check=True, capture_output=True, timeout=60)
        log = (self._folder / "broker.log").open("wb")
        self._process = subprocess.Popen(
            [*command, "kafka.Kafka", str(settings)], stdout=log, stderr=log
        )
        log.close()
        self._wait_until_ready()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_LIMIT_S
        text = ""
        while time.monotonic() < deadline and self._process.poll() is None:
            text = (self._folder / "broker.log").read_text(errors="replace")
            if "Kafka Server started" in text:
                return
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the broker did not start: {text[-2000:]}")

    def _settings(self) -> str:
        jaas = (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'user_$ConnectionString="{CONNECTION_STRING}";'
        )
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://{self.plain},SASL_SSL://{self.sasl},"
            f"CONTROLLER://127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,"
            "CONTROLLER:PLAINTEXT",
            "listener.name.sasl_ssl.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": jaas,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._folder / "keystore.pem"),
            "log.dirs": str(self._folder / "data"),
            "num.partitions": "2",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())

    def _write_certificate(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.datetime.now(datetime.UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._certificate.write_bytes(pem)
        (self._folder / "keystore.pem").write_bytes(private + pem)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
