"""deploy/kubernetes as a cluster would get it: valid, and its parts agree with each other.

No cluster runs here. kubectl renders the overlays, and a validator has the schemas of Kubernetes.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped, unused-ignore]
import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]

from bank.settings import BankSettings
from config import Settings
from core.version import VERSION
from tests.compose.test_compose_files import ALL, PINNED
from tests.support.clocks import FrozenClock
from tests.support.kustomize import kubectl, render
from tests.support.parts import MissingPart, leave_out
from tests.support.service import ROOT, SECRET, SECRET_KEY, close_app, ready_app, settings_for

PASSWORD = secrets.token_hex(8)
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("development", "production", "production-with-sockets")
SCHEMAS = ("1.30", "1.37")
"""The oldest and the newest Kubernetes whose API the manifests are written for."""
Document = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _needs_kubectl() -> None:
    """Skip, or fail in CI, where there is none."""
    try:
        kubectl()
    except MissingPart as missing:
        leave_out(missing)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Document]]:
    """The documents of each overlay; the secrets of development are made as README.md says."""
    copy = tmp_path_factory.mktemp("manifests") / "kubernetes"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("secrets"))
    maker = [sys.executable, str(ROOT / "docker" / "make_secrets.py")]
    subprocess.run([*maker, str(copy / "overlays/development/secrets")], check=True)
    own = copy / "overlays" / "production-with-sockets"
    own.mkdir()
    (own / "kustomization.yaml").write_text(
        "resources: [../production]\ncomponents: [../../components/sockets]\n", encoding="utf-8"
    )
    return {name: render(copy / "overlays" / name) for name in OVERLAYS}


@pytest.fixture(params=OVERLAYS)
def documents(request: pytest.FixtureRequest, rendered: dict[str, list[Document]]):
    """The documents of one overlay."""
    return rendered[request.param]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """The documents of these kinds."""
    return [document for document in documents if document["kind"] in kinds]


def one_of(documents: list[Document], kind: str, name: str) -> Document:
    """The only document of this kind and name; generators append a hash to names."""
    matches = [
        document
        for document in of_kind(documents, kind)
        if re.fullmatch(rf"{re.escape(name)}(-[0-9a-z]{{10}})?", document["metadata"]["name"])
    ]
    assert len(matches) == 1, (kind, name)
    return matches[0]


def pods(documents: list[Document]) -> dict[str, Document]:
    """Every pod template by the name of its workload."""
    workloads = of_kind(documents, "Deployment", "StatefulSet", "Job")
    return {one["metadata"]["name"]: one["spec"]["template"] for one in workloads}


def containers(documents: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Every container, init containers too, with its workload's name and its pod."""
    for name, template in pods(documents).items():
        spec = template["spec"]
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            yield name, spec, container


def environment(documents: list[Document], container: Document) -> dict[str, str]:
    """The variables of a container, from its ConfigMaps and its own."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        variables |= one_of(documents, "ConfigMap", source["configMapRef"]["name"])["data"]
    return variables | {one["name"]: one["value"] for one in container.get("env", ())}


def is_of_service(container: Document) -> bool:
    """Whether it runs this repository's image as the service, and not as the bank."""
    is_ours = re.search(r"(^|/)balcao:", container["image"]) is not None
    return is_ours and container.get("command", [])[:3] != ["python", "-m", "bank"]


@cache
def schema_error(text: str, version: str) -> str | None:
    """What the validator says of a document; None if it is valid."""
    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return None


@pytest.mark.parametrize("version", SCHEMAS)
def test_every_document_is_valid_and_has_no_unknown_field(documents: list[Document], version: str):
    """A misspelled field is ignored by some clusters: a probe or a limit would be missing."""
    errors = {
        f"{one['kind']} {one['metadata']['name']}": schema_error(json.dumps(one), version)
        for one in documents
    }

    assert {name: error for name, error in errors.items() if error is not None} == {}


def test_a_misspelled_field_would_be_seen(rendered: dict[str, list[Document]]):
    """Tests the validator: deep inside a pod, strictly."""
    deployment = json.loads(json.dumps(one_of(rendered["production"], "Deployment", "web")))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}

    assert "livenesProbe" in (schema_error(json.dumps(deployment), SCHEMAS[0]) or "")


def test_everything_is_in_one_namespace_that_restricts_its_pods(documents: list[Document]):
    """The cluster itself then refuses a pod that runs as root."""
    namespace = one_of(documents, "Namespace", "balcao")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {one["metadata"].get("namespace") for one in documents if one is not namespace} == {
        "balcao"
    }


def test_every_pod_and_container_is_hardened(documents: list[Document]):
    """As docker-compose.yml: read-only, without root, without capabilities, without a token."""
    for name, spec, container in containers(documents):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert "hostNetwork" not in spec
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_limits_of_memory_are_those_of_compose(documents: list[Document]):
    """They were measured there. Requests are what a pod surely gets; CPU has no limit."""
    compose = {"web": "web", "worker": "web", "bank": "bank", "mysql": "mysql", "redis": "redis"}
    for name, _, container in containers(documents):
        resources = container["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}
        assert set(resources["limits"]) == {"memory"}
        is_start = container["name"] in ("migrate", "wait-for-schema")
        service = "migrate" if is_start else compose[name]
        limit = ALL[service]["mem_limit"].replace("m", "Mi").replace("1g", "1Gi")
        assert resources["limits"]["memory"] == limit, name


def test_images_are_pinned_and_ours_has_the_version(documents: list[Document]):
    """`latest` changes under a running cluster, and a rollback would not be one."""
    for _, _, container in containers(documents):
        image = container["image"].rsplit("/", 1)[-1]
        assert image in {*PINNED, f"balcao:{VERSION}"}


def test_the_job_has_the_version_in_its_name(documents: list[Document]):
    """A Job cannot be changed: with the old name, the new version would not migrate."""
    names = [one["metadata"]["name"] for one in of_kind(documents, "Job")]

    assert names == [f"migrate-{VERSION.replace('.', '-')}"]


def test_web_and_worker_wait_for_the_migration(documents: list[Document]):
    """The order of documents is no order of starts."""
    migrate = pods(documents)[f"migrate-{VERSION.replace('.', '-')}"]["spec"]["containers"][0]
    assert migrate["command"] == ALL["migrate"]["command"]
    for name in ("web", "worker"):
        spec = pods(documents)[name]["spec"]
        [waiter] = spec["initContainers"]
        assert waiter["command"] == ["flask", "--app", "app", "wait-for-schema"]
        assert waiter["image"] == migrate["image"] == spec["containers"][0]["image"]
        assert environment(documents, waiter) == environment(documents, migrate)


def test_every_variable_is_a_setting(documents: list[Document]):
    """A misspelled one is ignored, and its default serves."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, _, container in containers(documents):
        for variable in environment(documents, container):
            setting = variable.removesuffix("_FILE")
            if is_of_service(container):
                assert setting.lower() in Settings.model_fields, f"{name}: {variable}"
            elif name == "bank":
                assert f"`{setting}`" in text, f"{name}: {variable}"


def secret_keys(documents: list[Document], name: str) -> dict[str, str]:
    """The content of each key of a Secret; of production's, what README.md says to create."""
    if any(one["metadata"]["name"].startswith(name) for one in of_kind(documents, "Secret")):
        data = one_of(documents, "Secret", re.sub(r"-[0-9a-z]{10}$", "", name))["data"]
        return {key: base64.b64decode(value).decode().strip() for key, value in data.items()}
    assert name == "service-secrets"
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    values = {
        "database_url": f"postgresql+psycopg://balcao:{PASSWORD}@db.example/balcao",
        "redis_url": f"redis://:{PASSWORD[::-1]}@redis.example:6379/0",
        "secret_key": SECRET_KEY,
        "bank_webhook_secret": SECRET,
    }
    return {key: values[key] for key in re.findall(r"--from-file=(\w+)=", readme)}


def secret_files(documents: list[Document], spec: Document, container: Document) -> dict[str, str]:
    """Path → content of the files of Secrets that a container sees."""
    volumes = {one["name"]: one for one in spec["volumes"]}
    files: dict[str, str] = {}
    for mount in container["volumeMounts"]:
        source = volumes.get(mount["name"], {}).get("secret")
        if source is not None:
            assert mount["readOnly"] is True
            assert source["defaultMode"] == 0o440
            for key, value in secret_keys(documents, source["secretName"]).items():
                files[f"{mount['mountPath']}/{key}"] = value
    return files


def test_secrets_are_files_that_exist(documents: list[Document], tmp_path: Path):
    """No variable holds a secret, and service and bank start with what they are given."""
    for name, spec, container in containers(documents):
        files = secret_files(documents, spec, container)
        variables = environment(documents, container)
        for variable, value in list(variables.items()):
            if variable.endswith("_FILE"):
                assert value in files, f"{name}: {variable}"
                local = tmp_path / f"{name}-{variable}"
                local.write_text(files[value], encoding="utf-8")
                variables[variable] = str(local)
            else:
                assert not re.search(r"SECRET|PASSWORD|_KEY|DATABASE_URL|REDIS_URL", variable)
        if is_of_service(container):
            instance = tmp_path / name / "instance"
            instance.mkdir(parents=True, exist_ok=True)
            for path, content in files.items():
                if Path(path).parent == Path(variables.get("INSTANCE_DIR", "/")):
                    (instance / Path(path).name).write_text(content, encoding="utf-8")
            before = sorted(instance.iterdir())
            settings = Settings.from_env(variables | {"INSTANCE_DIR": str(instance)})
            assert settings.port == 5000
            assert settings.host == "0.0.0.0"  # noqa: S104 - the address of the pod
            assert sorted(instance.iterdir()) == before  # it generated nothing: that is read-only
        elif name == "bank":
            assert BankSettings.from_env(variables).port == 5001


def matching(documents: list[Document], selector: Document) -> list[str]:
    """The workloads whose pods a selector selects."""
    names = []
    for name, template in pods(documents).items():
        labels = template["metadata"]["labels"]
        has_labels = all(
            labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()
        )
        has_expressions = all(
            one["operator"] == "In" and labels.get(one["key"]) in one["values"]
            for one in selector.get("matchExpressions", ())
        )
        if has_labels and has_expressions:
            names.append(name.split("-")[0])
    return sorted(names)


def test_selectors_select_what_they_are_named_after(documents: list[Document]):
    """A selector that matches nothing fails silently: no traffic, no budget, no policy."""
    for one in of_kind(documents, "Deployment", "StatefulSet"):
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()
        for spread in one["spec"]["template"]["spec"].get("topologySpreadConstraints", ()):
            assert matching(documents, spread["labelSelector"]) == [one["metadata"]["name"]]
    for one in of_kind(documents, "Service"):
        name = "web" if one["metadata"]["name"] == "closed" else one["metadata"]["name"]
        assert matching(documents, {"matchLabels": one["spec"]["selector"]}) == [name]
    for one in of_kind(documents, "PodDisruptionBudget"):
        assert matching(documents, one["spec"]["selector"]) == [one["metadata"]["name"]]
        assert one["spec"]["maxUnavailable"] == 1
    for one in of_kind(documents, "HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        assert (
            one_of(documents, target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
        )


def ports_of(documents: list[Document], name: str) -> dict[str, int]:
    """The named ports of a workload."""
    [container] = pods(documents)[name]["spec"]["containers"]
    return {one["name"]: one["containerPort"] for one in container.get("ports", ())}


def test_ports_and_probes_lead_to_what_listens(documents: list[Document]):
    """From the Ingress over the Service to the port of the process."""
    for one in of_kind(documents, "Service"):
        if one["metadata"]["name"] == "closed":
            continue
        listening = ports_of(documents, one["metadata"]["name"])
        for port in one["spec"]["ports"]:
            assert port["port"] == listening[port["targetPort"]]
    for name, spec, container in containers(documents):
        if container not in spec["containers"] or not is_of_service(container):
            continue
        if name.startswith("migrate"):
            continue
        port = int(environment(documents, container)["PORT"])
        assert ports_of(documents, name) == {"http": port}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == "http"
    for one in of_kind(documents, "Ingress"):
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = one_of(documents, "Service", backend["name"])
                assert backend["port"]["name"] in {
                    port["name"] for port in service["spec"]["ports"]
                }


def test_nothing_is_reachable_that_no_policy_names(documents: list[Document]):
    """Everything is denied first; then each pod has the ways that it needs, and no more."""
    policies = of_kind(documents, "NetworkPolicy")
    denial = one_of(documents, "NetworkPolicy", "deny-by-default")["spec"]
    assert denial == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    listening = {"web": {5000}, "worker": {5000}, "bank": {5001}, "mysql": {3306}, "redis": {6379}}
    for one in policies:
        spec = one["spec"]
        assert spec["podSelector"] == {} or matching(documents, spec["podSelector"])
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            assert rule["ports"], one["metadata"]["name"]
            assert rule.get("from") or rule.get("to"), one["metadata"]["name"]
        for rule in spec.get("ingress", ()):
            for name in matching(documents, spec["podSelector"]):
                assert {port["port"] for port in rule["ports"]} <= listening[name]
        for rule in spec.get("egress", ()):
            for peer in rule["to"]:
                for name in matching(documents, peer.get("podSelector", {"matchLabels": {"": ""}})):
                    assert listening[name] & {port["port"] for port in rule["ports"]}


def test_webhooks_cannot_reach_the_cluster(rendered: dict[str, list[Document]]):
    """A merchant chooses their addresses; the service refuses private ones, and so does this."""
    spec = one_of(rendered["production"], "NetworkPolicy", "to-internet")["spec"]
    v4, v6 = (peer["ipBlock"] for peer in spec["egress"][0]["to"])

    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(v4["except"])
    assert {"fc00::/7", "fe80::/10"} <= set(v6["except"])


def test_metrics_are_not_for_the_internet(rendered: dict[str, list[Document]]):
    """The Ingress sends /metrics to a port at which nothing listens."""
    for name in ("production", "production-with-sockets"):
        documents = rendered[name]
        paths = [
            path
            for one in of_kind(documents, "Ingress")
            for rule in one["spec"]["rules"]
            for path in rule["http"]["paths"]
        ]
        [metrics] = [one for one in paths if one["path"] == "/metrics"]
        closed = one_of(documents, "Service", metrics["backend"]["service"]["name"])["spec"]
        assert metrics["pathType"] == "Exact"
        assert {port["targetPort"] for port in closed["ports"]}.isdisjoint(
            ports_of(documents, "web").values()
        )


def test_a_pod_has_time_to_stop(documents: list[Document]):
    """The pause before the signal, and then what compose gives the same process."""
    patience = int(ALL["web"]["stop_grace_period"].removesuffix("s"))
    for name in ("web", "worker"):
        spec = pods(documents)[name]["spec"]
        [container] = spec["containers"]
        assert "command" not in container  # the image's own, as in compose
        pause = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        assert (pause is not None) == (name == "web")
        seconds = int(pause[1]) if pause else 0
        assert spec["terminationGracePeriodSeconds"] >= seconds + patience


def test_roles_are_divided(documents: list[Document]):
    """Without a worker nothing expires; jobs in every web pod would scale with the visitors."""
    roles = {
        name: environment(documents, pods(documents)[name]["spec"]["containers"][0])["ROLE"]
        for name in ("web", "worker")
    }

    assert roles == {"web": "web", "worker": "worker"}


def test_probes_and_metrics_answer(rendered: dict[str, list[Document]], tmp_path: Path):
    """The paths are routes, and the series that the adapter asks for exists."""
    app = ready_app(
        settings_for(f"sqlite:///{tmp_path / 'balcao.sqlite'}", tmp_path), FrozenClock()
    )
    client = app.test_client()
    try:
        for name in ("web", "worker"):
            [container] = pods(rendered["production"])[name]["spec"]["containers"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert client.get(container[probe]["httpGet"]["path"]).status_code == 200
        annotations = pods(rendered["production"])["web"]["metadata"]["annotations"]
        text = client.get(annotations["prometheus.io/path"]).text
    finally:
        close_app(app)
    path = FOLDER / "components" / "sockets" / "prometheus-adapter.yaml"
    [rule] = yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]["custom"]
    series = re.match(r"\w+", rule["seriesQuery"])
    assert series
    assert f"# TYPE {series[0]} counter" in text
    assert re.findall(r"balcao_\w+", rule["metricsQuery"]) == [series[0]] * 2
    metrics = one_of(rendered["production-with-sockets"], "HorizontalPodAutoscaler", "web")["spec"]
    names = [one["pods"]["metric"]["name"] for one in metrics["metrics"] if one["type"] == "Pods"]
    assert names == [rule["name"]["as"]]
    assert metrics["metrics"][0]["resource"]["name"] == "cpu"


def test_development_has_the_databases_of_compose(rendered: dict[str, list[Document]]):
    """Two ways to try the service must not try two services."""
    documents = rendered["development"]
    [mysql] = pods(documents)["mysql"]["spec"]["containers"]
    [redis] = pods(documents)["redis"]["spec"]["containers"]
    script = one_of(documents, "ConfigMap", "mysql-start")["data"]["10-bank.sh"]

    assert mysql["args"] == ALL["mysql"]["command"]
    assert redis["args"] == ALL["redis"]["command"]
    assert script == (ROOT / "docker" / "mysql" / "10-bank.sh").read_text(encoding="utf-8")
    assert not of_kind(documents, "Ingress")  # a bank that pays anything is reached by its operator


def test_production_has_no_simulated_bank(rendered: dict[str, list[Document]]):
    """Nor databases: those are kept by others."""
    assert {name.split("-")[0] for name in pods(rendered["production"])} == {
        *("web", "worker", "migrate")
    }
