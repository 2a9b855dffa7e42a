"""The API server is asked who may what: users nothing of others, services no more than docs/security.md says."""

import json

import pytest

from capture.cluster.kube import LEASE_NAMESPACE, SYSTEM_NAMESPACE
from tests.control_plane.two_tenants import NOBODY, OF_SHOP, TwoTenants

Rule = tuple[str, str, str]
"""Resource with its group, names, and verbs."""
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


def rules(tenants: TwoTenants, user: str, namespace: str) -> set[Rule]:
    """Return what somebody may in a namespace, beyond what everybody may there."""

    def listed(who: str) -> set[Rule]:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        words = ("create", "--raw", REVIEW, "-f", "-", f"--as={who}", "--as-group=system:authenticated")
        status = json.loads(tenants.plane.kubectl(*words, stdin=json.dumps(body)))["status"]
        return {
            (f"{resource}.{group}" if group else resource, " ".join(rule.get("resourceNames", ())), verb)
            for rule in status["resourceRules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    verbs: dict[tuple[str, str], list[str]] = {}
    for resource, names, verb in listed(user) - listed(NOBODY):
        verbs.setdefault((resource, names), []).append(verb)
    return {(resource, names, " ".join(sorted(found))) for (resource, names), found in verbs.items()}


@pytest.mark.parametrize("user", OF_SHOP)
def test_in_the_bank_they_may_what_everybody_may(tenants: TwoTenants, user: str) -> None:
    assert rules(tenants, user, "bank") == set()
    assert rules(tenants, user, LEASE_NAMESPACE) == set()
    assert rules(tenants, user, "shop")


@pytest.mark.parametrize("user", OF_SHOP)
def test_in_the_system_namespace_they_may_reach_the_controllers(tenants: TwoTenants, user: str) -> None:
    pods = "bicap-controller-0 bicap-controller-1"
    assert rules(tenants, user, SYSTEM_NAMESPACE) == {
        ("leases.coordination.k8s.io", "bicap-controller", "get"),
        ("pods", pods, "get"),
        ("pods/portforward", pods, "create get"),
    }


AGENT = f"system:serviceaccount:{SYSTEM_NAMESPACE}:bicap-agent"
CONTROLLER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:bicap-controller"
EVERYWHERE: set[Rule] = {
    ("pods", "", "list watch"),
    ("packetcaptures.bicap.io", "", "delete get list patch watch"),
    ("clusterpacketcaptures.bicap.io", "", "delete get list patch watch"),
    ("packetcaptures/status.bicap.io", "", "patch"),
    ("clusterpacketcaptures/status.bicap.io", "", "patch"),
    ("packetcaptures.crd.antrea.io", "", "list patch watch"),
    ("packetcaptures/status.crd.antrea.io", "", "patch"),
    ("antreaagentinfos.crd.antrea.io", "", "list"),
    ("capturestores.bicap.io", "", "list watch"),
    ("captureaccesses.bicap.io", "", "delete list watch"),
    ("events.events.k8s.io", "", "create"),
    ("tokenreviews.authentication.k8s.io", "", "create"),
    ("subjectaccessreviews.authorization.k8s.io", "", "create"),
}


def test_an_agent_may_what_the_table_says_and_no_more(tenants: TwoTenants) -> None:
    assert rules(tenants, AGENT, SYSTEM_NAMESPACE) == {
        ("nodecaptures.bicap.io", "", "list patch watch"),
        ("nodecaptures/status.bicap.io", "", "patch"),
        ("configmaps", "bicap-controller", "get"),
    }
    assert rules(tenants, AGENT, LEASE_NAMESPACE) == {("leases.coordination.k8s.io", "", "create patch")}
    assert rules(tenants, AGENT, "shop") == set()


def test_the_controller_may_what_the_table_says_and_no_more(tenants: TwoTenants) -> None:
    assert rules(tenants, CONTROLLER, "shop") == EVERYWHERE
    assert rules(tenants, CONTROLLER, SYSTEM_NAMESPACE) - EVERYWHERE == {
        ("nodecaptures.bicap.io", "", "create delete list patch watch"),
        ("leases.coordination.k8s.io", "", "create"),
        ("leases.coordination.k8s.io", "bicap-controller", "get patch update"),
        ("configmaps", "", "create"),
        ("configmaps", "bicap-controller", "get patch"),
        ("endpoints", "", "create"),
        ("endpoints", "bicap", "get patch"),
    }
    assert rules(tenants, CONTROLLER, LEASE_NAMESPACE) - EVERYWHERE == {
        ("leases.coordination.k8s.io", "", "list watch")
    }


def test_no_agent_can_name_another_leader(tenants: TwoTenants) -> None:
    """Users would be led to it, and other agents would trust it."""
    for what, patch in (
        ("lease", '{"spec": {"holderIdentity": "agent"}}'),
        ("configmap", '{"data": {"address": "192.0.2.1:1"}}'),
    ):
        words = ("patch", what, "bicap-controller", "-n", SYSTEM_NAMESPACE, "--type=merge", "-p", patch)
        assert "forbidden" in tenants.plane.try_kubectl(*words, f"--as={AGENT}").stderr
